"""The screens on a fake cluster, at the smallest and at a wide terminal."""

from __future__ import annotations

import dataclasses

import pytest

from tests.tui.factories import (
    FakeCluster,
    cluster,
    collection,
    node,
    node_id,
    replica,
    shard,
    silent,
    status,
    unreachable,
)
from tests.tui.helpers import FakeClock, console, first_column, screen, seen, settle, table, text, until
from tui.dialogs.help import HelpScreen
from tui.screens.collections import CollectionScreen, CollectionsScreen, ShardScreen
from tui.screens.nodes import NodeScreen, NodesScreen
from tui.screens.overview import OverviewScreen
from tui.store import LinkState
from tui.widgets.filter_bar import FilterBar
from tui.widgets.key_bar import KeyBar
from tui.widgets.resource_table import ResourceTable
from vectron_p2p.model.errors import Internal

pytestmark = pytest.mark.anyio

NARROW, WIDE = (80, 24), (160, 48)
SIZES = pytest.mark.parametrize("size", [NARROW, WIDE], ids=["80x24", "160x48"])


@pytest.fixture
def fake() -> FakeCluster:
    return FakeCluster()


class TestLive:
    @SIZES
    async def test_overview(self, fake, size):
        async with console(fake, size=size) as (app, _):
            said = text(app)
            assert isinstance(app.screen, OverviewScreen)
            for part in (
                "5 of 5 alive",
                "1.34M",
                "every node answers",
                "5 of 5 voters alive",
                "Changes",
                "CPU",
                "● live",
            ):
                assert part in said
            assert "n1 127.0.0.1:7701" in said

    @SIZES
    async def test_nodes(self, fake, size):
        async with console(fake, size=size) as (app, pilot):
            await pilot.press("2")
            await settle(app, pilot)
            assert isinstance(app.screen, NodesScreen)
            assert first_column(app) == ["n1*", "n2", "n3", "n4", "n5"]
            said = text(app)
            assert "Nodes · 5 of 5 alive" in said
            assert ("UPTIME" in said) == (size == WIDE)

    @SIZES
    async def test_node(self, fake, size):
        async with console(fake, size=size) as (app, pilot):
            await pilot.press("2", "j", "enter")
            await settle(app, pilot)
            assert isinstance(app.screen, NodeScreen)
            said = text(app)
            for part in (
                "Nodes › n2",
                node_id(2),
                "● alive",
                "61,002 in 12 replicas",
                "Replicas · ",
                "docs",
                "Last minutes",
            ):
                assert part in said

    @SIZES
    async def test_collections(self, fake, size):
        async with console(fake, size=size) as (app, pilot):
            await pilot.press("4")
            await settle(app, pilot)
            assert isinstance(app.screen, CollectionsScreen)
            assert first_column(app) == ["docs", "images", "notes"]
            assert "1.24M" in text(app)

    @SIZES
    async def test_collection_and_shard(self, fake, size):
        fake.info = cluster(
            shard("docs", 0),
            shard("docs", 1, replica(1), unreachable(2), replica(3)),
            shard("images", 0),
        )
        async with console(fake, size=size) as (app, pilot):
            await pilot.press("4", "enter")
            await settle(app, pilot)
            assert isinstance(app.screen, CollectionScreen)
            said = text(app)
            for part in (
                "Collections › docs",
                "384 × float32, cosine",
                "Shards · 2",
                "● in sync",
                "◐ 1 silent",
                "✕ n2",
            ):
                assert part in said
            await pilot.press("down", "enter")
            await settle(app, pilot)
            assert isinstance(app.screen, ShardScreen)
            said = text(app)
            assert "Collections › docs › shard 1" in said
            assert "docs › shard 1 · ◐ 1 silent" in said
            assert first_column(app) == ["n1", "n2", "n3"]
            await pilot.press("enter")
            assert isinstance(app.screen, ShardScreen)
            await pilot.press("escape", "escape")
            assert isinstance(app.screen, CollectionsScreen)

    async def test_figures_follow_the_cluster(self, fake):
        async with console(fake) as (app, pilot):
            await pilot.press("2")
            fake.figures = status(node(1), silent(2), node(3))
            await until(lambda: seen(app)[1].liveness == "dead", app)
            await settle(app, pilot)
            assert "✕ dead" in text(app)
            await pilot.press("1")
            await settle(app, pilot)
            said = text(app)
            assert "n2: alive → dead" in said
            assert "dead: n2" in said

    @pytest.mark.parametrize("size", [(40, 12), (20, 5), (200, 60)])
    async def test_odd_terminals(self, fake, size):
        async with console(fake, size=size) as (app, pilot):
            for keys in ("1", "2", "enter", "4", "enter", "enter", "question_mark"):
                await pilot.press(keys)
                await settle(app, pilot)

    async def test_a_terminal_that_changes_its_size(self, fake):
        async with console(fake, size=WIDE) as (app, pilot):
            await pilot.press("2")
            await pilot.resize_terminal(*NARROW)
            await settle(app, pilot)
            assert "UPTIME" not in text(app)
            await pilot.resize_terminal(*WIDE)
            await settle(app, pilot)
            assert "UPTIME" in text(app)

    async def test_a_terminal_that_changes_its_size_while_another_screen_is_on_top(self, fake):
        async with console(fake, size=WIDE) as (app, pilot):
            await pilot.press("2", "3")
            for size, there in ((NARROW, False), (WIDE, True)):
                await pilot.resize_terminal(*size)
                await pilot.press("2")
                await until(lambda: app.screen.size == size)  # noqa: B023  # ends in this round
                await settle(app, pilot)
                assert ("UPTIME" in text(app)) is there
                await pilot.press("3")


