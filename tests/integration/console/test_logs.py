"""Logs, and what a call led to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.console.driving import (
    VECTORS,
    WORDS,
    eventually,
    live_console,
    on,
    sees,
)
from tests.tui.helpers import screen, table
from tui.screens.logs import LogsScreen, RecordScreen
from vectron_p2p import AsyncClient
from vectron_p2p.testing import ProcessCluster

pytestmark = [pytest.mark.processes, pytest.mark.anyio]


async def test_logs(cluster: ProcessCluster) -> None:
    async with live_console(cluster[0].address, size=(120, 36)) as (app, pilot):
        await pilot.press("8")
        await eventually(lambda: table(app).row_count > 3, app, "records")
        await pilot.press("slash", *"node=n1", "enter")
        await eventually(lambda: table(app).row_count and {"n1"} == logged_by(app), app, "those of n1")
        await pilot.press("escape")
        await eventually(lambda: {"n0", "n1", "n2"} <= logged_by(app), app, "those of all")
        for level in ("warning", "error", "debug", "info"):
            await pilot.press("l")
            await sees(app, f"Logs · {level} and above")
        await eventually(lambda: table(app).row_count > 3, app, "records again")
        await pilot.press("enter")
        await on(app, RecordScreen)
        await sees(app, "Logs › n", "event")
        await pilot.press("y")
        assert json.loads(app.clipboard)["event"]
        await pilot.press("escape", "s")
        await sees(app, "slow requests")
        assert isinstance(app.screen, LogsScreen)


async def test_what_a_call_led_to_on_every_node(cluster: ProcessCluster, other: AsyncClient) -> None:
    await other.collection(WORDS).search(VECTORS[3], k=3)
    traced = [each for each in await other.logs(slow=True) if each.trace]
    assert traced  # to these nodes all requests are slow ones
    async with live_console(cluster[0].address, size=(120, 36)) as (app, pilot):
        await pilot.press("8", "s")
        await sees(app, "slow requests")
        await eventually(lambda: table(app).row_count, app, "records")
        await pilot.press("enter")
        await on(app, RecordScreen)
        await pilot.press("t")
        await eventually(lambda: isinstance(app.screen, LogsScreen) and table(app).row_count, app, "the call's records")
        (crumb,) = screen(app).crumbs()
        assert crumb.startswith("trace ")
        assert crumb.removeprefix("trace ") in {each.trace for each in await other.logs(slow=True)}


def logged_by(app: Any) -> set[str]:
    at = [column.key for column in screen(app).columns].index("node")
    found = table(app)
    return {str(found.get_row_at(row)[at]).strip() for row in range(found.row_count)}
