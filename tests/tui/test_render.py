"""What the screens say, without a terminal."""

from __future__ import annotations

import pytest

from tests.tui.factories import cluster, collection, node, node_id, replica, shard, silent, status, unreachable
from tui.events import Event, Severity
from tui.render import collections, link, marks, nodes, overview
from tui.render.snippets import snippets
from tui.render.table import Row, Table
from tui.render.text import Line, Tone, plain
from tui.store import Link, LinkState, Store


def _texts(row: Row) -> dict[str, str]:
    return {key: item.text for key, item in row.cells.items()}


def _row(table: Table, key: str) -> Row:
    return next(row for row in table.rows if row.key == key)


def _said(lines: list[Line]) -> str:
    return "\n".join(plain(item) for item in lines)


@pytest.mark.parametrize(
    "table",
    [
        nodes.table(status(node(1), silent(2), silent(3, "suspect"))),
        nodes.replicas(cluster(), node_id(1)),
        collections.table([collection(), collection("x", count=-1, indexed=-1, bytes=-1)]),
        collections.shard_table([shard("docs", 0), shard("docs", 1, unreachable(1))], 3, {}),
        collections.replica_table(shard("docs", 0, replica(1), unreachable(2)), {}, {}),
    ],
)
def test_every_row_has_every_column_and_columns_sort(table):
    assert table.rows
    keys = {column.key for column in table.columns}
    for row in table.rows:
        assert set(row.cells) == keys
    for key in keys:
        assert len({type(row.cells[key].sort) for row in table.rows} - {int, float}) <= 1
    assert sum(column.priority == 0 for column in table.columns) >= 1


class TestNodes:
    def test_a_living_node(self):
        texts = _texts(_row(nodes.table(status()), node_id(2)))
        assert texts["name"] == "n2"
        assert texts["liveness"] == "● alive"
        assert texts["cpu"] == "14%"
        assert texts["memory"] == "189 MiB"
        assert texts["lag"] == "3.0 ms"
        assert texts["uptime"] == "2h 02m"

    def test_the_answering_node_is_marked(self):
        assert _texts(_row(nodes.table(status()), node_id(1)))["name"] == "n1*"

    def test_a_silent_node_shows_dashes_instead_of_zeros(self):
        row = _row(nodes.table(status(node(1), silent(2))), node_id(2))
        texts = _texts(row)
        assert texts["liveness"] == "✕ dead"
        assert {texts[key] for key in ("cpu", "memory", "points", "shards", "lag", "uptime", "version")} == {"–"}
        assert row.cells["cpu"].sort == -1.0

    def test_so_does_one_that_is_believed_alive_and_did_not_answer(self):
        texts = _texts(_row(nodes.table(status(node(1), silent(2, "alive"))), node_id(2)))
        assert texts["liveness"] == "● alive"
        assert {texts[key] for key in ("cpu", "memory", "points", "lag")} == {"–"}

    def test_what_needs_a_look_stands_out(self):
        odd = node(2, read_only=True, loop_lag_ms=300.0, cpu_percent=99.0, epoch=40, disk_free_bytes=1)
        row = _row(nodes.table(status(node(1), odd)), node_id(2))
        assert row.cells["liveness"].text == "● read-only"
        tones = {key: row.cells[key].spans[0].tone for key in ("lag", "cpu", "epoch", "free")}
        assert tones == {"lag": Tone.BAD, "cpu": Tone.WARN, "epoch": Tone.WARN, "free": Tone.WARN}

    def test_states_that_this_version_does_not_know(self):
        row = _row(nodes.table(status(node(1, liveness="zombie", state="frozen"))), node_id(1))
        assert row.cells["liveness"].text == "? zombie"
        assert row.cells["state"].spans[0].tone is Tone.WARN

    def test_facts_of_a_node_behind(self):
        behind = node(1, epoch=39, read_only=True)
        facts = {name: plain(value) for name, value in nodes.facts(behind, status(behind))}
        assert facts["Epoch"] == "39 (3 behind)"
        assert facts["Writes"] == "read-only"
        assert facts["Membership"] == "active, voter"

    def test_facts_of_a_silent_node(self):
        facts = {name: plain(value) for name, value in nodes.facts(silent(2), status(node(1), silent(2)))}
        assert facts["Liveness"] == "✕ dead"
        assert facts["Address"] == "127.0.0.1:7702"
        assert facts["Points"] == facts["Writes"] == facts["Uptime"] == "–"

    def test_replicas_are_those_of_the_node(self):
        info = cluster(shard("docs", 0, replica(1), replica(2)), shard("docs", 1, replica(2)))
        assert [row.key for row in nodes.replicas(info, node_id(1)).rows] == ["docs/0"]

    def test_title_and_find(self):
        assert nodes.title(status(node(1), silent(2))) == "Nodes · 1 of 2 alive"
        assert nodes.find(None, "x") is None
        assert nodes.find(status(), "x") is None

    def test_charts_of_a_silent_node_say_nothing(self):
        charts = nodes.charts(Store(), silent(1))
        assert {chart.value for chart in charts} == {"–"}


