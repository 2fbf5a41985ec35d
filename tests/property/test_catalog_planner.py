"""The planner: random clusters change, the moves that it wants are made, and what comes out is measured anew."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from vectron_p2p.catalog import commands as c
from vectron_p2p.catalog.apply import apply
from vectron_p2p.catalog.apply_moves import MAX_MOVES, STREAMS, streams
from vectron_p2p.catalog.planner import basis, next_move, startable, targets
from vectron_p2p.catalog.state import ClusterState, found
from vectron_p2p.model.collections import CollectionOptions
from vectron_p2p.model.ids import Address, ClusterId, CollectionId, NodeId, OperationId
from vectron_p2p.model.nodes import NodeState

HOME = Address("10.0.0.1", 7700)


@dataclass
class World:
    """A cluster whose commands are applied at once."""

    state: ClusterState
    done: int = 0

    @classmethod
    def of(cls, zones: list[str]) -> World:
        world = cls(found(ClusterId("cluster"), NodeId("n00"), "n00", HOME, zones[0]))
        for zone in zones[1:]:
            world.join(zone)
        return world

    def take(self, command: c.Command) -> bool:
        """Whether it was not refused."""
        after, result = apply(self.state, command)
        self.done += 1
        self.state = replace(after or self.state, epoch=self.state.epoch + 1)
        return "error" not in result

    def operation(self) -> OperationId:
        return OperationId(f"op{self.done}")

    def join(self, zone: str) -> None:
        node = NodeId(f"n{len(self.state.members):02}")
        assert self.take(c.AddMember(node, node, HOME, zone))
        assert self.take(c.ActivateMember(node))

    def create(self, shards: int, replicas: int) -> None:
        name = f"c{len(self.state.collections)}"
        options = CollectionOptions(dimension=4, shards=shards, replicas=replicas)
        assert self.take(c.CreateCollection(self.operation(), CollectionId(name), name, options, False))

    def settle(self) -> int:
        """Makes the moves that are wanted, many at a time, until there are none; how many replicas were copied."""
        copied = 0
        for _ in range(10_000):
            planned, wanted = basis(self.state), targets(self.state)
            if not wanted:
                return copied
            while moves := startable(self.state, wanted):
                for move in moves:
                    assert self.take(move.command()), move
                    copied += move.coming is not None
                self.check_limits()
                for under_way in list(self.state.moves.values()):
                    for step in ("both", "read_new"):
                        shard = under_way.shard
                        assert self.take(c.AdvanceMove(shard.collection, shard.index, under_way.id, step))
                    self.check_quorum()
            assert basis(self.state) == planned  # its own moves are no reason to plan again
            assert not any(next_move(self.state, shard, target) for shard, target in wanted.items())
        raise AssertionError("the planner always wants something")

    def check_limits(self) -> None:
        assert len(self.state.moves) <= MAX_MOVES
        into, out = streams(self.state)
        assert max([0, *into.values(), *out.values()]) <= STREAMS

    def check_quorum(self) -> None:
        """Of each shard's N owners N-W+1 are there: what a quorum of W has acknowledged, one of them has."""
        for collection in self.state.collections.values():
            for owners in collection.placement:
                assert len(set(owners)) == len(owners)
                there = [node for node in owners if self.state.members[node].state is not NodeState.REMOVED]
                assert len(there) >= len(owners) - (len(owners) // 2 + 1) + 1

    def check_end(self) -> None:
        """What holds when nothing is wanted any more: every shard has its owners, in as many zones as can be, and
        every node its share, as far as the zones permit."""
        zone = {member.node: member.zone for member in self.state.active()}
        load: Counter[NodeId] = Counter(dict.fromkeys(zone, 0))
        for collection in self.state.collections.values():
            wanted = min(collection.options.replicas, len(zone))
            counts: Counter[NodeId] = Counter(dict.fromkeys(zone, 0))
            for owners in collection.placement:
                assert len(owners) == wanted
                assert set(owners) <= set(zone)
                assert len({zone[owner] for owner in owners}) == min(wanted, len(set(zone.values())))
                counts.update(owners)
            load.update(counts)
            for one in zone.values():  # within a zone nothing is in the way
                here = [counts[node] for node in zone if zone[node] == one]
                assert max(here) - min(here) <= 1
            if len(set(zone.values())) == 1:
                assert max(counts.values()) - min(counts.values()) <= 1
        if len(set(zone.values())) == 1:
            assert max(load.values()) - min(load.values()) <= 1


def fewest(state: ClusterState) -> int:
    """Replicas that have to be copied whatever one does, in a cluster of one zone with one collection: the cheapest
    flow from shards over nodes to shares, where an owner that stays costs nothing and any other one copy.
    """
    (collection,) = state.collections.values()
    nodes = [member.node for member in state.active()]
    wanted = min(collection.options.replicas, len(nodes))
    share, odd = divmod(wanted * collection.shards, len(nodes))
    edges: list[list[int]] = []  # from, to, room, cost; the one back follows each
    leaving: dict[int, list[int]] = {}
    number = {node: 2 + collection.shards + rank for rank, node in enumerate(nodes)}
    spare = 2 + collection.shards + len(nodes)

    def edge(start: int, end: int, room: int, cost: int) -> None:
        for here, there, free, price in ((start, end, room, cost), (end, start, 0, -cost)):
            leaving.setdefault(here, []).append(len(edges))
            edges.append([here, there, free, price])

    for index, owners in enumerate(collection.placement):
        edge(0, 2 + index, wanted, 0)
        for node in nodes:
            edge(2 + index, number[node], 1, 0 if node in owners else 1)
    for node in nodes:
        edge(number[node], 1, share, 0)
        edge(number[node], spare, 1, 0)
    edge(spare, 1, odd, 0)
    total = 0
    while True:
        cost, by, queue = {0: 0}, dict[int, int](), [0]
        while queue:
            here = queue.pop(0)
            for each in leaving[here]:
                _, there, room, price = edges[each]
                if room and cost[here] + price < cost.get(there, 10**6):
                    cost[there], by[there] = cost[here] + price, each
                    queue.append(there)
        if 1 not in cost:
            return total
        total += cost[1]
        here = 1
        while here:
            edges[by[here]][2] -= 1
            edges[by[here] ^ 1][2] += 1
            here = edges[by[here]][0]


changes = st.lists(
    st.one_of(
        st.tuples(st.just("join"), st.integers(0, 3)),
        st.tuples(st.just("drain"), st.integers(0, 30)),
        st.tuples(st.just("remove"), st.integers(0, 30)),
        st.tuples(st.just("replicas"), st.integers(1, 5)),
    ),
    min_size=1,
    max_size=6,
)
shapes = st.lists(st.tuples(st.sampled_from([1, 2, 4, 8, 16]), st.integers(1, 5)), min_size=1, max_size=4)


def change(world: World, kind: str, number: int, zones: int) -> bool:
    """Whether the cluster took the change."""
    current = world.state.current()
    node = current[number % len(current)]
    if kind == "join":
        world.join(f"z{number % zones}")
        return True
    if kind == "drain":
        return world.take(c.DrainNode(world.operation(), node))
    if kind == "remove":
        return world.take(c.RemoveNode(world.operation(), node))
    names = sorted(each.name for each in world.state.collections.values())
    return world.take(c.SetReplicas(world.operation(), names[number % len(names)], number))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=8), st.integers(1, 4), shapes, changes)
