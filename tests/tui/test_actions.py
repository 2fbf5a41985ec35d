"""What a person can do to the cluster from the console: each key, its question, what is sent, what is said."""

from __future__ import annotations

import csv
import json

import anyio
import numpy as np
import pytest
from textual.widgets import Input

from tests.tui.factories import FakeCluster, node, node_id, status
from tests.tui.helpers import SEED, STILL, FakeClock, console, seen, settle, table, text, until
from tui.app import ConsoleApp
from tui.config import Config
from tui.dialogs.confirm import ConfirmDialog
from tui.dialogs.form import FormDialog
from tui.screens.nodes import NodeScreen
from tui.screens.point import PointScreen
from tui.screens.points import PointsScreen
from vectron_p2p.model.errors import ConsistencyError, VersionConflict
from vectron_p2p.model.ids import PointId
from vectron_p2p.model.moves import MoveInfo
from vectron_p2p.model.points import Point

pytestmark = pytest.mark.anyio

VECTOR = np.asarray([0.25, -0.5, 1.0], dtype=np.float32)


@pytest.fixture
def fake() -> FakeCluster:
    points: dict[PointId, Point] = {at: Point(at, VECTOR, {"pos": "noun", "rank": at}, f"v{at}") for at in range(1, 4)}
    return FakeCluster(points={"docs": points})


def said(app: ConsoleApp) -> list[str]:
    return [str(note.message) for note in app._notifications]


async def fill(app: ConsoleApp, **values: str) -> None:
    for name, value in values.items():
        app.screen.query_one(f"#field-{name}", Input).value = value


class TestNodes:
    async def test_drain_is_asked_about_and_then_sent(self, fake):
        async with console(fake) as (app, pilot):
            await pilot.press("2", "j", "d")
            await settle(app, pilot)
            assert isinstance(app.screen, ConfirmDialog)
            assert "Drain n2?" in text(app)
            await pilot.press("n")
            assert fake.changes == []
            await pilot.press("d", "y")
            await until(lambda: said(app))
            assert fake.changes == [("drain", node_id(2), False, False)]
            assert said(app) == ["n2 is draining: 12 shards to go"]

    async def test_a_draining_node_can_be_kept(self, fake):
        fake.figures = status(node(1), node(2, state="draining"))
        async with console(fake) as (app, pilot):
            await pilot.press("2", "j", "enter", "d", "y")
            await until(lambda: said(app))
            assert fake.changes == [("drain", node_id(2), False, True)]
            assert said(app) == ["n2 stays"]

    async def test_remove_wants_the_name_typed(self, fake):
        async with console(fake) as (app, pilot):
            await pilot.press("2", "j", "x", "n", "enter")
            await settle(app, pilot)
            assert isinstance(app.screen, ConfirmDialog)
            assert fake.changes == []
            await pilot.press("2", "enter")
            await until(lambda: said(app))
            assert fake.changes == [("remove", node_id(2), False)]

    async def test_repair(self, fake):
        async with console(fake) as (app, pilot):
            await pilot.press("2", "e")
            await until(lambda: len(said(app)) == 2)
            assert fake.changes == [("repair", node_id(1))]
            assert said(app)[-1] == "n1: 12 replicas compared, 3 rows copied"

    async def test_a_repair_shows_how_far_it_is(self, fake):
        fake.repaired = anyio.Event()
        async with console(fake) as (app, pilot):
            await pilot.press("2", "e")
            await until(lambda: app.shared.store.progress)
            await settle(app, pilot)
            assert "n1 repairs: 4 of 12 compared, 1 row copied" in text(app)
            fake.repaired.set()
            await until(lambda: not app.shared.store.progress)
            await settle(app, pilot)
            assert "repairs:" not in text(app)

    async def test_a_drain_shows_how_far_it_is(self, fake):
        fake.figures = status(node(1), node(2, state="draining", shards=7), node(3))
        fake.moving = [
            MoveInfo("docs", 1, "n2", "n3", "both", "copy", rows=45, total=100),
            MoveInfo("docs", 2, "", "n3", "both", "copy", rows=1, total=4),
        ]
        async with console(fake, size=(120, 30)) as (app, pilot):
            await pilot.press("2")
            await settle(app, pilot)
            assert "n2 drains: 7 shards left, 45% copied · 1 shard being moved, 25% copied" in text(app)

    async def test_what_the_cluster_refuses_is_said(self, fake):
        fake.refusing = ConsistencyError("1 of 3 voters answer", acked=1, required=2)
        async with console(fake) as (app, pilot):
            await pilot.press("2", "d", "y")
            await until(lambda: said(app))
            assert said(app) == ["consistency_error: 1 of 3 voters answer"]

    async def test_without_a_connection_it_says_so(self, fake):
        fake.dead.add(SEED)
        async with console(fake, ready=False) as (app, _):
            await until(lambda: app.shared.store.link.exhausted, app)
            app.shared.actions.repair(node(1))
            await until(lambda: len(said(app)) == 2)
            assert "not connected" in said(app)[-1]