NUMBERED = [(str(number),) for number in range(10)]


class TestOtherStates:
    @pytest.mark.parametrize("keys", NUMBERED)
    async def test_loading(self, keys):
        async with console(FakeCluster(hanging={"127.0.0.1:7701"}), ready=False) as (app, pilot):
            await pilot.press(*keys)
            await settle(app, pilot)
            said = text(app)
            assert "◌ connecting" in said
            assert "Connecting to 127.0.0.1:7701 …" in said

    @pytest.mark.parametrize("keys", NUMBERED)
    async def test_error(self, keys):
        async with console(FakeCluster(dead={"127.0.0.1:7701"}), ready=False) as (app, pilot):
            await until(lambda: app.shared.store.link.exhausted, app)
            await pilot.press(*keys)
            await settle(app, pilot)
            said = text(app)
            assert "✕ lost" in said
            assert "No node answers" in said
            assert "vectron node --data DIR" in said

    async def test_an_error_of_the_details_alone(self):
        async with console(FakeCluster(failing=Internal("a defect"))) as (app, pilot):
            await pilot.press("4", "enter", "enter")
            await until(lambda: app.shared.store.details.error)
            await settle(app, pilot)
            said = text(app)
            assert "● live" in said
            assert "These figures could not be read" in said
            assert "internal: a defect" in said

    async def test_empty(self, fake):
        fake.infos, fake.info = [], dataclasses.replace(cluster(), shards=[])
        async with console(fake) as (app, pilot):
            await pilot.press("4")
            await settle(app, pilot)
            assert "No collections yet" in text(app)
            await pilot.press("2")
            await settle(app, pilot)
            await pilot.press("enter")
            await settle(app, pilot)
            assert "No replica is placed on this node." in text(app)

    @pytest.mark.parametrize(
        ("keys", "kept"),
        [
            (("1",), "5 of 5 alive"),
            (("2",), "127.0.0.1:7705"),
            (("2", "enter"), "n1"),
            (("3",), "Placement"),
            (("4",), "images"),
            (("4", "enter"), "Shards · 8"),
            (("5",), "requests/s"),
            (("6",), "Services"),
            (("7",), "docs"),
            (("8",), "Logs"),
            (("9",), "Settings"),
            (("0",), "connect("),
        ],
    )
    async def test_stale(self, fake, keys, kept):
        clock = FakeClock()
        async with console(fake, clock=clock) as (app, pilot):
            await pilot.press(*keys)
            clock.now += 7
            await settle(app, pilot)
            said = text(app)
            assert "◐ stale 7s old" in said
            assert "Stale: no answer from 127.0.0.1:7701 for 7s" in said
            assert kept in said
            assert app.screen.has_class("-old")
            assert "● live" not in said

    async def test_lost_and_back_through_another_peer(self, fake):
        async with console(fake) as (app, pilot):
            fake.dead |= {member.address for member in fake.figures.nodes}
            await until(lambda: app.shared.store.link.exhausted, app)
            await settle(app, pilot)
            assert "Lost: no answer from any of 5 addresses" in text(app)
            assert "5 of 5 alive" in text(app)
            fake.dead.remove("127.0.0.1:7704")
            await until(lambda: app.shared.store.link.state(app.shared.clock()) is LinkState.LIVE, app)
            await settle(app, pilot)
            said = text(app)
            assert "● live n4 127.0.0.1:7704" in said
            assert "Lost" not in said
            assert not app.screen.has_class("-old")

    async def test_what_was_opened_and_then_removed(self, fake):
        async with console(fake) as (app, pilot):
            await pilot.press("2", "enter")
            await settle(app, pilot)
            await pilot.press("4", "enter", "enter")
            await settle(app, pilot)
            fake.figures, fake.infos = status(node(2), node(3)), []
            await until(lambda: app.shared.store.collections.value == [] and len(seen(app)) == 2, app)
            await settle(app, pilot)
            assert "docs exists no longer" in text(app) or "id-docs exists no longer" in text(app)
            await pilot.press("escape")
            await settle(app, pilot)
            assert "docs exists no longer" in text(app)
            await pilot.press("2")
            await settle(app, pilot)
            assert "n1 is no longer a member" in text(app)


