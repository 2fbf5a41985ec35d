"""When moves are planned, and by whom."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.catalog.test_moving import DOCS, World
from vectron_p2p.catalog import commands as c
from vectron_p2p.catalog.planner import targets
from vectron_p2p.membership.config import SwimConfig
from vectron_p2p.model.errors import Unavailable
from vectron_p2p.model.ids import NodeId
from vectron_p2p.node.config import Limits
from vectron_p2p.node.services.balancer import Balancer

LIMITS = Limits(swim=SwimConfig.sim(), balance_after=5.0)


class Home:
    """The world as a node sees it: a catalog whose proposals are decided at once, a clock that is set by hand."""

    def __init__(self, world: World, me: str = "n1") -> None:
        self.world = world
        self.me = NodeId(me)
        self.dead: set[str] = set()
        self.time = 0.0
        self.plans = 0
        self.proposed: list[Any] = []
        self.decides = True
        peers: Any = SimpleNamespace(me=self.me, alive=lambda node: node not in self.dead)
        runtime: Any = SimpleNamespace(clock=SimpleNamespace(now=lambda: self.time), executor=self)
        self.balancer = Balancer(peers, self, runtime, LIMITS)  # type: ignore[arg-type]

    @property
    def state(self) -> Any:
        return self.world.state

    async def propose(self, command: Any, *, timeout: float) -> Any:
        self.proposed.append(command)
        if not self.decides:
            raise Unavailable("no majority")
        return self.world.take(command)

    async def run(self, lane: str, fn: Any, *args: Any) -> Any:
        self.plans += fn is targets
        return fn(*args)

    def elsewhere(self, me: str) -> Home:
        """The same world from another node."""
        other = Home(self.world, me)
        other.dead, other.time = self.dead, self.time
        return other

    async def look(self, seconds: float = 0.0) -> None:
        self.time += seconds
        await self.balancer.run_once()

    def finish(self) -> None:
        """All moves that are under way."""
        for shard, move in list(self.world.state.moves.items()):
            for step in ("both", "read_new"):
                self.world.take(c.AdvanceMove(shard.collection, shard.index, move.id, step))


def grown(shards: int = 16) -> World:
    world = World(3, shards=shards)
    world.take(c.AddMember(NodeId("n4"), "n4", World(1, replicas=1).state.members[NodeId("n1")].address, ""))
    world.take(c.ActivateMember(NodeId("n4")))
    return world


async def test_it_waits_until_members_have_stayed_the_same_for_a_while() -> None:
    home = Home(grown())
    await home.look()
    await home.look(4.9)
    assert home.proposed == []
    home.world.take(c.SetReplicas(home.world.operation(), "docs", 2))
    await home.look(4.9)
    await home.look(4.9)
    assert home.proposed == []
    await home.look(0.2)
    assert home.proposed


async def test_a_plan_serves_for_all_its_moves() -> None:
    home = Home(grown())
    await home.look()
    await home.look(5.0)
    while home.world.state.moves:
        assert home.plans == 1
        home.finish()
        await home.look(0.1)
    assert len(home.proposed) == 12
    assert home.plans == 2  # and one more, which finds nothing
    await home.look(60)
    assert home.plans == 2
    assert home.world.state.load() == dict.fromkeys(("n1", "n2", "n3", "n4"), 12)


async def test_only_the_first_live_active_node_starts_moves() -> None:
    world = grown()
    first, second = Home(world, "n1"), Home(world, "n2")
    for home in (second, first):
        await home.look()
    await second.look(5.0)
    assert second.proposed == []
    second.dead.add("n1")
    await second.look()
    assert second.proposed == []  # and every shard has an owner that is dead now: its move could not go on
    second.dead.clear()
    world.take(c.DrainNode(world.operation(), NodeId("n1")))
    await second.look()
    await second.look(5.0)
    assert second.proposed


async def test_what_is_not_decided_is_tried_again() -> None:
    home = Home(grown())
    home.decides = False
    await home.look()
    await home.look(5.0)
    assert len(home.proposed) == 1
    home.decides = True
    await home.look(1.0)
    assert home.world.state.moves
    assert home.plans == 1


async def test_a_collection_that_is_dropped_meanwhile_is_forgotten() -> None:
    home = Home(grown())
    await home.look()
    await home.look(5.0)
    assert {shard.collection for shard in home.world.state.moves} == {DOCS}
    home.world.take(c.DeleteCollection(home.world.operation(), "docs"))
    await home.look(0.1)
    await home.look(5.0)
    assert not home.world.state.moves
    assert await home.balancer.wanted() == {}


@pytest.mark.parametrize("lost", ["coming", "leaving"])
async def test_a_move_that_waits_for_a_dead_node_is_given_up_and_made_again_when_it_is_back(lost: str) -> None:
    home = Home(grown())
    await home.look()
    await home.look(5.0)
    move = next(iter(home.world.state.moves.values()))
    dead = getattr(move, lost)
    hit = [each.shard for each in home.world.state.moves.values() if dead in (each.coming, each.leaving)]
    home.dead.add(dead)
    if dead == home.me:
        home = home.elsewhere("n2")
    await home.look()
    await home.look(59.0)
    assert all(shard in home.world.state.moves for shard in hit)
    await home.look(2.0)
    assert not any(shard in home.world.state.moves for shard in hit)
    home = home.elsewhere("n1")
    home.dead.clear()
    await home.look()
    await home.look(5.0)
    for _ in range(100):
        home.finish()
        await home.look(0.1)
    assert home.world.state.load() == dict.fromkeys(("n1", "n2", "n3", "n4"), 12)


async def test_a_move_whose_node_comes_back_in_time_goes_on() -> None:
    home = Home(grown())
    await home.look()
    await home.look(5.0)
    before = dict(home.world.state.moves)
    for _ in range(3):
        home.dead.add("n4")
        await home.look()
        await home.look(40.0)
        home.dead.clear()
        await home.look(1.0)
    assert dict(home.world.state.moves) == before
