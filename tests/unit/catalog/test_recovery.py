"""Forced recovery: the first state of a new generation, and who follows it."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import pytest

from vectron_p2p.catalog import messages as wire
from vectron_p2p.catalog.apply import apply
from vectron_p2p.catalog.commands import ActivateMember, AddMember, CreateCollection, command_to_wire
from vectron_p2p.catalog.effects import Alarm, Applied, Effect, Persist, ProposalFailed, Proposed, Send
from vectron_p2p.catalog.log import EpochLog
from vectron_p2p.catalog.records import STATE, VOTE, Persisted, load
from vectron_p2p.catalog.recovery import ID_BITS, HurtShard, Meeting, meet, number, open_generation, why_not_follow
from vectron_p2p.catalog.state import BadCatalog, ClusterState, found
from vectron_p2p.model.collections import CollectionOptions
from vectron_p2p.model.ids import Address, ClusterId, CollectionId, NodeId, OperationId
from vectron_p2p.model.nodes import NodeState

NODES = [NodeId(f"n{n}") for n in range(1, 6)]
LOST = NODES[2:]


def five(*, replicas: int = 3, shards: int = 8) -> ClusterState:
    """Five nodes and a collection."""
    state = found(ClusterId("c"), NODES[0], "n1", Address("n1", 1), "")
    commands: list[Any] = [
        command
        for node in NODES[1:]
        for command in (AddMember(node, str(node), Address(str(node), 1), ""), ActivateMember(node))
    ]
    options = CollectionOptions(dimension=1, shards=shards, replicas=replicas)
    commands.append(CreateCollection(OperationId("o"), CollectionId("u"), "docs", options, False))
    for command in commands:
        state = replace(apply(state, command)[0] or state, epoch=state.epoch + 1)
    return state


def recovered(state: ClusterState, lost: list[NodeId] = LOST, drawn: int = 7) -> ClusterState:
    return open_generation(state, lost, NODES[0], drawn)[0]


def log_of(state: ClusterState, node: NodeId) -> EpochLog:
    return EpochLog(node, Persisted(state, {}, None, 0), rng=Random(1))


def test_the_lost_are_removed_and_the_opener_votes_alone() -> None:
    state = five()
    after = recovered(state)
    assert (number(after.generation), after.generation & (1 << ID_BITS) - 1) == (1, 7)
    assert after.epoch == state.epoch + 1
    assert after.voters == (NODES[0],)
    assert [after.members[node].state for node in NODES] == [NodeState.ACTIVE] * 2 + [NodeState.REMOVED] * 3
    assert after.branch is not None
    assert (after.branch.epoch, after.branch.hash) == (state.epoch, state.hash)


def test_shards_keep_the_owners_that_are_left_and_the_hurt_ones_are_listed() -> None:
    state = five(shards=64)
    after, hurt = open_generation(state, LOST, NODES[0], 7)
    before, placement = state.collections[CollectionId("u")].placement, after.collections[CollectionId("u")].placement
    listed = {each.shard: each for each in hurt}
    kinds = set()
    for index, owners in enumerate(before):
        left = tuple(owner for owner in owners if owner not in LOST)
        kinds.add(len(left))
        if left:
            assert placement[index] == left
        else:
            assert set(placement[index]) == set(NODES[:2])  # empty, but it takes writes again
        assert (index in listed) == (len(left) < 2)
        if index in listed:
            assert listed[index] == HurtShard("docs", index, owners, left)
    assert kinds == {0, 1, 2}


def test_equal_arguments_give_equal_bytes_and_another_draw_another_hash() -> None:
    state = five()
    assert recovered(state).to_bytes() == recovered(state, list(reversed(LOST))).to_bytes()
    assert recovered(state).hash != recovered(state, drawn=8).hash
    assert ClusterState.from_bytes(recovered(state).to_bytes()) == recovered(state)


def test_a_state_without_a_recovery_has_the_bytes_that_it_always_had() -> None:
    state = five()
    assert len(__import__("msgpack").unpackb(state.to_bytes())) == 9


def test_fields_of_a_later_version_are_said_to_be_so() -> None:
    import msgpack

    fields = msgpack.unpackb(recovered(five()).to_bytes())
    fields[9]["moons"] = 1
    with pytest.raises(BadCatalog, match="upgrade"):
        ClusterState.from_bytes(msgpack.packb(fields))


def test_who_may_follow() -> None:
    state = five()
    after = recovered(state)
    assert why_not_follow(state, NODES[1], after) is None
    assert why_not_follow(replace(state, epoch=state.epoch - 3), NODES[1], after) is None
    assert "given up as lost" in (why_not_follow(state, NODES[2], after) or "")
    assert "given up as lost" in (why_not_follow(state, NodeId("stranger"), after) or "")
    assert "had got to" in (why_not_follow(replace(state, epoch=state.epoch + 1), NODES[1], after) or "")
    assert "another state" in (why_not_follow(replace(state, voters=NODES[:1]), NODES[1], after) or "")  # type: ignore[arg-type]
    twice = open_generation(after, [], NODES[0], 9)[0]
    assert "more than once" in (why_not_follow(state, NODES[1], twice) or "")
    assert why_not_follow(after, NODES[1], twice) is None


def test_what_generations_tell_each_other() -> None:
    state = five()
    after, other = recovered(state), recovered(state, drawn=8)
    snapshot = wire.Snapshot(after.to_bytes())
    assert meet(state, NODES[1], after.generation, None) is Meeting.ASK
    assert meet(state, NODES[1], after.generation, wire.Pull()) is Meeting.ASK
    assert meet(state, NODES[1], after.generation, snapshot) == after
    assert meet(after, NODES[0], state.generation, wire.Pull()) is Meeting.TELL
    assert meet(after, NODES[0], state.generation, None) is Meeting.IGNORE
    assert meet(after, NODES[0], state.generation, wire.Snapshot(state.to_bytes())) is Meeting.IGNORE
    assert "twice" in str(meet(after, NODES[0], other.generation, None))
    with pytest.raises(BadCatalog):
        meet(state, NODES[1], other.generation, snapshot)
    strange = replace(after, cluster=ClusterId("other"))
    with pytest.raises(BadCatalog):
        meet(state, NODES[1], after.generation, wire.Snapshot(strange.to_bytes()))


# --- the log ----------------------------------------------------------------------------------------------------------


def sent(effects: list[Effect]) -> list[tuple[NodeId, dict[str, Any]]]:
    return [(each.node, each.body) for each in effects if isinstance(each, Send)]


def test_a_survivor_asks_is_told_and_goes_over() -> None:
    state = five()
    opener, survivor = log_of(state, NODES[0]), log_of(state, NODES[1])
    opened = opener.recover(recovered(state))
    assert [type(each) for each in opened[:2]] == [Persist, Applied]
    (ask,) = sent(survivor.observe(NODES[0], opener.state.generation, opener.epoch, opener.hash, 0.0))
    assert (ask[0], ask[1]["kind"]) == (NODES[0], "pull")
    assert survivor.observe(NODES[0], opener.state.generation, opener.epoch, opener.hash, 0.1) == []  # asked already
    (told,) = sent(opener.receive(ask[1], NODES[1], 0.2))
    out = survivor.receive(told[1], NODES[0], 0.3)
    assert survivor.state == opener.state
    (persist,) = [each for each in out if isinstance(each, Persist)]
    disk = {key: value for key, value in persist.puts if value is not None}
    assert disk[STATE] == opener.state.to_bytes()
    assert (VOTE, None) in persist.puts
    assert load(disk.items()) is not None
    assert survivor.receive(told[1], NODES[0], 0.4) == []  # the same again


def test_the_opener_decides_alone_until_others_are_seated() -> None:
    log = log_of(five(), NODES[0])
    log.recover(recovered(log.state))
    options = CollectionOptions(dimension=1, shards=1, replicas=2)
    command = CreateCollection(OperationId("after"), CollectionId("v"), "after", options, False)
    out = log.propose("p", command_to_wire(command), 0.0)
    (decided,) = [each for each in out if isinstance(each, Proposed)]
    assert decided.result["created"]
    assert log.state.branch is not None  # it stays: nodes that were away all the time are told the same


def test_a_lost_node_that_comes_back_leaves() -> None:
    state = five()
    after = recovered(state)
    log = log_of(state, NODES[3])
    body = wire.to_wire(
        wire.Position(after.cluster, after.generation, after.epoch, after.hash), wire.Snapshot(after.to_bytes())
    )
    (alarm,) = log.receive(body, NODES[0], 0.0)
    assert isinstance(alarm, Alarm)
    assert alarm.leave
    assert "joins as a new node" in alarm.text
    assert log.state == state
    assert isinstance(log.propose("p", command_to_wire(ActivateMember(NODES[3])), 0.0)[0], ProposalFailed)
    assert log.receive(body, NODES[0], 1.0) == log.observe(NODES[0], after.generation, 99, None, 1.0) == []


def test_votes_of_the_lower_generation_count_no_more() -> None:
    state = five()
    log = log_of(state, NODES[0])
    log.recover(recovered(state))
    position = wire.Position(state.cluster, state.generation, state.epoch, state.hash)
    from vectron_p2p.catalog.vote import Ballot

    for body in (wire.Prepare(Ballot(99, NODES[3])), wire.Entries(state.epoch + 1, [b"x"])):
        assert log.receive(wire.to_wire(position, body), NODES[3], 0.0) == []


def test_two_recoveries_stop_both() -> None:
    state = five()
    one, other = recovered(state), recovered(state, drawn=8)
    for mine, theirs in ((one, other), (other, one)):
        (alarm,) = log_of(mine, NODES[0]).observe(NODES[1], theirs.generation, 999, theirs.hash, 0.0)
        assert isinstance(alarm, Alarm)
        assert alarm.leave
        assert "twice" in alarm.text


def test_a_second_recovery_wins_over_the_first() -> None:
    first = recovered(five())
    log = log_of(first, NODES[1])
    log.recover(open_generation(first, [NODES[0]], NODES[1], 3)[0])
    assert number(log.state.generation) == 2
    assert log.recover(first) == []


def test_a_log_that_stopped_for_two_histories_goes_on_with_the_next_generation() -> None:
    state = five()
    log = log_of(state, NODES[0])
    log.observe(NODES[1], 0, state.epoch, b"\x00" * 16, 0.0)
    assert log.halted
    log.recover(recovered(state))
    assert log.halted is None


def test_a_lower_generation_changes_nothing() -> None:
    state = five()
    log = log_of(recovered(state), NODES[0])
    assert log.observe(NODES[1], 0, 10_000, b"\x00" * 16, 0.0) == []