class TestTable:
    async def test_filter(self, fake):
        async with console(fake) as (app, pilot):
            await pilot.press("2", "slash", *"zone-c")
            await settle(app, pilot)
            assert first_column(app) == ["n2", "n5"]
            assert "/zone-c · 2 of 5" in text(app)
            await pilot.press("enter", "j", "enter")
            await settle(app, pilot)
            assert "Nodes › n5" in text(app)
            await pilot.press("escape", "escape")
            await settle(app, pilot)
            assert len(first_column(app)) == 5
            assert not app.screen.query_one(FilterBar).has_class("-open")

    async def test_a_filter_that_nothing_matches_and_brackets(self, fake):
        async with console(fake) as (app, pilot):
            await pilot.press("2", "slash", *"[x/]")
            await settle(app, pilot)
            assert "No row matches /[x/]" in text(app)
            await pilot.press("escape")
            await settle(app, pilot)
            assert len(first_column(app)) == 5
            assert app.focused is table(app)

    async def test_an_empty_filter_closes_its_line(self, fake):
        async with console(fake) as (app, pilot):
            await pilot.press("2", "slash", "enter")
            await settle(app, pilot)
            assert not app.screen.query_one(FilterBar).has_class("-open")

    async def test_sort_by_key(self, fake):
        async with console(fake) as (app, pilot):
            await pilot.press("2", "i")
            await settle(app, pilot)
            assert first_column(app) == ["n5", "n4", "n3", "n2", "n1*"]
            assert "NODE▼" in text(app)
            await pilot.press("greater_than_sign", "greater_than_sign", "greater_than_sign")
            await settle(app, pilot)
            assert "CPU▼" in text(app)
            assert first_column(app)[0] == "n5"
            await pilot.press("less_than_sign")
            await settle(app, pilot)
            assert "ADDRESS▲" in text(app)

    async def test_sort_by_a_click_on_the_header(self, fake):
        async with console(fake) as (app, pilot):
            await pilot.press("2")
            await settle(app, pilot)
            for expected in ("NODE▼", "NODE▲"):
                await pilot.click(table(app), offset=(2, 0))
                await settle(app, pilot)
                assert expected in text(app)

    async def test_the_selection_stays_with_its_row(self, fake):
        async with console(fake) as (app, pilot):
            await pilot.press("2", "j", "j")
            assert table(app).cursor_key == node_id(3)
            await pilot.press("i")
            await settle(app, pilot)
            assert table(app).cursor_key == node_id(3)
            fake.figures = status(node(3), node(4, cpu_percent=77.0))
            await until(lambda: len(seen(app)) == 2, app)
            await settle(app, pilot)
            assert table(app).cursor_key == node_id(3)
            assert "77%" in text(app)
            fake.figures = status(node(4))
            await until(lambda: len(seen(app)) == 1, app)
            await settle(app, pilot)
            assert table(app).cursor_key == node_id(4)

    async def test_changed_cells_are_drawn_anew_without_rebuilding(self, fake):
        async with console(fake) as (app, pilot):
            await pilot.press("2")
            await settle(app, pilot)
            rows = next(table(app).get_row_at(row) for row in range(5))[:1]
            fake.figures = status(*(node(n, loop_lag_ms=9.0) for n in range(1, 6)))
            await until(lambda: seen(app)[0].loop_lag_ms == 9.0, app)
            await settle(app, pilot)
            assert text(app).count("9.0 ms") == 5
            assert next(table(app).get_row_at(row) for row in range(5))[:1] == rows

    async def test_many_rows_are_all_there(self, fake):
        fake.infos = [collection(f"c{number:04}") for number in range(1200)]
        async with console(fake) as (app, pilot):
            await pilot.press("4")
            await settle(app, pilot)
            assert table(app).row_count == 1200
            await pilot.press("G")
            assert "c1199" in text(app)
            await pilot.press("k", "g")
            assert "c0000" in text(app)
            assert screen(app).can_go_back() is False

    async def test_names_are_text_not_markup(self, fake):
        fake.figures = status(node(1, name="[red]x[/]", zone="[b"))
        fake.infos = [collection("a.b_c-d")]
        async with console(fake, size=WIDE) as (app, pilot):
            for keys in ("2", "enter"):
                await pilot.press(keys)
                await settle(app, pilot)
                assert "[red]x[/]" in text(app)


