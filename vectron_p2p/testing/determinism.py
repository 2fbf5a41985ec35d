"""Same seed, same run: trio's own choices drawn from a seed.

trio shuffles the tasks that are ready, with a private generator; trio's tests and its hypothesis plugin seed it in this
same way. Private API: the trio version is pinned, and a test fails when this stops working.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import trio
from trio._core import _run

from vectron_p2p.testing.virtual_time import VirtualClock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


def run_deterministic(seed: int, main: Callable[..., Awaitable[T]], *args: Any) -> T:
    """`trio.run(main, *args)` on a virtual clock that jumps over all waiting, its schedule drawn from `seed`."""
    switch = "_ALLOW_DETERMINISTIC_SCHEDULING"
    before = getattr(_run, switch)
    setattr(_run, switch, True)
    _run._r.seed(seed)
    try:
        return trio.run(main, *args, clock=VirtualClock())
    finally:
        setattr(_run, switch, before)