class TestCollections:
    async def test_create(self, fake):
        async with console(fake) as (app, pilot):
            await pilot.press("4", "n")
            await settle(app, pilot)
            assert isinstance(app.screen, FormDialog)
            await fill(app, name="new", dimension="384", metric="l2", shards="3")
            await pilot.press("enter")
            await settle(app, pilot)
            assert "a power of two up to 256" in text(app)
            assert fake.changes == []
            await fill(app, shards="4")
            await pilot.press("ctrl+s")
            await until(lambda: any(info.name == "new" for info in app.shared.store.collections.value or []))
            assert fake.changes == [("create", "new", 384, "l2", 4, 3)]
            await until(lambda: said(app))  # which comes after the figures
            assert said(app) == ["collection new is there"]

    async def test_a_form_names_each_wrong_field_and_escape_does_nothing(self, fake):
        async with console(fake) as (app, pilot):
            await pilot.press("4", "n")
            await settle(app, pilot)
            await fill(app, name="a b", dimension="0", metric="manhattan", replicas="many")
            await pilot.press("enter")
            await settle(app, pilot)
            shown = text(app)
            for part in ("a name is 1 to 128", "dimension lies in 1..4096", "one of cosine, dot, l2", "from 1 to 16"):
                assert part in shown
            await pilot.press("escape")
            assert fake.changes == []

    async def test_delete_wants_the_name_typed(self, fake):
        async with console(fake) as (app, pilot):
            await pilot.press("4", "x", *"doc", "enter")
            assert fake.changes == []
            await pilot.press("s", "enter")
            await until(lambda: said(app))
            assert fake.changes == [("delete", "docs")]

    async def test_replicas(self, fake):
        async with console(fake) as (app, pilot):
            await pilot.press("4", "enter", "e")
            await settle(app, pilot)
            await fill(app, replicas="2")
            await pilot.press("enter")
            await until(lambda: said(app))
            assert fake.changes == [("replicas", "docs", 2)]


class TestReadOnly:
    async def test_nothing_that_changes_the_cluster_is_offered(self, fake):
        app = ConsoleApp([SEED], fake.open, timing=STILL, clock=FakeClock(), config=Config(read_only=True))
        async with app.run_test(size=(120, 30)) as pilot:
            await until(lambda: app.shared.store.collections.value is not None)
            for keys in (("2", "d"), ("2", "x"), ("2", "e"), ("4", "n"), ("4", "x"), ("4", "e")):
                await pilot.press(*keys)
                await settle(app, pilot)
                assert not isinstance(app.screen, ConfirmDialog | FormDialog)
            assert "Drain" not in text(app)
        assert fake.changes == []


