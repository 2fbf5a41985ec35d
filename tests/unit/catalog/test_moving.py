"""Commands about nodes that leave and shards that move: what they do, what they refuse, and that twice is once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from vectron_p2p.catalog import commands as c
from vectron_p2p.catalog.apply import apply
from vectron_p2p.catalog.apply_moves import STREAMS, streams
from vectron_p2p.catalog.moves import Step
from vectron_p2p.catalog.state import ClusterState, found
from vectron_p2p.catalog.voters import MAX_VOTERS, voter_change
from vectron_p2p.model.collections import CollectionOptions
from vectron_p2p.model.ids import Address, ClusterId, CollectionId, NodeId, OperationId, ShardId
from vectron_p2p.model.nodes import NodeState

HOME = Address("10.0.0.1", 7700)
DOCS = CollectionId("docs-id")


class World:
    def __init__(self, nodes: int, *, shards: int = 1, replicas: int = 3, zones: str = "") -> None:
        self.state: ClusterState = found(ClusterId("cluster"), NodeId("n1"), "n1", HOME, zones[:1])
        self.operations = 0
        for number in range(2, nodes + 1):
            node = NodeId(f"n{number}")
            self.take(c.AddMember(node, node, HOME, zones[number - 1 : number]))
            self.take(c.ActivateMember(node))
        options = CollectionOptions(dimension=4, shards=shards, replicas=replicas)
        self.take(c.CreateCollection(self.operation(), DOCS, "docs", options, False))

    def operation(self) -> OperationId:
        self.operations += 1
        return OperationId(f"op{self.operations}")

    def take(self, command: c.Command) -> dict[str, Any]:
        assert c.command_from_wire(c.command_to_wire(command)) == command
        after, result = apply(self.state, command)
        self.state = replace(after or self.state, epoch=self.state.epoch + 1)
        assert ClusterState.from_bytes(self.state.to_bytes()) == self.state
        return result

    def refused(self, command: c.Command) -> str:
        """Why; nothing but the operation is remembered of it."""
        before = self.state
        result = self.take(command)
        assert "error" in result, result
        assert self.state.members == before.members
        assert self.state.moves == before.moves
        assert self.state.collections == before.collections
        assert self.state.voters == before.voters
        return str(result["error"]["message"])

    def drain(self, node: str) -> c.DrainNode:
        return c.DrainNode(self.operation(), NodeId(node))

    def remove(self, node: str) -> c.RemoveNode:
        return c.RemoveNode(self.operation(), NodeId(node))

    def owners(self, shard: int = 0) -> set[str]:
        return set(self.state.collections[DOCS].placement[shard])

    def spare(self, shard: int = 0) -> str:
        """A node that owns nothing of the shard."""
        return min(set(self.state.members) - self.owners(shard))

    def member(self, node: str) -> NodeState:
        return self.state.members[NodeId(node)].state

    def start(self, leaving: str, coming: str, shard: int = 0) -> c.StartMove:
        return c.StartMove(DOCS, shard, leaving, coming)

    def advance(self, shard: int = 0) -> None:
        move = self.state.moves[ShardId(DOCS, shard)]
        self.take(c.AdvanceMove(DOCS, shard, move.id, move.step.value))


class TestDraining:
    def test_a_node_drains_gives_up_its_vote_and_leaves(self) -> None:
        world = World(4, replicas=3)
        leaver, comes = min(world.owners()), world.spare()
        assert world.take(world.drain(leaver)) == {"node": leaver, "state": "draining"}
        assert voter_change(world.state, NodeId(leaver)) is None  # it votes while its shards move
        assert "still votes" in world.refused(c.LeaveCluster(NodeId(leaver)))
        world.take(world.start(leaver, comes))
        assert voter_change(world.state, NodeId(leaver)) is None
        world.advance()
        assert leaver not in world.owners()
        assert voter_change(world.state, NodeId(leaver)) is None  # it is written to until the move is done
        world.advance()
        assert voter_change(world.state, NodeId(leaver)) == (leaver, False)
        world.take(c.SeatVoter(NodeId(leaver)))
        assert leaver not in world.state.voters
        assert world.take(c.LeaveCluster(NodeId(leaver))) == {"node": leaver, "state": "left"}
        assert world.take(c.LeaveCluster(NodeId(leaver))) == {"node": leaver, "state": "left"}
        assert world.take(world.drain(leaver))["state"] == "left"
        assert "has left" in world.refused(c.ActivateMember(NodeId(leaver)))
        again = c.AddMember(NodeId("anew"), leaver, HOME, "")
        assert world.take(again) == {"node": "anew"}  # its name is free

    def test_a_node_that_owns_something_or_does_not_drain_cannot_leave(self) -> None:
        world = World(4)
        owner = min(world.owners())
        assert "not draining" in world.refused(c.LeaveCluster(NodeId(owner)))
        world.take(world.drain(owner))
        world.state = replace(world.state, voters=tuple(each for each in world.state.voters if each != owner))
        assert "still owns" in world.refused(c.LeaveCluster(NodeId(owner)))

    def test_moves_to_a_node_that_drains_are_cancelled(self) -> None:
        world = World(5)
        comes = world.spare()
        world.take(world.start(min(world.owners()), comes))
        before = world.owners()
        world.take(world.drain(comes))
        assert not world.state.moves
        assert world.owners() == before
        assert world.state.route(ShardId(DOCS, 0)).fence == world.state.epoch

    def test_what_would_cost_replicas_or_leave_nobody_is_refused(self) -> None:
        assert "the only active node" in (world := World(1, replicas=1)).refused(world.drain("n1"))
        world = World(3, replicas=3)
        assert "asks for 3 replicas, and 2 active nodes" in world.refused(world.drain("n1"))
        world.take(c.SetReplicas(world.operation(), "docs", 2))
        assert world.take(world.drain("n1"))["state"] == "draining"
        assert "and 1 active nodes" in world.refused(world.drain("n2"))
        world.take(c.AddMember(NodeId("n9"), "n9", HOME, ""))
        assert "still joining" in world.refused(world.drain("n9"))
        assert "no member" in world.refused(world.drain("nobody"))

    def test_a_drain_can_be_cancelled(self) -> None:
        world = World(4)
        cancel = c.CancelDrain(OperationId("cancel"), NodeId("n1"))
        world.take(world.drain("n1"))
        assert world.take(cancel) == {"node": "n1", "state": "active"}
        world.take(world.drain("n1"))
        assert world.take(cancel) == {"node": "n1", "state": "active"}  # the same operation, once
        assert world.member("n1") is NodeState.DRAINING

    def test_an_open_seat_goes_to_a_node_that_waits_for_one(self) -> None:
        world = World(MAX_VOTERS + 1, replicas=1)
        (waits,) = set(world.state.members) - set(world.state.voters)
        assert voter_change(world.state, waits) is None
        leaver = next(node for node in world.state.voters if node not in world.owners())
        world.take(world.drain(leaver))
        world.take(c.SeatVoter(leaver))
        assert len(world.state.voters) == MAX_VOTERS - 1
        assert voter_change(world.state, waits) == (waits, True)

    def test_the_last_voter_keeps_its_vote(self) -> None:
        world = World(2, replicas=1)
        leaver = world.spare()
        world.take(world.drain(leaver))
        world.state = replace(world.state, voters=(NodeId(leaver),))
        assert voter_change(world.state, NodeId(leaver)) is None


class TestRemoving:
    def test_vote_and_membership_go_in_one_entry_ownership_later(self) -> None:
        world = World(4)
        dead, comes = min(world.owners()), world.spare()
        remove = world.remove(dead)
        assert world.take(remove) == {"node": dead, "state": "removed"}
        assert world.take(remove) == {"node": dead, "state": "removed"}
        assert dead not in world.state.voters
        assert dead in world.owners()
        assert world.take(world.remove(dead))["state"] == "removed"
        world.take(world.start(dead, comes))
        _, out = streams(world.state)
        assert dead not in out  # it gives nothing
        world.advance()
        world.advance()
        assert dead not in world.owners()
        assert "was removed from" in world.refused(c.AddMember(NodeId(dead), "other", HOME, ""))

    def test_a_shard_that_would_lose_rows_keeps_the_node(self) -> None:
        world = World(5)
        first, second, third = sorted(world.owners())
        world.take(world.remove(first))
        assert "1 for shard 0 of 'docs'" in world.refused(world.remove(second))
        world.take(world.start(first, world.spare()))
        assert "would lose rows" in world.refused(world.remove(second))  # of the old owners
        world.advance()
        assert "would lose rows" in world.refused(world.remove(third))
        world.advance()
        assert world.take(world.remove(second))["state"] == "removed"

    def test_one_of_two_replicas_knows_all_that_both_acknowledged(self) -> None:
        world = World(3, replicas=2)
        first, second = sorted(world.owners())
        assert world.take(world.remove(first))["state"] == "removed"
        assert "would lose rows" in world.refused(world.remove(second))

    def test_the_only_replica_and_the_last_node_stay(self) -> None:
        world = World(3, replicas=1)
        (owner,) = world.owners()
        assert "would lose rows" in world.refused(world.remove(owner))
        alone = World(1, replicas=1)
        assert "only active node" in alone.refused(alone.remove("n1"))

    def test_moves_to_it_are_cancelled_while_the_old_owners_are_read(self) -> None:
        world = World(5)
        comes = world.spare()
        world.take(world.start(min(world.owners()), comes))
        world.take(world.remove(comes))
        assert not world.state.moves

    def test_a_move_past_that_goes_on_without_it(self) -> None:
        world = World(5)
        comes = world.spare()
        world.take(world.start(min(world.owners()), comes))
        world.advance()
        world.take(world.remove(comes))
        (move,) = world.state.moves.values()
        assert move.step is Step.READ_NEW
        world.advance()
        assert comes in world.owners()


class TestLimits:
    @pytest.mark.parametrize(("leaving", "coming"), [("", ""), ("n9", "n1"), ("", "n1")])
    def test_moves_that_make_no_sense(self, leaving: str, coming: str) -> None:
        world = World(3)
        world.refused(world.start(leaving, coming))

    def test_no_replica_too_many_and_none_too_few(self) -> None:
        world = World(5)
        assert "has its 3 replicas" in world.refused(world.start("", world.spare()))
        assert "no replica too many" in world.refused(world.start(min(world.owners()), ""))
        world.take(c.SetReplicas(world.operation(), "docs", 4))
        assert world.take(world.start("", world.spare())) == {"move": world.state.epoch}
        world.advance()
        world.advance()
        assert len(world.owners()) == 4
        world.take(c.SetReplicas(world.operation(), "docs", 1))
        for _ in range(3):
            world.take(world.start(min(world.owners()), ""))
            world.advance()
            world.advance()
        assert len(world.owners()) == 1
        assert "no other owner" in world.refused(world.start(min(world.owners()), ""))

    def test_one_move_per_shard(self) -> None:
        world = World(5)
        first, second, _ = sorted(world.owners())
        world.take(world.start(first, world.spare()))
        assert "being moved already" in world.refused(world.start(second, world.spare()))

    def test_two_streams_into_and_out_of_a_node(self) -> None:
        world = World(3, shards=16, replicas=1)
        world.take(c.AddMember(NodeId("n4"), "n4", HOME, ""))
        world.take(c.ActivateMember(NodeId("n4")))
        world.take(c.AddMember(NodeId("n5"), "n5", HOME, ""))
        world.take(c.ActivateMember(NodeId("n5")))
        mine = [index for index in range(16) if "n1" in world.owners(index)]
        other = next(index for index in range(16) if "n2" in world.owners(index))
        for index in mine[:STREAMS]:
            world.take(world.start("n1", "n4", index))
        assert "n4 takes 2" in world.refused(world.start("n2", "n4", other))
        assert "n1 gives 2" in world.refused(world.start("n1", "n5", mine[STREAMS]))
        world.advance(mine[0])  # the copy is over
        assert "move" in world.take(world.start("n1", "n5", mine[STREAMS]))

    def test_a_move_does_not_take_a_shard_into_fewer_zones(self) -> None:
        world = World(4, replicas=2, zones="abab")
        leaving = min(world.owners())
        zone = world.state.members[NodeId(leaving)].zone
        same = next(
            node
            for node, member in sorted(world.state.members.items())
            if node not in world.owners() and member.zone != zone
        )
        assert "fewer zones" in world.refused(world.start(leaving, same))

    def test_only_active_nodes_come(self) -> None:
        world = World(6)
        spare = world.spare()
        world.take(world.drain(spare))
        assert "not active" in world.refused(world.start(min(world.owners()), spare))

    def test_a_step_twice_or_late_changes_nothing(self) -> None:
        world = World(4)
        world.take(world.start(min(world.owners()), world.spare()))
        (move,) = world.state.moves.values()
        step = c.AdvanceMove(DOCS, 0, move.id, "both")
        cancel = c.CancelMove(DOCS, 0, move.id)
        world.take(step)
        after = world.state
        world.take(step)
        assert replace(world.state, epoch=after.epoch) == after
        assert "can only go on" in world.refused(cancel)
        world.advance()
        done = world.state
        for late in (step, cancel, c.AdvanceMove(DOCS, 0, move.id, "read_new")):
            world.take(late)
        assert replace(world.state, epoch=done.epoch) == done

    def test_replicas_of_a_collection_that_is_not_there(self) -> None:
        world = World(2)
        assert "does not exist" in world.refused(c.SetReplicas(world.operation(), "other", 2))
        assert world.take(c.SetReplicas(world.operation(), "docs", 3))["replicas"] == 3
