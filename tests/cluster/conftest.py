"""Scenarios of whole nodes on the simulated network.

Each coroutine test here runs by `run_deterministic`: on a virtual clock that jumps over all waiting, with trio's own
choices drawn from one seed, so that a red scenario stays red. pytest-trio leaves the schedule to chance.
"""

from __future__ import annotations

import functools
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from vectron_p2p.testing.determinism import run_deterministic

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

HERE = Path(__file__).parent
SEED = 1


@pytest.hookimpl(tryfirst=True)  # before the root conftest, which hands coroutines to pytest-trio
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if (
            isinstance(item, pytest.Function)
            and item.path.is_relative_to(HERE)
            and inspect.iscoroutinefunction(item.obj)
        ):
            item.obj = _on_virtual_time(item.obj)


def _on_virtual_time(scenario: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    @functools.wraps(scenario)
    def run(**arguments: Any) -> None:
        run_deterministic(SEED, functools.partial(scenario, **arguments))

    return run
