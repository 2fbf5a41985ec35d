"""Placement as it is drawn."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from tests.tui.factories import FakeCluster, cluster, collection, event, node, node_id, replica, shard, status
from tests.tui.helpers import console, first_column, settle, text
from tui.render import ring
from tui.render.text import plain
from tui.screens.collections import ShardScreen
from tui.snapshot import Snapshots
from vectron_p2p.model.moves import MoveInfo
from vectron_p2p.model.nodes import ShardInfo

if TYPE_CHECKING:
    from tui.render.table import Row
    from vectron_p2p.model.nodes import ClusterInfo
    from vectron_p2p.model.statistics import ReplicaStatistics

NODES = [node(1, zone="b"), node(2, zone="a"), node(3, zone="b"), node(4, zone="a", state="draining")]
MOVING = ShardInfo("docs", 1, [replica(1), replica(4), replica(3)], leaving=node_id(4), coming=node_id(2))
INFO = cluster(shard("docs", 0, replica(1), replica(2), replica(3)), MOVING, nodes=NODES)
MOVES = [MoveInfo("docs", 1, "n4", "n2", "both", "copy", rows=450, total=1000)]


def test_nodes_stand_by_zone_and_the_strip_has_a_column_for_each():
    placed = ring.Places().placement(INFO)
    assert [(share.node.name, share.letter, share.replicas) for share in placed.shares] == [
        ("n2", "a", 1),
        ("n4", "b", 1),
        ("n1", "c", 2),
        ("n3", "d", 2),
    ]
    rows = ring.Rows().table(INFO, [collection("docs")], placed, MOVES).rows
    assert [row.cells["owners"].text for row in rows] == ["a·cd", "↓bcd"]
    assert rows[1].cells["move"].text == "n4 → n2 both copy 45%"


def test_shares_and_how_even_they_are():
    placed = ring.Places().placement(INFO)
    lines = [plain(each) for each in ring.shares(placed, 76, 8)]
    assert "n2" in lines[0]
    assert "↓1" in lines[0]
    assert "↑1" in lines[1]
    assert "draining" in lines[1]
    assert lines[2].count("█") == 2 * lines[0].count("█")
    said = plain(ring.summary(placed, MOVES))
    assert "1 to 2 replicas a node" in said
    assert "1 shard being moved, 45% copied" in said
    assert "nothing is being moved" in plain(ring.summary(placed, []))


def test_more_nodes_than_lines_show_the_fullest_and_the_emptiest():
    many = [node(number) for number in range(1, 41)]
    info = cluster(
        *(shard("docs", at, *(replica(1 + (at + step) % 20) for step in range(3))) for at in range(40)), nodes=many
    )
    lines = [plain(each) for each in ring.shares(ring.Places().placement(info), 76, 7)]
    assert len(lines) == 7
    assert "34 nodes between these" in lines[-1]


def test_a_very_large_cluster_names_the_owners():
    info = cluster(shard("docs", 0, replica(1), replica(2)), nodes=[node(number) for number in range(1, 101)])
    row = ring.Rows().table(info, [], ring.Places().placement(info), []).rows[0]
    assert row.cells["owners"].text == "n1 n2"


@pytest.mark.anyio
@pytest.mark.parametrize("size", [(80, 24), (160, 48)])
async def test_the_screen(size):
    fake = FakeCluster(figures=status(*NODES), info=INFO, moving=MOVES)
    async with console(fake, size=size) as (app, pilot):
        await pilot.press("3")
        await settle(app, pilot)
        said = text(app)
        for part in ("Placement", "Shards · 2", "a·cd", "1 to 2 replicas a node", "n4 → n2"):
            assert part in said
        assert first_column(app) == ["docs", "docs"]
        await pilot.press("j", "enter")
        await settle(app, pilot)
        assert isinstance(app.screen, ShardScreen)
        assert "Shards › docs › shard 1" in text(app)
        await pilot.press("escape")
        await settle(app, pilot)
        assert "Placement" in text(app)


def test_what_has_not_changed_is_taken_over():
    held = FakeCluster(info=INFO)
    told = event(held, "127.0.0.1:7701")
    snapshots, rows = Snapshots(), ring.Rows()

    def drawn(replicas: dict[str, ReplicaStatistics]) -> dict[str, Row]:
        info = snapshots.take(dataclasses.replace(told, view={**told.view, "shards": replicas})).cluster
        return {row.key: row for row in rows.table(info, [], ring.Places().placement(info), []).rows}

    replicas = dict(told.view["shards"])
    first = drawn(replicas)
    key, replica = next(iter(replicas.items()))
    grown = drawn(replicas | {key: dataclasses.replace(replica, points=10**9)})
    shard = key.rpartition("/")[0]
    assert [each for each in first if grown[each] is not first[each]] == [shard]
    assert grown[shard].cells["points"].text == "1.00G"
    fewer = drawn({key: each for key, each in replicas.items() if not key.startswith(f"{shard}/")})
    assert list(fewer) == [each for each in first if each != shard]
    assert list(drawn(replicas)) == list(first)


def test_places_counted_on_are_as_if_counted_anew():
    def info(*shards: ShardInfo) -> ClusterInfo:
        return cluster(*shards, nodes=NODES)

    still = shard("docs", 0, replica(1), replica(2), replica(3))
    done = ShardInfo("docs", 1, [replica(1), replica(2), replica(3)])
    places = ring.Places()
    for each in (info(still, MOVING), info(still, done), info(still), info(MOVING), info(still, done)):
        assert places.placement(each) == ring.Places().placement(each)