class TestCollections:
    def test_a_row(self):
        texts = _texts(collections.table([collection()]).rows[0])
        assert texts["points"] == "100k"
        assert texts["indexed"] == "98%"
        assert texts["dimension"] == "384"

    def test_totals_that_are_not_known(self):
        texts = _texts(collections.table([collection(count=-1, indexed=-1, bytes=-1)]).rows[0])
        assert (texts["points"], texts["indexed"], texts["size"]) == ("–", "–", "–")

    def test_found_by_id_and_by_name(self):
        infos = [collection("a"), collection("b", id="")]
        assert collections.find(infos, "id-a") is infos[0]
        assert collections.find(infos, "b") is infos[1]
        assert collections.find(infos, "c") is None
        assert collections.find(None, "a") is None

    def test_shards_are_found_by_name_or_id(self):
        info = cluster(shard("docs", 0), shard("id-docs", 1), shard("other", 0))
        assert [item.shard for item in collections.shards_of(info, collection("docs"))] == [0, 1]

    @pytest.mark.parametrize(
        ("replicas", "word"),
        [
            ([replica(1), replica(2), replica(3)], "● in sync"),
            ([replica(1), replica(2)], "◐ 2 of 3"),
            ([replica(1), replica(2), replica(3, merkle_root="ff")], "◐ differs"),
            ([replica(1), replica(2), unreachable(3)], "◐ 1 silent"),
            ([replica(1), unreachable(2), unreachable(3)], "✕ no quorum"),
            ([unreachable(1), unreachable(2)], "✕ no replica"),
        ],
    )
    def test_health_of_a_shard(self, replicas, word):
        assert collections.health(shard("docs", 0, *replicas), 3)[0] == word

    def test_worse_shards_rank_lower(self):
        good = collections.health(shard("docs", 0, replica(1)), 1)[2]
        bad = collections.health(shard("docs", 0, unreachable(1)), 1)[2]
        assert bad < good

    def test_a_shard_row_names_its_owners(self):
        item = shard("docs", 0, replica(1), replica(2, state="learner", points=9), unreachable(3))
        texts = _texts(collections.shard_table([item], 3, {node_id(1): "n1", node_id(2): "n2"}).rows[0])
        assert texts["owners"].split() == ["●", "n1", "◐", "n2", "✕", node_id(3)[:8]]
        assert texts["points"] == "12,500"

    def test_a_shard_without_answers_has_dashes(self):
        texts = _texts(collections.shard_table([shard("docs", 0, unreachable(1))], 1, {}).rows[0])
        assert {texts[key] for key in ("points", "indexed", "tombstones", "size")} == {"–"}

    def test_the_odd_root_stands_out(self):
        item = shard("docs", 0, replica(1), replica(2), replica(3, merkle_root="ff"), unreachable(4))
        table = collections.replica_table(item, {node_id(1): "n1"}, {node_id(1): "alive", node_id(4): "dead"})
        tones = {row.key: row.cells["root"].spans[0].tone for row in table.rows}
        assert [tones[node_id(n)] for n in (1, 2, 3, 4)] == [Tone.MUTED, Tone.MUTED, Tone.WARN, Tone.MUTED]
        assert _row(table, node_id(4)).cells["liveness"].text == "✕ dead"
        assert _row(table, node_id(2)).cells["liveness"].text == "? unknown"

    def test_empty_says_how_to_begin(self):
        assert "vectron collection create" in _said(collections.empty())

    def test_facts(self):
        facts = {name: plain(value) for name, value in collections.facts(collection(under_replicated=2))}
        assert facts["Too few owners"] == "2 shards"
        assert facts["Placement"] == "8 shards × 3 replicas"


