"""Tables: sort, filter, copy, export; pause, pace and theme."""

from __future__ import annotations

import csv
import json
from typing import Any

import pytest

from tests.integration.console.driving import (
    eventually,
    fill,
    live_console,
    on,
    sees,
)
from tests.tui.helpers import first_column, screen, table, text
from tui.dialogs.form import FormDialog
from tui.themes import LIGHT
from vectron_p2p.testing import ProcessCluster

pytestmark = [pytest.mark.processes, pytest.mark.anyio]


async def test_sort_filter_copy_and_export(cluster: ProcessCluster, tmp_path: Any) -> None:
    async with live_console(cluster[0].address, size=(120, 30)) as (app, pilot):
        await pilot.press("2")
        await sees(app, "n0", "n1", "n2")
        names = [each.rstrip("*") for each in first_column(app)]
        assert names == ["n0", "n1", "n2"]
        await pilot.press("i")
        await eventually(lambda: first_column(app)[0] == "n2", app, "the reverse order")
        before = screen(app).sort.column
        await pilot.press(">")
        await eventually(lambda: screen(app).sort.column != before, app, "the next column's order")
        await pilot.press("<")
        await eventually(lambda: screen(app).sort.column == before, app, "the order before")
        await pilot.press("slash", *"name=n1", "enter")
        await eventually(lambda: first_column(app) == ["n1"], app, "the filter")
        await sees(app, "1 of 3")
        await pilot.press("c")
        assert app.clipboard == "n1"
        await pilot.press("y")
        assert json.loads(app.clipboard)["address"] == cluster[1].address
        await pilot.press("escape")
        await eventually(lambda: len(first_column(app)) == 3, app, "all again")
        await pilot.press("slash", *"!n1", "enter")
        await eventually(lambda: table(app).row_count == 2, app, "the opposite")
        for ending in ("csv", "json"):
            path = tmp_path / f"nodes.{ending}"
            await pilot.press("w")
            await on(app, FormDialog)
            await fill(app, pilot, path=str(path))
            await pilot.press("enter")
            await eventually(path.exists, app, str(path))
            written = path.read_text(encoding="utf-8")
            rows = list(csv.DictReader(written.splitlines())) if ending == "csv" else json.loads(written)
            assert sorted(row["name"].rstrip("*") for row in rows) == ["n0", "n2"]
            assert {row["address"] for row in rows} == {cluster[0].address, cluster[2].address}


async def test_pause_pace_and_theme(cluster: ProcessCluster) -> None:
    async with live_console(cluster[0].address) as (app, pilot):
        await pilot.press("2", "p")
        await sees(app, "paused", "● live")
        held = first_column_and_uptime(app)
        revision = app.shared.store.revision
        await eventually(lambda: app.shared.store.revision > revision + 1, app, "newer figures")
        await pilot.pause()
        assert first_column_and_uptime(app) == held
        await pilot.press("p")
        await eventually(lambda: "paused" not in text(app), app, "figures to go on")
        await pilot.press("minus", "minus")
        await sees(app, "every 2 s")
        await pilot.press("plus", "plus")
        await eventually(lambda: "every" not in text(app).splitlines()[0], app, "figures as they come")
        await pilot.press("t")
        await eventually(lambda: app.theme == LIGHT.name, app, "the light theme")
        await sees(app, "n0", "n1", "n2")


def first_column_and_uptime(app: Any) -> list[list[str]]:
    found = table(app)
    return [[str(each) for each in found.get_row_at(row)] for row in range(found.row_count)]