class TestPoints:
    async def test_a_point_that_cannot_be_read_says_why(self, fake):
        fake.points["docs"] = {1: Point(1, VECTOR, {}, "v1")}
        async with console(fake) as (app, pilot):
            await pilot.press("7", "enter")
            await until(lambda: table(app).row_count == 1)
            fake.refusing = ConsistencyError("1 of 2 owners answer", acked=1, required=2)
            await pilot.press("enter")
            await until(lambda: isinstance(app.screen, PointScreen))
            await until(lambda: "1 of 2 owners answer" in text(app))

    async def test_browse_look_edit_and_delete(self, fake):
        async with console(fake) as (app, pilot):
            await pilot.press("4", "s")
            await until(lambda: ("scroll", "docs", None, None) in fake.changes)
            await settle(app, pilot)
            assert isinstance(app.screen, PointsScreen)
            shown = text(app)
            for part in ("3 points", "RANK", "noun", "v2"):
                assert part in shown
            await pilot.press("j", "enter")
            await until(lambda: ("get", "docs", [2]) in fake.changes)
            await settle(app, pilot)
            assert isinstance(app.screen, PointScreen)
            shown = text(app)
            for part in (
                "Points › docs › 2",
                "v2",
                "[0.25000, -0.50000, 1.00000]",
                '"rank": 2',
                "1.145644 in 3 dimensions",
            ):
                assert part in shown
            await pilot.press("e")
            await settle(app, pilot)
            await fill(app, payload='{"pos": "verb"}')
            await pilot.press("ctrl+s")
            await until(lambda: fake.points["docs"][2].payload == {"pos": "verb"})
            assert any(change[0] == "upsert" and change[3] == "v2" for change in fake.changes)
            await until(lambda: any("is written" in each for each in said(app)))
            await settle(app, pilot)
            assert '"pos": "verb"' in text(app)
            await pilot.press("x", "y")
            await until(lambda: 2 not in fake.points["docs"])
            await until(lambda: any("is deleted" in each for each in said(app)))
            await settle(app, pilot)
            assert "is not there" in text(app)

    async def test_an_edit_that_somebody_was_faster_than(self, fake):
        async with console(fake) as (app, pilot):
            await pilot.press("4", "s")
            await until(lambda: ("scroll", "docs", None, None) in fake.changes)
            await settle(app, pilot)
            await pilot.press("enter")
            await until(lambda: ("get", "docs", [1]) in fake.changes)
            await settle(app, pilot)
            fake.refusing = VersionConflict("the point changed meanwhile", current="v9")
            await pilot.press("e")
            await settle(app, pilot)
            await pilot.press("ctrl+s")
            await until(lambda: said(app))
            assert said(app) == ["version_conflict: the point changed meanwhile"]

    async def test_search_by_id_and_by_vector_with_a_filter(self, fake):
        async with console(fake, size=(160, 48)) as (app, pilot):
            await pilot.press("7")
            await settle(app, pilot)
            for name, value in (("collection", "docs"), ("near", "2"), ("filter", '{"pos": "noun"}'), ("k", "5")):
                app.screen.query_one(f"#{name}", Input).value = value
            await pilot.press("enter")
            await until(lambda: fake.changes)
            await settle(app, pilot)
            assert fake.changes == [("search", "docs", None, 2, 5, {"pos": "noun"})]
            shown = text(app)
            for part in ("2 hits in", "1.5 ms in the cluster", "plan graph", "SCORE", "1.0000"):
                assert part in shown
            app.screen.query_one("#near", Input).value = "[1, 2, 3]"
            await pilot.press("/", "enter")
            await until(lambda: len(fake.changes) == 2)
            assert fake.changes[1] == ("search", "docs", [1.0, 2.0, 3.0], None, 5, {"pos": "noun"})

    @pytest.mark.parametrize(
        ("name", "value", "says"),
        [
            ("collection", "", "choose a collection"),
            ("near", "[1, x]", "a vector is numbers"),
            ("near", "[nan]", "finite numbers"),
            ("filter", "{", "no JSON"),
            ("filter", "[1]", "an object"),
            ("k", "0", "from 1 to 1000"),
        ],
    )
    async def test_a_query_that_is_none_is_not_sent(self, fake, name, value, says):
        async with console(fake) as (app, pilot):
            await pilot.press("7")
            await settle(app, pilot)
            app.screen.query_one("#collection", Input).value = "docs"
            app.screen.query_one(f"#{name}", Input).value = value
            await pilot.press("enter")
            await settle(app, pilot)
            assert says in text(app)
            assert fake.changes == []

    async def test_escape_leaves_the_fields_also_while_nothing_is_found(self, fake):
        async with console(fake) as (app, pilot):
            await pilot.press("7", "8")  # no field takes the number
            await until(lambda: app.current_mode == "logs")
            await pilot.press("7", "slash")
            await until(lambda: isinstance(app.focused, Input))
            await pilot.press("8")
            assert app.current_mode == "points"  # the field's
            await pilot.press("escape", "8")
            await until(lambda: app.current_mode == "logs")

    async def test_what_the_cluster_refuses_stands_in_the_answer(self, fake):
        fake.refusing = ConsistencyError("no quorum", acked=1, required=2)
        async with console(fake) as (app, pilot):
            await pilot.press("4", "s")
            await until(lambda: "no quorum" in text(app))

    async def test_new_and_pages(self, fake):
        fake.points["docs"] = {at: Point(at, VECTOR, {}, "v") for at in range(150)}
        async with console(fake) as (app, pilot):
            await pilot.press("4", "s")
            await until(lambda: table(app).row_count == 100)
            await pilot.press("]")
            await until(lambda: table(app).row_count == 50)
            await pilot.press("[")
            await until(lambda: table(app).row_count == 100)
            await pilot.press("n")
            await settle(app, pilot)
            await fill(app, id='"7"', vector="[1, 2, 3]", payload="")
            await pilot.press("ctrl+s")
            await until(lambda: "7" in fake.points["docs"])

    async def test_more_like_it(self, fake):
        async with console(fake) as (app, pilot):
            await pilot.press("4", "s")
            await until(lambda: ("scroll", "docs", None, None) in fake.changes)
            await settle(app, pilot)
            await pilot.press("enter")
            await until(lambda: ("get", "docs", [1]) in fake.changes)
            await pilot.press("m")
            await until(lambda: ("search", "docs", None, 1, 10, None) in fake.changes)


