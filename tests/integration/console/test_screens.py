"""Every numbered screen, the ways to them and between them, the mouse, and read-only mode."""

from __future__ import annotations

import pytest
from textual.widgets import Static

from tests.integration.console.driving import (
    FIELDS,
    WORDS,
    eventually,
    live_console,
    on,
    rules,
    sees,
    type_in,
)
from tests.tui.helpers import first_column, screen, settle, table
from tui.bindings import MODES
from tui.config import Config
from tui.dialogs.confirm import ConfirmDialog
from tui.dialogs.form import FormDialog
from tui.dialogs.help import HelpScreen
from tui.dialogs.palette import Palette
from tui.screens.alerts import RulesScreen
from tui.screens.collections import CollectionScreen, ShardScreen
from tui.screens.fields import FieldsScreen
from tui.screens.nodes import NodeScreen
from tui.screens.points import PointsScreen
from tui.widgets.bars import Tab
from tui.widgets.resource_table import ResourceTable
from vectron_p2p import AsyncClient
from vectron_p2p.testing import ProcessCluster

pytestmark = [pytest.mark.processes, pytest.mark.anyio]


FIGURES = {
    "overview": ("3", "Services", "Membership", "Last minutes", "120"),
    "nodes": ("n0", "n1", "n2", "Nodes"),
    "shards": ("Placement", WORDS, "n0", "n2"),
    "collections": (WORDS, "120", "cosine"),
    "traffic": ("Traffic", "requests/s", "Operations"),
    "alerts": ("Alerts", "0 firing"),
    "points": ("collection", "near", "filter", "Nothing asked yet"),
    "logs": ("Logs", "info and above", "n0"),
    "settings": ("Settings", "durability", "command line", "3 nodes"),
    "sdk": ("connect(", WORDS),
}
"""What each numbered screen has of this cluster."""


async def test_every_screen_shows_the_cluster_and_helps(cluster: ProcessCluster) -> None:
    assert set(FIGURES) == {mode for mode, _ in MODES}
    async with live_console(cluster[0].address) as (app, pilot):
        for number, (mode, label) in enumerate(MODES, 1):
            await pilot.press("escape", str(number % 10))
            await eventually(lambda: app.current_mode == mode, app, mode)  # noqa: B023  # called before the loop goes on
            shown = await sees(app, label, f"● live n0 {cluster[0].address}", *FIGURES[mode])
            assert "Traceback" not in shown
            assert max(map(len, shown.splitlines())) <= 80
            top = screen(app)
            keys = [each.binding for each in top.active_bindings.values() if each.node is top and each.enabled]
            await pilot.press("f1")
            await on(app, HelpScreen)
            helped = "\n".join(str(each.content) for each in app.screen.query(Static))
            for sentence in (top.ABOUT.split(".")[0], *(key.tooltip for key in keys)):
                assert sentence in helped
            await pilot.press("escape")
            await eventually(lambda: not isinstance(app.screen, HelpScreen), app, "the help to close")


async def test_the_palette_finds_screens_by_other_words_and_whatever_has_a_name(cluster: ProcessCluster) -> None:
    async with live_console(cluster[0].address) as (app, pilot):

        async def choose(words: str, name: str) -> None:
            await pilot.press("escape", ":")
            await on(app, Palette)
            await type_in(pilot, words)
            await eventually(lambda: best() == name, app, f"{name} found by {words}")
            await pilot.press("enter")
            await eventually(lambda: not isinstance(app.screen, Palette), app, "the palette to close")

        def best() -> str:
            return app.screen.found[0].command.name if app.screen.found else ""  # type: ignore[attr-defined]

        for mode, word in (("sdk", "snippets"), ("points", "pt"), ("nodes", "workers"), ("traffic", "gateway")):
            await choose(word, mode)
            await eventually(lambda: app.current_mode == mode, app, mode)  # noqa: B023  # called before the loop goes on
        await choose(f"collection {WORDS}", f"collection {WORDS}")
        await on(app, CollectionScreen)
        await sees(app, f"Collections › {WORDS}", "Shards · 2")
        await choose("node n1", "node n1")
        await on(app, NodeScreen)
        await sees(app, "Nodes › n1")
        await choose(f"points {WORDS}", f"points {WORDS}")
        await on(app, PointsScreen)
        await sees(app, "100 points", "verb")


