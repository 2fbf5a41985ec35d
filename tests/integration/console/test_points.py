"""Points: browsed, written, deleted, searched."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from textual.widgets import Input

from tests.integration.console.driving import (
    POINTS,
    VECTORS,
    WORDS,
    eventually,
    fill,
    live_console,
    on,
    sees,
)
from tests.integration.nodes import DIMENSION
from tests.tui.helpers import screen, table, text
from tui.dialogs.confirm import ConfirmDialog
from tui.dialogs.form import FormDialog
from tui.screens.point import PointScreen
from tui.screens.points import PointsScreen
from vectron_p2p import AsyncClient
from vectron_p2p.testing import ProcessCluster

pytestmark = [pytest.mark.processes, pytest.mark.anyio]


async def test_points_are_browsed_written_and_deleted(cluster: ProcessCluster, other: AsyncClient) -> None:
    points = other.collection(WORDS)
    async with live_console(cluster[0].address) as (app, pilot):
        await pilot.press("4")
        await sees(app, WORDS)
        await pilot.press("s")
        await on(app, PointsScreen)
        await eventually(lambda: table(app).row_count == 100, app, "a page of points")
        await pilot.press("]")
        await eventually(lambda: table(app).row_count == POINTS - 100, app, "the second page")
        await pilot.press("[")
        await eventually(lambda: table(app).row_count == 100, app, "the first page")

        await pilot.press("n")
        await on(app, FormDialog)
        await fill(app, pilot, id="driven", vector="[1, 2]", payload="{")
        await pilot.press("enter")
        await sees(app, "no JSON")
        vector = [0.5] * DIMENSION
        await fill(app, pilot, vector=json.dumps(vector), payload='{"pos": "driven", "rank": 1000}')
        await pilot.press("ctrl+s")

        async def payload() -> Any:
            (found,) = await points.get(["driven"])
            return found and found.payload

        assert await eventually(payload, app, "the point at another node") == {"pos": "driven", "rank": 1000}

        await browse(app, pilot, filter='{"pos": "driven"}')
        await eventually(lambda: table(app).row_count == 1, app, "the point alone")
        await pilot.press("enter")
        await on(app, PointScreen)
        await sees(app, f'Points › {WORDS} › "driven"', '"rank": 1000', f"in {DIMENSION} dimensions")
        await pilot.press("e")
        await on(app, FormDialog)
        await fill(app, pilot, payload='{"pos": "driven", "rank": 2000}')
        await pilot.press("ctrl+s")

        async def changed() -> bool:
            return bool((await payload())["rank"] == 2000)

        await eventually(changed, app, "the change at another node")
        await sees(app, '"rank": 2000')
        await pilot.press("y")
        assert json.loads(app.clipboard)["payload"]["rank"] == 2000
        await pilot.press("x")
        await on(app, ConfirmDialog)
        await pilot.press("y")

        async def gone() -> bool:
            return await payload() is None

        await eventually(gone, app, "the point to be gone at another node")
        await sees(app, "is not there")
        await pilot.press("escape")
        await eventually(lambda: "No points" in text(app), app, "the list without it")


async def browse(app: Any, pilot: Any, *, near: str = "", filter: str = "", k: str = "10") -> None:
    """Runs a query."""
    await on(app, PointsScreen)
    for name, value in (("collection", WORDS), ("near", near), ("filter", filter), ("k", k)):
        app.screen.query_one(f"#{name}", Input).value = value
    app.screen.query_one("#near", Input).focus()
    await pilot.press("enter")


async def test_searches(cluster: ProcessCluster, other: AsyncClient) -> None:
    points = other.collection(WORDS)
    async with live_console(cluster[0].address, size=(120, 36)) as (app, pilot):
        await pilot.press("7")
        await sees(app, "Nothing asked yet", WORDS)

        def ids() -> list[int]:
            found = table(app)
            return [int(str(found.get_row_at(row)[1])) for row in range(found.row_count)]

        async def matches(near: str, filter: dict[str, Any] | None, k: int, **query: Any) -> None:
            expected = [hit.id for hit in (await points.search(**query, filter=filter, k=k)).hits]
            await browse(app, pilot, near=near, filter=json.dumps(filter) if filter else "", k=str(k))
            await eventually(lambda: ids() == expected, app, f"{near} {filter}: {expected}")
            await sees(app, f"{k} hits in", "in the cluster", "plan", "SCORE")

        await matches("7", None, 5, id=7)
        vector = VECTORS[11] + np.float32(0.01)
        await matches(json.dumps([float(each) for each in vector]), None, 4, vector=vector)
        await matches("8", {"pos": "noun", "rank": {"$gte": 50}}, 3, id=8)
        await browse(app, pilot, near="[1, 2]")
        await sees(app, "dimension")
        await browse(app, pilot, near="no such point")
        await sees(app, "✕")
        await browse(app, pilot, near="9", k="2")
        await eventually(lambda: table(app).row_count == 2, app, "two hits")
        await pilot.press("enter")
        await on(app, PointScreen)
        await sees(app, '"rank"')
        like = screen(app).id_
        await pilot.press("m")
        await on(app, PointsScreen)
        await eventually(lambda: app.screen.query_one("#near", Input).value == str(like), app, "more like it")
        await sees(app, "2 hits in")
