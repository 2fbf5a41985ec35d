"""What nodes tell of their peers and callers in a large cluster."""

from __future__ import annotations

import dataclasses
from typing import Any

import trio

from tests.unit.node.large import OPERATIONS, Large, of_node
from vectron_p2p.model.traffic import RoundTripFigures, TrafficFigures
from vectron_p2p.model.watching import TOPICS
from vectron_p2p.node.event_parts import PART_CONTAINERS, containers, parts
from vectron_p2p.node.shortlist import LEAST, shortlist
from vectron_p2p.node.statistics import SLICE
from vectron_p2p.protocol import messages as m
from vectron_p2p.protocol import registry

OTHERS = [f"n{number:02}" for number in range(99)]


def test_a_large_cluster_tells_of_the_worst_peers() -> None:
    whole = of_node("me", OTHERS)
    peers = {each.node: each for each in whole.traffic.peers}
    for node, changes in {
        "n03": {"breaker": "open"},
        "n50": {"breaker": "half_open"},
        "n70": {"slow": True},
        "n80": {"failures": 4},
        "n90": {"round_trips": {"other": RoundTripFigures(90.0, 200.0, 3)}},
    }.items():
        peers[node] = dataclasses.replace(peers[node], **changes)  # type: ignore[arg-type]
    told = shortlist(dataclasses.replace(whole, traffic=TrafficFigures(list(peers.values()), peer_count=99)), 100)
    assert len(told.traffic.peers) == len(told.peers) == len(told.callers) == LEAST
    assert {"n03", "n50", "n70", "n80", "n90"} < {each.node for each in told.traffic.peers}
    assert {each.node for each in told.peers} == {each.node for each in told.traffic.peers}
    assert (told.traffic.peer_count, told.connections) == (99, whole.connections)


def test_a_peer_that_cannot_be_dialled_counts_although_no_call_was_made() -> None:
    whole = of_node("me", OTHERS)
    dials = [dataclasses.replace(each, failures=3 * (each.node == "n60")) for each in whole.peers]
    called = [each for each in whole.traffic.peers if each.node != "n60"]
    told = shortlist(dataclasses.replace(whole, peers=dials, traffic=TrafficFigures(called)), 100)
    assert "n60" in {each.node for each in told.peers}


def test_a_small_cluster_tells_of_all() -> None:
    whole = of_node("me", OTHERS[:33])
    assert shortlist(whole, 34) == dataclasses.replace(whole, callers=whole.callers[:35])
    assert shortlist(whole, 3) == whole


async def test_events_of_a_large_cluster_can_be_read_and_hold_no_loop() -> None:
    large = Large()
    together: dict[str, dict[str, Any]] = {}
    for part in parts({}, await large.topics.read([name for name in TOPICS if name != "alerts"])):
        if part is None:
            continue
        reply = registry.decode(registry.encode(m.WatchReply("s", 1, "n", 1.7e9, 7, True, part.changed)))
        assert containers(reply.changed) <= 2 * PART_CONTAINERS
        for topic, values in reply.changed.items():
            together.setdefault(topic, {}).update(values)
    assert len(together["shards"]) == 15_000
    assert len(together["operations"]) == 101
    assert len(together["operations"][""]) == 3 * OPERATIONS
    assert {each["traffic"]["peer_count"] for each in together["statistics"].values()} == {99}
    assert {each["shards"] for each in together["totals"].values()} == {200}
    assert {each["count"] for each in together["collections"].values()} == {
        each["points"] for each in together["totals"].values()
    }
    # One message with all of it is what `statistics()` is answered with.
    whole = m.WatchReply("s", 1, "n", 1.7e9, 7, True, together)
    assert len(registry.decode(registry.encode(whole)).changed["shards"]) == 15_000


async def test_others_get_their_turn_while_topics_are_read() -> None:
    large = Large(nodes=20, collections=5, shards=100)
    names = [name for name in TOPICS if name != "alerts"]
    turns = 0
    done = False

    async def count() -> None:
        nonlocal turns
        while not done:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count)
        await large.topics.read(names)
        done = True
    # Each node twice over (figures, operations, replicas), each collection, 1,500 replicas in slices, 75 windows.
    assert turns > 3 * 20 + 2 * 5 + 1500 // SLICE + 75