async def test_drill_down_and_back(cluster: ProcessCluster) -> None:
    async with live_console(cluster[0].address) as (app, pilot):
        await pilot.press("4")
        await sees(app, WORDS, "cosine")
        await pilot.press("enter")
        await on(app, CollectionScreen)
        await sees(app, f"Collections › {WORDS}", "Shards · 2", "Payload fields · ")
        await sees(app, *FIELDS)
        await pilot.press("f")
        await on(app, FieldsScreen)
        await eventually(lambda: set(first_column(app)) == set(FIELDS), app, "all payload fields")
        await pilot.press("escape", "enter")
        await on(app, ShardScreen)
        shown = await sees(app, f"Collections › {WORDS} › shard 0", "n0", "n1", "n2", "MERKLE")
        assert "broken" not in shown
        await pilot.press("escape", "escape")
        await sees(app, "Collections", "cosine")
        assert len(app.screen_stack) == 1
        await pilot.press("3")
        await sees(app, "Placement")
        await pilot.press("enter")
        await on(app, ShardScreen)
        await sees(app, f"Shards › {WORDS} › shard 0")
        await pilot.press("2", "j", "enter")
        await on(app, NodeScreen)
        await sees(app, "Nodes › n1", WORDS, "Last minutes", cluster[1].id)
        await pilot.press("2")
        await sees(app, "Nodes · 3")


async def test_the_mouse_and_keys_of_ones_own(cluster: ProcessCluster) -> None:
    config = Config(keys={"go-nodes": "f2", "help": "f3"})
    async with live_console(cluster[0].address, size=(120, 36), config=config) as (app, pilot):
        await pilot.press("f2")
        await eventually(lambda: app.current_mode == "nodes", app, "the screen of another key")
        before = await eventually(lambda: len(first_column(app)) == 3 and first_column(app), app, "three nodes")
        await pilot.click(ResourceTable, offset=(2, 0))
        await eventually(lambda: first_column(app) == before[::-1], app, "the order turned by a click on the label")
        await pilot.click(ResourceTable, offset=(2, 2))
        await on(app, NodeScreen)
        assert before[1].rstrip("*") in screen(app).crumbs()
        await pilot.click(next(tab for tab in app.screen.query(Tab) if tab.mode == "alerts"))
        await eventually(lambda: app.current_mode == "alerts", app, "the screen of the tab")
        await pilot.press("f3")
        await on(app, HelpScreen)


async def test_read_only_offers_nothing_that_changes(cluster: ProcessCluster, other: AsyncClient) -> None:
    before = await other.list_collections()
    async with live_console(cluster[0].address, config=Config(read_only=True)) as (app, pilot):
        for keys in ("2d", "2x", "2e", "4n", "4x", "4e", "6a", "6x", "6s"):
            await pilot.press("escape", *keys)
            await settle(app, pilot)
            assert not isinstance(app.screen, ConfirmDialog | FormDialog), keys
        await pilot.press("4", "s")
        await eventually(lambda: table(app).row_count == 100, app, "points to look at")
        await pilot.press("n")
        await settle(app, pilot)
        assert isinstance(app.screen, PointsScreen)
        await pilot.press("x")
        await settle(app, pilot)
        assert isinstance(app.screen, PointsScreen)
        await rules(app, pilot, "memory")
        for key in ("e", "o"):
            await pilot.press(key)
            await settle(app, pilot)
            assert isinstance(app.screen, RulesScreen)
        assert app.toasts == []
    assert [info.name for info in await other.list_collections()] == [info.name for info in before]
    assert not any(rule.changed and not rule.enabled for rule in (await other.alerts()).rules)


async def test_asked_now_and_left(cluster: ProcessCluster) -> None:
    async with live_console(cluster[0].address) as (app, pilot):
        app.connection.wake = lambda: app.toasts.append("asked")  # type: ignore[method-assign]
        await pilot.press("r")
        assert app.toasts == ["asked"]
        await pilot.press("q")
        await eventually(lambda: not app.is_running or app._exit, app, "the end")
    assert app.return_code == 0
