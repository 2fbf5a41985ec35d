"""Every screen and every action of the console, by its keys, on a cluster of three processes; each effect is looked for
through another node.
"""

from __future__ import annotations

import csv
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
import pytest
from textual.command import CommandList, CommandPalette
from textual.widgets import Input, Static

from tests.integration.console import eventually, fill, link, live_console, on, says, sees, type_in
from tests.integration.nodes import DIMENSION, vectors, wait_healthy
from tests.tui.helpers import first_column, screen, settle, table, text
from tui.bindings import MODES
from tui.config import Config
from tui.dialogs.confirm import ConfirmDialog
from tui.dialogs.form import FormDialog
from tui.dialogs.help import HelpScreen
from tui.screens.alerts import RulesScreen
from tui.screens.collections import CollectionScreen, ShardScreen
from tui.screens.fields import FieldsScreen
from tui.screens.logs import LogsScreen, RecordScreen
from tui.screens.nodes import NodeScreen
from tui.screens.point import PointScreen
from tui.screens.points import PointsScreen
from tui.store import LinkState
from tui.themes import LIGHT
from tui.widgets.bars import Tab
from tui.widgets.resource_table import ResourceTable
from vectron_p2p import AsyncClient, connect
from vectron_p2p.errors import NotFound
from vectron_p2p.model.alerts import Alert
from vectron_p2p.model.nodes import NodeInfo
from vectron_p2p.testing import ProcessCluster

pytestmark = [pytest.mark.processes, pytest.mark.anyio]

WORDS = "words"
FIELDS = ("pos", "rank")
POINTS = 120  # two pages
VECTORS = vectors(POINTS)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def started_cluster() -> Iterator[ProcessCluster]:
    with ProcessCluster(3, arguments=["--slow-ms", "0"]) as cluster:  # all requests are in the log, with their trace
        cluster.start()
        wait_healthy(cluster)
        with connect(cluster.connect) as db:
            points = db.create_collection(WORDS, dimension=DIMENSION, shards=2, replicas=3)
            points.upsert(
                [
                    {"id": at, "vector": VECTORS[at], "payload": {"pos": "noun" if at % 2 else "verb", "rank": at}}
                    for at in range(POINTS)
                ],
                consistency="all",
            )
        yield cluster


@pytest.fixture
def cluster(started_cluster: ProcessCluster) -> ProcessCluster:
    """Its tests leave the three nodes running."""
    return started_cluster


@pytest.fixture
async def other(cluster: ProcessCluster) -> AsyncIterator[AsyncClient]:
    """A client of another node than the console's."""
    async with AsyncClient(cluster[2].address) as db:
        yield db


# --- screens ---

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
            await on(app, CommandPalette)
            await type_in(pilot, words)
            await eventually(lambda: best() == name, app, f"{name} found by {words}")
            await pilot.press("enter")
            await eventually(lambda: not isinstance(app.screen, CommandPalette), app, "the palette to close")

        def best() -> str:
            offered = app.screen.query_one(CommandList)
            return str(offered.get_option_at_index(0).hit.text) if offered.option_count else ""  # type: ignore[attr-defined]

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


# --- tables ---


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


# --- collections and points ---


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


# --- traffic, logs, settings, snippets ---


async def test_traffic_views_and_windows(cluster: ProcessCluster, other: AsyncClient) -> None:
    await other.collection(WORDS).search(id=1)
    async with live_console(cluster[0].address, size=(120, 36)) as (app, pilot):
        await pilot.press("5")
        await sees(app, "Operations · last", "search", "client")
        for window in ("5 m", "1 h", "1 m"):
            await pilot.press("u")
            await sees(app, f"Operations · last {window}")
        await pilot.press("v")
        await sees(app, "Operations by node", "n2")
        await pilot.press("v")
        await sees(app, "Between nodes", "n0", "n1")
        await pilot.press("v")
        await sees(app, "Connections", "127.0.0.1")


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


def logged_by(app: Any) -> set[str]:
    at = [column.key for column in screen(app).columns].index("node")
    found = table(app)
    return {str(found.get_row_at(row)[at]).strip() for row in range(found.row_count)}


