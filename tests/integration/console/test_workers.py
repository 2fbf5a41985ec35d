"""Nodes: repaired, drained, removed. The last file by its name, for nodes come and go here."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.console.driving import (
    eventually,
    link,
    live_console,
    on,
    says,
    sees,
    type_in,
)
from tests.tui.helpers import first_column, screen, table
from tui.dialogs.confirm import ConfirmDialog
from tui.screens.logs import LogsScreen
from tui.screens.nodes import NodeScreen
from tui.store import LinkState
from vectron_p2p import AsyncClient
from vectron_p2p.model.nodes import NodeInfo
from vectron_p2p.testing import ProcessCluster

pytestmark = [pytest.mark.processes, pytest.mark.anyio]


async def members(other: AsyncClient) -> dict[str, NodeInfo]:
    return {each.name: each for each in (await other.cluster()).nodes}


async def test_the_connections_and_the_log_of_a_node(cluster: ProcessCluster, other: AsyncClient) -> None:
    await other.status()
    async with live_console(cluster[0].address) as (app, pilot):
        await pilot.press("2")
        await sees(app, "n0", "n1", "n2")
        await pilot.press("down", "down", "enter")
        await on(app, NodeScreen)
        await sees(app, "Nodes › n2", "Replicas · ")
        await pilot.press("v")
        await sees(app, "Connections · ", "client", "peer")
        await pilot.press("l")
        await on(app, LogsScreen)
        await sees(app, "Nodes › n2 › log", "info and above")
        await eventually(lambda: len(first_column(app)) > 3, app, "records")
        nodes = [column.key for column in screen(app).columns].index("node")
        assert {str(table(app).get_row_at(row)[nodes]).strip() for row in range(table(app).row_count)} == {"n2"}


async def test_repair(cluster: ProcessCluster) -> None:
    async with live_console(cluster[0].address) as (app, pilot):
        await pilot.press("2")
        await sees(app, "n0", "n1", "n2")
        await pilot.press("e")
        await says(app, "replicas compared")


async def test_a_node_is_drained_another_dies_and_is_removed(cluster: ProcessCluster, other: AsyncClient) -> None:
    leaving, dying = cluster.add_node(), cluster.add_node()
    cluster.start_node(leaving.index, wait=False)
    cluster.start_node(dying.index)
    cluster.wait_ready(leaving.index)
    async with live_console(dying.address) as (app, pilot):
        await pilot.press("2")
        await sees(app, "n3", "n4", f"● live n4 {dying.address}")
        cluster.kill(dying.index)
        await eventually(lambda: app.shared.store.link.address != dying.address, app, "another node to answer")
        await sees(app, "● live n")
        assert link(app) is LinkState.LIVE

        await point_at(app, pilot, "n3")
        await pilot.press("d")
        await on(app, ConfirmDialog)
        await sees(app, "Drain n3?")
        await pilot.press("n")
        await pilot.pause()
        assert (await members(other))["n3"].state == "active"

        async def state(wanted: str) -> bool:
            return (await members(other))["n3"].state == wanted

        cluster.freeze(leaving.index)  # so that it is not gone before it is kept
        await eventually(
            lambda: link(app) is LinkState.LIVE and app.shared.store.link.address != leaving.address,
            app,
            "another node",
        )
        await pilot.press("d", "y")
        await eventually(lambda: state("draining"), app, "n3 to drain, at another node")
        await sees(app, "n3 drains: ")
        await pilot.press("d")
        await sees(app, "Keep n3?")
        await pilot.press("y")
        await eventually(lambda: state("active"), app, "n3 to stay, at another node")
        await says(app, "n3 stays")
        cluster.thaw(leaving.index)
        await point_at(app, pilot, "n3")
        await sees(app, "alive")

        await pilot.press("d")
        await on(app, ConfirmDialog)
        await pilot.press("y")

        async def draining() -> bool:
            found = (await members(other)).get("n3")
            return found is None or found.state != "active"

        await eventually(draining, app, "n3 to leave, at another node")

        await point_at(app, pilot, "n4")
        await sees(app, "dead")
        await pilot.press("x")
        await on(app, ConfirmDialog)
        await type_in(pilot, "n3")
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, ConfirmDialog)
        await pilot.press("backspace", "4", "enter")

        async def removed() -> bool:
            found = (await members(other)).get("n4")
            return found is None or found.state == "removed"

        await eventually(removed, app, "n4 to be removed, at another node")

        async def left() -> bool:
            found = (await members(other)).get("n3")
            return found is None or found.state == "left"

        await eventually(left, app, "n3 to have left, at another node")


async def point_at(app: Any, pilot: Any, name: str) -> None:
    """The cursor on a node's row."""
    await pilot.press("escape", "slash", *f"name={name}", "enter")
    await eventually(lambda: [each.rstrip("*") for each in first_column(app)] == [name], app, name)