class TestRows:
    async def test_a_table_that_was_empty_has_the_keys_again(self, fake):
        async with console(fake) as (app, pilot):
            await pilot.press("2", "slash", *"nobody", "enter")
            await settle(app, pilot)
            assert "No row matches" in text(app)
            await pilot.press("escape")
            await until(lambda: table(app).row_count == 5 and table(app).has_focus)
            await pilot.press("j", "enter")
            await until(lambda: isinstance(app.screen, NodeScreen))

    async def test_copy(self, fake):
        async with console(fake) as (app, pilot):
            await pilot.press("2", "c")
            assert app.clipboard == "n1"
            await pilot.press("y")
            row = json.loads(app.clipboard)
            assert row["address"] == "127.0.0.1:7701"
            assert row["cpu"] == 7

    @pytest.mark.parametrize("ending", ["csv", "json"])
    async def test_write_what_the_filter_leaves(self, fake, tmp_path, ending):
        async with console(fake) as (app, pilot):
            await pilot.press("2", "slash", *"zone-c", "enter", "w")
            await settle(app, pilot)
            path = tmp_path / f"nodes.{ending}"
            await fill(app, path=str(path))
            await pilot.press("enter")
            await until(lambda: said(app))
            if ending == "csv":
                rows = list(csv.DictReader(path.read_text().splitlines()))
            else:
                rows = json.loads(path.read_text())
            assert [row["name"] for row in rows] == ["n2", "n5"]
            assert [int(row["points"]) for row in rows] == [61_002, 61_005]
            assert "uptime" in rows[0]

    async def test_write_refuses_what_is_no_file(self, fake, tmp_path):
        async with console(fake) as (app, pilot):
            await pilot.press("2", "w")
            await settle(app, pilot)
            for path, says in ((str(tmp_path / "x.txt"), "ends in .csv or .json"), ("/no/such/x.csv", "is no folder")):
                await fill(app, path=path)
                await pilot.press("enter")
                await settle(app, pilot)
                assert says in text(app)


class TestPace:
    async def test_pause_holds_the_figures_and_says_so(self, fake):
        async with console(fake) as (app, pilot):
            await pilot.press("2", "p")
            await settle(app, pilot)
            assert "paused" in text(app)
            fake.figures = status(node(1, cpu_percent=91.0))
            await until(lambda: len(seen(app)) == 1, app)
            app._paint_figures()
            await pilot.pause()
            assert table(app).row_count == 5
            await pilot.press("p")
            await settle(app, pilot)
            assert "91%" in text(app)
            assert "paused" not in text(app)

    async def test_slower_and_faster(self, fake):
        clock = FakeClock()
        async with console(fake, clock=clock) as (app, pilot):
            await pilot.press("2", "minus", "minus")
            await settle(app, pilot)
            assert "every 2 s" in text(app)
            app._paint_figures()
            fake.figures = status(node(1))
            await until(lambda: len(seen(app)) == 1, app)
            app._paint_figures()
            await pilot.pause()
            assert table(app).row_count == 5
            clock.now += 2.0
            app._paint_figures()
            await pilot.pause()
            assert table(app).row_count == 1
            await pilot.press("plus", "plus", "plus")
            await settle(app, pilot)
            assert "every" not in text(app).splitlines()[0]