def test_a_cluster_ends_even_whatever_is_done_to_it(
    start: list[int], zones: int, collections: list[tuple[int, int]], done: list[tuple[str, int]]
) -> None:
    world = World.of([f"z{number % zones}" for number in start])
    for shards, replicas in collections:
        world.create(shards, replicas)
    assert not targets(world.state) or len(collections) > 1 or zones > 1
    world.settle()
    for kind, number in done:
        change(world, kind, number, zones)
        if number % 2:  # or the next change comes before anything has moved
            world.settle()
    world.settle()
    world.check_end()


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 9), st.sampled_from([1, 2, 4, 8, 16, 32]), st.integers(1, 5), changes)
def test_the_fewest_replicas_are_copied(nodes: int, shards: int, replicas: int, done: list[tuple[str, int]]) -> None:
    world = World.of(["z0"] * nodes)
    world.create(shards, replicas)
    for kind, number in done:
        if change(world, kind, number, 1):
            bound = fewest(world.state)
            assert world.settle() == bound
            world.check_end()


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 8), shapes, changes)
def test_a_plan_made_halfway_through_another_one_ends_as_well(
    nodes: int, collections: list[tuple[int, int]], done: list[tuple[str, int]]
) -> None:
    """As when the node that proposes moves dies, and another one goes on with moves under way."""
    world = World.of(["z0"] * nodes)
    for shards, replicas in collections:
        world.create(shards, replicas)
    for kind, number in done:
        change(world, kind, number, 1)
        for move in startable(world.state, targets(world.state)):
            assert world.take(move.command())
        half = list(world.state.moves.values())[: number or 1]
        for each in half:
            assert world.take(c.AdvanceMove(each.shard.collection, each.shard.index, each.id, "both"))
    for each in list(world.state.moves.values()):
        for step in ("both", "read_new"):
            world.take(c.AdvanceMove(each.shard.collection, each.shard.index, each.id, step))
    world.settle()
    world.check_end()


def test_a_node_that_joins_gets_its_share_of_many_small_collections() -> None:
    world = World.of(["", "", ""])
    for _ in range(40):
        world.create(1, 1)
    world.settle()
    world.join("")
    assert world.settle() == 10
    assert set(world.state.load().values()) == {10}


def test_three_zones_and_a_fourth_node_in_one_of_them() -> None:
    world = World.of(["a", "b", "c"])
    world.create(8, 3)
    world.join("c")
    assert world.settle() == 4  # half of zone c; a and b have no other node
    world.check_end()
    world.join("d")
    assert world.settle() > 0
    world.check_end()
