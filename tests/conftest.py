"""What holds for every test: how coroutines run, and how hypothesis draws.

A coroutine test runs on trio unless it is marked `anyio` (the client, on both loops) or lies under tests/tui (Textual
runs on asyncio). Marking here, one by one, is deliberate: the trio mode of pytest-trio marks every coroutine of the
session, those of the console too.
"""

from __future__ import annotations

import inspect
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

_TUI = Path(__file__).parent / "tui"

# Deadlines measure the machine, not the code. "too_slow" likewise: it fires on a busy machine.
_COMMON = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(
    "ci", _COMMON, derandomize=True
)  # the same examples each run: a red build is a change's fault
settings.register_profile("dev", _COMMON, print_blob=True)
settings.register_profile("thorough", _COMMON, max_examples=2000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


def _is_coroutine(item: pytest.Function) -> bool:
    function = item.obj
    wrapped = getattr(function, "hypothesis", None)
    return inspect.iscoroutinefunction(wrapped.inner_test if wrapped is not None else function)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if (
            isinstance(item, pytest.Function)
            and _is_coroutine(item)
            and item.get_closest_marker("anyio") is None
            and not item.path.is_relative_to(_TUI)
        ):
            item.add_marker(pytest.mark.trio)