async def test_settings_and_snippets(cluster: ProcessCluster) -> None:
    async with live_console(cluster[0].address) as (app, pilot):
        await pilot.press("9")
        await sees(app, "of 3 nodes")
        before = table(app).row_count
        await pilot.press("f")
        await eventually(lambda: table(app).row_count > before, app, "the limits too")
        await pilot.press("slash", *"name=listen", "enter")
        await eventually(lambda: table(app).row_count == 3, app, "one setting of each node")
        await sees(app, "n0", "n1", "n2", "127.0.0.1:0")
        await pilot.press("0")
        await sees(app, "connect(", cluster[0].address)
        await pilot.press("c")
        assert cluster[0].address in app.clipboard


# --- alerts ---


async def test_alerts_and_rules(cluster: ProcessCluster, other: AsyncClient) -> None:
    async with live_console(cluster[0].address, size=(120, 36)) as (app, pilot):
        await pilot.press("6")
        await sees(app, "Nothing is wrong.")
        await rules(app, pilot, "memory")
        await pilot.press("e")
        await on(app, FormDialog)
        await fill(app, pilot, threshold="101")
        await pilot.press("ctrl+s")
        await sees(app, "threshold lies in 0..100")
        await fill(app, pilot, threshold="0", for_s="0s", severity="critical")
        await pilot.press("ctrl+s")

        async def rule() -> Any:
            return next(each for each in (await other.alerts()).rules if each.name == "memory")

        async def set_so() -> bool:
            found = await rule()
            return (found.threshold, found.for_s, found.severity) == (0.0, 0.0, "critical")

        await eventually(set_so, app, "the rule at another node")
        await sees(app, "memory*", "> 0 % used", "at once")

        async def active() -> list[Alert]:
            return [each for each in (await other.alerts()).active if each.rule == "memory"]

        async def all_three() -> bool:
            return len(await active()) == 3

        await eventually(all_three, app, "an alert about each node at another node")
        await pilot.press("escape", "escape")  # the filter, then the rules
        await eventually(lambda: not isinstance(app.screen, RulesScreen), app, "the alerts")
        await eventually(lambda: table(app).row_count == 3, app, "three alerts")
        await sees(app, "3 firing", "memory", "n0", "n1", "n2")

        async def states() -> dict[str, str]:
            return {each.name: each.state for each in await active()}

        await pilot.press("slash", *"about=n1", "enter")
        await eventually(lambda: table(app).row_count == 1, app, "one alert")
        await pilot.press("a")

        async def acknowledged() -> bool:
            return (await states())["n1"] == "acknowledged"

        await eventually(acknowledged, app, "the acknowledgement at another node")
        await sees(app, "1 acknowledged")
        await pilot.press("s")
        await on(app, FormDialog)
        await fill(app, pilot, target="memory", for_s="10m")
        await pilot.press("enter")

        async def silenced() -> bool:
            return [each.target for each in (await other.alerts()).silences] == ["memory"]

        await eventually(silenced, app, "the silence at another node")
        await pilot.press("x")

        async def resolved() -> bool:
            return "n1" not in await states()

        await eventually(resolved, app, "the resolution at another node")
        await sees(app, "1 resolved")
        await pilot.press("escape", "h")
        await eventually(lambda: table(app).row_count == 3, app, "the past")

        await rules(app, pilot, "memory")
        await sees(app, "silenced", "memory for")
        await pilot.press("o")

        async def off() -> bool:
            return not (await rule()).enabled

        await eventually(off, app, "the rule off at another node")
        await sees(app, "off")

        async def none() -> bool:
            return await active() == []

        await eventually(none, app, "no alert of a rule that is off")
        await pilot.press("o")

        async def again() -> bool:
            return bool((await rule()).enabled)

        await eventually(again, app, "the rule on again at another node")
        await other.set_alert_rule("memory", enabled=True, threshold=90.0, for_s=60.0, severity="warning")
        await other.silence_alerts("memory", 0)
        await eventually(none, app, "nothing to be wrong")


async def rules(app: Any, pilot: Any, name: str) -> None:
    """The rule on its screen, the only one on show."""
    await pilot.press("6", "e")
    await on(app, RulesScreen)
    await eventually(lambda: table(app).row_count > 5, app, "the rules")
    await pilot.press("slash", *f"rule={name}", "enter")
    await eventually(lambda: [each.rstrip("*") for each in first_column(app)] == [name], app, name)


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


# --- nodes: last, for they come and go ---


async def members(other: AsyncClient) -> dict[str, NodeInfo]:
    return {each.name: each for each in (await other.cluster()).nodes}


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
