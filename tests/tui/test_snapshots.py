"""The main screens as they stand in `snapshots/`, to be read in reviews.

After a change that is meant: `UPDATE_SNAPSHOTS=1 pytest tests/tui/test_snapshots.py`, and look at what `git diff` says.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.tui.factories import FakeCluster
from tests.tui.helpers import console, screen, settle, text, until

pytestmark = pytest.mark.anyio

FOLDER = Path(__file__).parent / "snapshots"
UPDATE = "UPDATE_SNAPSHOTS"
SIZES = ((80, 24),)
MODES = {"1": "overview", "2": "nodes", "3": "shards", "4": "collections", "5": "traffic", "6": "alerts"}


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_main_screens(size: tuple[int, int]) -> None:
    differ = []
    async with console(FakeCluster(), size=size) as (app, pilot):
        for key, mode in MODES.items():
            await pilot.press(key)
            await until(lambda: mode == screen(app).MODE and screen(app).composed)  # noqa: B023  # ends in this round
            for _ in range(2):  # once to lay out, once to draw into the room that this gave
                await settle(app, pilot)
            shown, file = text(app) + "\n", FOLDER / f"{mode}-{size[0]}x{size[1]}.txt"
            if os.environ.get(UPDATE):
                FOLDER.mkdir(exist_ok=True)
                file.write_text(shown, encoding="utf-8")
            elif shown != file.read_text(encoding="utf-8"):
                differ.append(f"{file.name} is now:\n{shown}")
    assert not differ, "\n".join([*differ, f"If that is meant, set {UPDATE}=1 once."])