class TestOverview:
    def test_all_is_well(self):
        lines = overview.services(status())
        assert [item[0].text for item in lines] == ["● "] * 6

    def test_trouble_is_named(self):
        bad = status(
            node(1, hints=7, loop_lag_ms=80.0),
            silent(2, "suspect"),
            silent(3),
            under_replicated=4,
            warnings=["clock of n1 is 3 s ahead"],
        )
        said = _said(overview.services(bad))
        assert "suspect: n2; dead: n3" in said
        assert "✕ Catalog quorum 1 of 3 voters alive, 2 needed" in said
        assert "4 shards with fewer replicas than asked" in said
        assert "7 hints wait" in said
        assert "◐ Node health    loop lag ≤ 80.0 ms  most at n1" in said
        assert said.endswith("▲ clock of n1 is 3 s ahead")

    def test_one_voter_down_is_a_warning_only(self):
        assert "◐ Catalog quorum 2 of 3 voters alive" in _said(overview.services(status(node(1), node(2), silent(3))))

    def test_a_read_only_node_is_bad(self):
        assert "✕ Node health    read-only: n2" in _said(overview.services(status(node(1), node(2, read_only=True))))

    def test_nobody_alive(self):
        dead = status(silent(1), silent(2))
        assert "✕ Node health    no node answers" in _said(overview.services(dead))
        assert [chart.value for chart in overview.charts(Store(), dead)] == ["–"] * 6
        assert [card.title for card in overview.cards(dead, None)] == ["Nodes", "Points", "Collections", "Storage"]

    def test_cards(self):
        cards = {card.title: _said(list(card.lines)) for card in overview.cards(status(), [collection()])}
        assert cards == {
            "Nodes": "5 of 5 alive\n●●●●●",
            "Points": "100k\n98% in graphs",
            "Collections": "3\n8 shards",
            "Storage": "2.0 GiB used\n≥ 85.0 GiB free",
        }

    def test_points_of_silent_shards_are_not_counted_as_none(self):
        cards = overview.cards(status(), [collection(count=100), collection("b", count=-1)])
        assert _said(list(cards[1].lines)) == "≥ 100\nsome shards silent"

    def test_many_nodes_fit_on_their_card(self):
        cards = overview.cards(status(*(node(n) for n in range(1, 101))), [])
        assert plain(cards[0].lines[1]) == "●" * overview.STRIP + "…"

    def test_events_are_newest_first_and_cut_to_the_space(self):
        items = [Event(float(at), Severity.BAD, f"event {at}") for at in range(5)]
        lines = overview.events(items, 10.0, 14, 2)
        assert [plain(item) for item in lines] == ["  6s ✕ event 4", "  7s ✕ event 3"]
        assert plain(overview.events(items, 10.0, 9, 1)[0]) == "  6s ✕ e…"
        assert _said(overview.events([], 0.0, 40, 2)) == "No change seen yet."


class TestLink:
    def test_connecting(self):
        item = Link(trying="a:1", known=1)
        assert plain(link.badge(item, "", 0)) == "◌ connecting"
        assert link.banner(item, 0) == (LinkState.CONNECTING, "Connecting to a:1")
        assert _said(link.loading(item)) == "◌ Connecting to a:1 …"

    def test_live(self):
        item = Link(address="a:1", answered_at=5.0)
        assert plain(link.badge(item, "n1", 6)) == "● live n1 a:1"
        assert plain(link.badge(item, "", 6)) == "● live a:1"
        assert link.banner(item, 6) is None
        assert _said(link.loading(item)) == "◌ Waiting for the first figures …"

    def test_stale(self):
        item = Link(address="a:1", trying="b:2", answered_at=5.0, failing=True, error="no answer in time")
        assert plain(link.badge(item, "n1", 9)) == "◐ stale 4s old"
        expected = "Stale: no answer from a:1 for 4s; trying b:2 (no answer in time)"
        assert link.banner(item, 9) == (LinkState.STALE, expected)

    def test_lost(self):
        item = Link(trying="a:1", known=3, answered_at=5.0, failing=True, exhausted=True, error="refused")
        expected = "Lost: no answer from any of 3 addresses; figures are 1m old. Trying on. (refused)"
        assert link.banner(item, 65) == (LinkState.LOST, expected)
        assert "No node answers" in _said(link.failure(item, "", 65))

    def test_an_error_of_one_feed(self):
        said = _said(link.failure(Link(address="a:1", answered_at=5.0), "internal: broken", 6))
        assert "could not be read" in said
        assert "internal: broken" in said


def test_each_state_has_a_sign_of_its_own():
    for table in (marks.LIVENESS, marks.LINK, marks.SEVERITY):
        signs = [sign for sign, _ in table.values()]
        assert len(set(signs)) == len(signs)


def test_snippets_are_not_wrapped_at_80_columns():
    addresses = [f"192.168.10.{number}:7700" for number in (11, 12, 13)]
    for info in (None, collection("articles-of-2026")):
        for snippet in snippets(addresses, info):
            assert max(map(len, snippet.text.splitlines())) <= 80 - 2 - 2, snippet.text