async def test_the_last_line_has_help_and_quit_at_80_columns_and_takes_clicks(fake):
    async with console(fake) as (app, pilot):
        await pilot.press("4", "enter")
        await settle(app, pilot)
        last = text(app).splitlines()[-1]
        assert all(word in last for word in ("Back", "Help", "Quit", "Delete"))
        await pilot.click(KeyBar, offset=(last.index("Help"), 0))
        await until(lambda: isinstance(app.screen, HelpScreen))
        await pilot.press("escape")
        await settle(app, pilot)
        await pilot.click(KeyBar, offset=(last.index("Back"), 0))
        await until(lambda: len(app.screen_stack) == 1)


async def test_keys_never_take_more_than_the_line(fake):
    async with console(fake) as (app, pilot):
        await pilot.press("2")
        await settle(app, pilot)
        keys = app.screen.query_one(KeyBar)
        for keys.compact in (False, True):
            for width in range(100):
                fitting = keys.fitting(width)
                assert sum(len(written) + len(label) + 3 - keys.compact for _, written, label in fitting) <= width + 1
        assert [label for _, _, label in keys.fitting(8)] == ["Help"]
        assert keys.fitting(3) == []


async def test_the_mouse_sorts_and_chooses(fake):
    async with console(fake) as (app, pilot):
        await pilot.press("2")
        await settle(app, pilot)
        before = first_column(app)
        await pilot.click(ResourceTable, offset=(3, 0))  # the label of the sorted column: the other way round
        await settle(app, pilot)
        assert first_column(app) == before[::-1]
        await pilot.hover(ResourceTable, offset=(3, 2))
        await pilot.click(ResourceTable, offset=(3, 3))
        await until(lambda: len(app.screen_stack) == 2)
        assert before[::-1][2].rstrip("*") in text(app)


async def test_wide_characters_are_cut_by_the_cells_they_take(fake):
    fake.figures = status(node(1, name="数据库" * 12), node(2))
    async with console(fake, size=WIDE) as (app, pilot):
        await pilot.press("2")
        await settle(app, pilot)
        assert table(app).row_count == 2
        assert {line.cell_length for line in app.screen._compositor.render_strips()} == {WIDE[0]}
