"""Collections come, change and go."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.console.driving import (
    WORDS,
    eventually,
    fill,
    live_console,
    on,
    says,
    sees,
    type_in,
)
from tests.tui.helpers import first_column
from tui.dialogs.confirm import ConfirmDialog
from tui.dialogs.form import FormDialog
from vectron_p2p import AsyncClient
from vectron_p2p.errors import NotFound
from vectron_p2p.testing import ProcessCluster

pytestmark = [pytest.mark.processes, pytest.mark.anyio]


async def test_a_collection_is_created_changed_and_deleted(cluster: ProcessCluster, other: AsyncClient) -> None:
    async with live_console(cluster[0].address) as (app, pilot):
        await pilot.press("4")
        await sees(app, WORDS)
        await pilot.press("n")
        await on(app, FormDialog)
        await fill(app, pilot, name="driven", dimension="0", metric="manhattan", shards="3")
        await pilot.press("enter")
        await sees(app, "dimension lies in 1..4096", "one of cosine, dot, l2", "a power of two up to 256")
        assert "driven" not in [info.name for info in await other.list_collections()]
        await fill(app, pilot, dimension="4", metric="l2", shards="2")
        await pilot.press("ctrl+s")

        async def info() -> Any:
            return next((each for each in await other.list_collections() if each.name == "driven"), None)

        made = await eventually(info, app, "the collection at another node")
        assert (made.dimension, made.metric, made.shards, made.replicas) == (4, "l2", 2, 3)
        await says(app, "collection driven is there")
        await eventually(lambda: "driven" in first_column(app), app, "its row")

        await pilot.press("slash", *"name=driven", "enter")
        await eventually(lambda: first_column(app) == ["driven"], app, "its row alone")
        await pilot.press("e")
        await on(app, FormDialog)
        await fill(app, pilot, replicas="2")
        await pilot.press("enter")

        async def two() -> bool:
            return (await info()).replicas == 2

        await eventually(two, app, "two replicas at another node")
        await pilot.press("x")
        await on(app, ConfirmDialog)
        await type_in(pilot, "drive")
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, ConfirmDialog)
        assert await info() is not None
        await pilot.press("n", "enter")

        async def gone() -> bool:
            return await info() is None

        await eventually(gone, app, "the collection to be gone at another node")
        await says(app, "collection driven is deleted")
        with pytest.raises(NotFound):
            await other.collection("driven").count()
