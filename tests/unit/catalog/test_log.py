"""The epoch log, one behaviour at a time, on the world of `world.py`."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from tests.unit.catalog.world import Faults, Violation, World
from vectron_p2p.catalog.commands import CreateCollection, DeleteCollection, UpdateAddress, command_to_wire
from vectron_p2p.catalog.config import CatalogConfig
from vectron_p2p.catalog.effects import (
    Alarm,
    Applied,
    Confirmed,
    Persist,
    ProposalFailed,
    Proposed,
    Rejected,
    Send,
)
from vectron_p2p.catalog.entry import Entry, advance
from vectron_p2p.catalog.log import EpochLog
from vectron_p2p.catalog.records import Persisted, bootstrap, load
from vectron_p2p.catalog.state import ClusterState, canonical, found
from vectron_p2p.catalog.vote import Ballot, Vote
from vectron_p2p.model.collections import CollectionOptions
from vectron_p2p.model.errors import Internal, InvalidArgument, Unavailable
from vectron_p2p.model.ids import Address, ClusterId, CollectionId, NodeId, OperationId


def create(operation: str, name: str, *, collection: str = "", if_not_exists: bool = False) -> CreateCollection:
    return CreateCollection(
        OperationId(operation),
        CollectionId(collection or f"uuid-{operation}"),
        name,
        CollectionOptions(dimension=4, replicas=3),
        if_not_exists,
    )


def cluster(size: int, seed: int = 1, config: CatalogConfig | None = None) -> World:
    world = World(seed, config)
    world.found()
    world.grow(*[f"n{i}" for i in range(2, size + 1)])
    return world


def lone(config: CatalogConfig | None = None) -> EpochLog:
    state = found(ClusterId("c"), NodeId("n1"), "n1", Address("h", 1), "")
    return EpochLog(NodeId("n1"), Persisted(state, {}, None, 0), rng=Random(1), config=config)


def three() -> ClusterState:
    world = cluster(3)
    assert world.run(10, world.agreed)
    state = world.hosts[NodeId("n1")].applied
    assert state is not None
    return state


def make(state: ClusterState, node: str, **more: Any) -> EpochLog:
    return EpochLog(NodeId(node), Persisted(state, {}, None, 0), rng=Random(node), **more)


def bodies(effects: list[Any], kind: str) -> list[dict[str, Any]]:
    return [each.body for each in effects if isinstance(each, Send) and each.body["kind"] == kind]


class TestDeciding:
    def test_a_lone_node_decides_at_once_and_in_order(self) -> None:
        log = lone()
        effects = log.propose("p", command_to_wire(create("o", "docs")), 0.0)
        assert [type(each) for each in effects] == [Persist, Persist, Persist, Applied, Proposed]
        assert effects[-1] == Proposed("p", 2, {"collection": "uuid-o", "created": True})
        assert log.epoch == 2
        assert log.state.collection("docs") is not None

    def test_members_join_and_vote(self) -> None:
        world = cluster(5)
        assert world.run(10, world.agreed)
        state = world.hosts[NodeId("n3")].applied
        assert state is not None
        assert state.voters == ("n1", "n2", "n3", "n4", "n5")

    def test_only_seven_vote_and_others_may_propose(self) -> None:
        world = cluster(9)
        ask = world.ask("x", create("o", "docs"), at="n9")
        assert world.run(10, lambda: bool(ask.results))
        assert world.run(10, world.agreed)
        state = world.hosts[NodeId("n9")].applied
        assert state is not None
        assert len(state.voters) == 7
        assert "n9" not in state.voters

    @pytest.mark.parametrize("seed", range(10))
    def test_of_concurrent_creates_of_one_name_exactly_one_wins(self, seed: int) -> None:
        world = cluster(5, seed)
        asks = [world.ask(f"a{i}", create(f"o{i}", "docs"), at=f"n{i}") for i in range(1, 6)]
        assert world.run(60, lambda: all(ask.results for ask in asks))
        won = [ask.results[0] for ask in asks if "error" not in ask.results[0]]
        lost = [ask.results[0]["error"]["code"] for ask in asks if "error" in ask.results[0]]
        assert len(won) == 1
        assert lost == ["already_exists"] * 4
        assert world.run(10, world.agreed)
        state = world.hosts[NodeId("n1")].applied
        assert state is not None
        docs = state.collection("docs")
        assert docs is not None
        assert docs.id == won[0]["collection"]

    def test_a_retry_elsewhere_gets_the_first_result(self) -> None:
        world = cluster(3)
        first = world.ask("a", create("o", "docs", collection="one"), at="n1")
        assert world.run(10, lambda: bool(first.results))
        second = world.ask("b", create("o", "docs", collection="two"), at="n2")
        assert world.run(10, lambda: bool(second.results))
        assert second.results == first.results == [{"collection": "one", "created": True}]

    def test_a_recreated_name_has_the_new_id(self) -> None:
        world = cluster(3)
        for ask_id, command in (
            ("a", create("1", "docs")),
            ("b", DeleteCollection(OperationId("2"), "docs")),
            ("c", create("3", "docs")),
        ):
            ask = world.ask(ask_id, command, at="n2")
            assert world.run(10, lambda ask=ask: bool(ask.results))  # type: ignore[misc]
        state = world.hosts[NodeId("n2")].applied
        assert state is not None
        docs = state.collection("docs")
        assert docs is not None
        assert docs.id == "uuid-3"

    def test_many_proposals_of_one_node_are_all_decided(self) -> None:
        world = cluster(3)
        asks = [world.ask(f"a{i}", create(f"o{i}", f"c{i}"), at="n1", retry=False) for i in range(20)]
        assert world.run(5, lambda: all(ask.results for ask in asks))


class TestMajority:
    def test_without_a_majority_a_proposal_fails_and_says_why(self) -> None:
        world = cluster(3)
        world.crash(NodeId("n2"))
        world.crash(NodeId("n3"))
        ask = world.ask("a", create("o", "docs"), at="n1", retry=False)
        assert world.run(6, lambda: bool(ask.errors))
        (error,) = ask.errors
        assert isinstance(error, Unavailable)
        assert error.retryable
        assert "1 of the catalog's 3 voters answered and 2 are needed" in error.message
        world.run(30)
        assert not ask.results
        assert world.hosts[NodeId("n1")].applied == world.hosts[NodeId("n1")].log.state  # type: ignore[union-attr]

    def test_of_two_nodes_both_are_needed(self) -> None:
        world = cluster(2)
        world.crash(NodeId("n1"))
        ask = world.ask("a", create("o", "docs"), at="n2")
        world.run(30)
        assert not ask.results
        world.start(NodeId("n1"))
        assert world.run(30, lambda: bool(ask.results))

    def test_the_minority_side_of_a_partition_decides_nothing(self) -> None:
        world = cluster(5)
        world.group = {NodeId("n1"): 1, NodeId("n2"): 1}
        small = world.ask("a", create("o1", "docs"), at="n1")
        big = world.ask("b", create("o2", "docs"), at="n4")
        assert world.run(20, lambda: bool(big.results))
        world.run(20)
        assert not small.results
        world.heal()
        assert world.run(30, lambda: bool(small.results))
        assert small.results[0]["error"]["code"] == "already_exists"

    def test_an_orphaned_proposal_is_finished_by_a_voter(self) -> None:
        """The proposer dies after its accept was taken, before anyone hears of the decision."""
        world = cluster(3)
        world.ask("a", create("o", "docs"), at="n1", retry=False)

        def taken() -> bool:
            return any(body["kind"] == "accepted" for _, _, body in world.sent)

        world.sent.clear()
        assert world.run(5, taken)
        world.crash(NodeId("n1"))
        assert world.run(20, lambda: world.hosts[NodeId("n3")].applied.collection("docs") is not None)  # type: ignore[union-attr]

    def test_duels_end(self) -> None:
        world = cluster(7)
        world.faults = Faults(delay=0.2)
        asks = [world.ask(f"a{i}", create(f"o{i}", f"c{i}"), at=f"n{i}") for i in range(1, 8)]
        assert world.run(60, lambda: all(ask.results for ask in asks))


class TestCatchingUp:
    def test_a_node_that_was_away_pulls_entries(self) -> None:
        world = cluster(3)
        world.crash(NodeId("n3"))
        for i in range(30):
            world.ask(f"a{i}", create(f"o{i}", f"c{i}"), at="n1")
        assert world.run(60, lambda: all(ask.results for ask in world.asks.values()))
        world.sent.clear()
        world.start(NodeId("n3"))
        assert world.run(5, world.agreed)
        assert "snapshot" not in {body["kind"] for _, _, body in world.sent}

    def test_one_that_was_away_for_long_gets_a_snapshot(self) -> None:
        world = cluster(3, config=CatalogConfig(kept_entries=5, pull_entries=2))
        world.crash(NodeId("n3"))
        for i in range(20):
            world.ask(f"a{i}", create(f"o{i}", f"c{i}"), at="n1")
        assert world.run(60, lambda: all(ask.results for ask in world.asks.values()))
        world.sent.clear()
        world.start(NodeId("n3"))
        assert world.run(5, world.agreed)
        assert "snapshot" in {body["kind"] for _, _, body in world.sent}
        world.crash(NodeId("n3"))
        world.start(NodeId("n3"))
        assert len([key for key in world.hosts[NodeId("n1")].disk if key.startswith(b"catalog/entry/")]) == 5

    def test_entries_come_in_several_answers(self) -> None:
        world = cluster(3, config=CatalogConfig(pull_entries=3))
        world.crash(NodeId("n3"))
        for i in range(20):
            world.ask(f"a{i}", create(f"o{i}", f"c{i}"), at="n1")
        assert world.run(60, lambda: all(ask.results for ask in world.asks.values()))
        world.start(NodeId("n3"))
        assert world.run(5, world.agreed)

    def test_want_pulls_only_when_behind(self) -> None:
        log = make(three(), "n1")
        assert log.want(log.epoch, 0.0) == []
        pulls = log.want(log.epoch + 1, 0.0)
        assert {each.node for each in pulls if isinstance(each, Send)} == {"n2", "n3"}
        assert log.want(log.epoch + 1, 0.5) == []  # not again before the first were answered
        assert log.want(log.epoch + 1, 2.0) != []

    def test_a_look_is_answered_by_who_knows_nothing_newer_too(self) -> None:
        asking, asked = make(three(), "n1"), make(three(), "n2")
        sends = asking.look(7)
        assert {each.node for each in sends if isinstance(each, Send)} == {"n2", "n3"}
        (answer,) = asked.receive(bodies(sends, "pull")[0], NodeId("n1"), 0.0)
        assert isinstance(answer, Send)
        assert Confirmed(7, NodeId("n2")) in asking.receive(answer.body, NodeId("n2"), 0.0)
        assert asking.look(8) != []  # every look asks: what was answered before it began says nothing

    def test_a_look_takes_what_is_newer_before_it_is_confirmed(self) -> None:
        ahead = cluster(3)
        ahead.ask("a", create("o", "c"), at="n1")
        assert ahead.run(5, lambda: bool(ahead.asks["a"].results))
        behind, newer = make(three(), "n3"), ahead.hosts[NodeId("n1")].log
        assert newer is not None
        assert newer.epoch > behind.epoch
        (pull, *_) = behind.look(1)
        assert isinstance(pull, Send)
        (answer,) = newer.receive(pull.body, NodeId("n3"), 0.0)
        assert isinstance(answer, Send)
        effects = behind.receive(answer.body, NodeId("n1"), 0.0)
        kinds = [type(each) for each in effects]
        assert kinds.index(Applied) < kinds.index(Confirmed)
        assert behind.state.collection("c") is not None

    def test_one_pull_at_a_time(self) -> None:
        log = make(three(), "n1")
        assert len(log.observe(NodeId("n2"), 0, 99, None, 0.0)) == 1
        assert log.observe(NodeId("n3"), 0, 99, b"x" * 16, 0.1) == []
        assert [each.node for each in log.observe(NodeId("n3"), 0, 99, None, 1.1) if isinstance(each, Send)] == ["n3"]

    def test_entries_since(self) -> None:
        log = lone(CatalogConfig(kept_entries=3))
        for i in range(5):
            log.propose(f"p{i}", command_to_wire(create(f"o{i}", f"c{i}")), 0.0)
        assert log.epoch == 6
        assert log._history.since(6) == []
        assert len(log._history.since(3) or []) == 3
        assert log._history.since(2) is None


class TestVoting:
    def test_a_vote_is_on_disk_before_it_is_told(self) -> None:
        state = three()
        proposer, voter = make(state, "n1"), make(state, "n2")
        out = proposer.propose("p", command_to_wire(create("o", "docs")), 0.0)
        assert isinstance(out[0], Persist)  # the round used
        told = voter.receive(bodies(out, "prepare")[0], NodeId("n1"), 0.0)
        assert [type(each) for each in told] == [Persist, Send]
        out = proposer.receive(bodies(told, "promise")[0], NodeId("n2"), 0.0)
        assert isinstance(out[0], Persist)
        told = voter.receive(bodies(out, "accept")[0], NodeId("n1"), 0.0)
        assert [type(each) for each in told] == [Persist, Send]
        out = proposer.receive(bodies(told, "accepted")[0], NodeId("n2"), 0.0)
        assert [type(each) for each in out] == [Persist, Applied, Proposed, Send, Send]

    def test_a_repeated_message_is_answered_again_without_a_write(self) -> None:
        state = three()
        proposer, voter = make(state, "n1"), make(state, "n2")
        prepare = bodies(proposer.propose("p", command_to_wire(create("o", "docs")), 0.0), "prepare")[0]
        first = voter.receive(prepare, NodeId("n1"), 0.0)
        again = voter.receive(prepare, NodeId("n1"), 0.0)
        assert again == first[1:]

    def test_a_voter_that_is_behind_pulls_and_does_not_vote(self) -> None:
        state = three()
        ahead, _, _ = advance(state, entry_bytes(state, create("x", "x")))
        proposer, voter = make(ahead, "n1"), make(state, "n2")
        prepare = bodies(proposer.propose("p", command_to_wire(create("o", "docs")), 0.0), "prepare")[0]
        out = voter.receive(prepare, NodeId("n1"), 0.0)
        assert [each.body["kind"] for each in out if isinstance(each, Send)] == ["pull"]
        assert not any(isinstance(each, Persist) for each in out)

    def test_a_voter_that_is_ahead_sends_what_was_decided(self) -> None:
        state = three()
        data = entry_bytes(state, create("x", "x"))
        ahead, _, _ = advance(state, data)
        voter = EpochLog(NodeId("n2"), Persisted(ahead, {ahead.epoch: data}, None, 0), rng=Random(1))
        proposer = make(state, "n1")
        prepare = bodies(proposer.propose("p", command_to_wire(create("o", "docs")), 0.0), "prepare")[0]
        out = voter.receive(prepare, NodeId("n1"), 0.0)
        assert bodies(out, "entries")[0]["entries"] == [data]
        out = proposer.receive(bodies(out, "entries")[0], NodeId("n2"), 0.0)
        assert isinstance(out[1], Applied)
        assert bodies(out, "prepare")[0]["epoch"] == ahead.epoch  # its own goes for the next epoch

    def test_a_restarted_proposer_uses_a_new_ballot(self) -> None:
        disk: dict[bytes, bytes] = {key: value for key, value in bootstrap(three()) if value is not None}
        ballots = []
        for _ in range(3):
            persisted = load(sorted(disk.items()))
            assert persisted is not None
            log = EpochLog(NodeId("n1"), persisted, rng=Random(0))
            out = log.propose("p", command_to_wire(create("o", "docs")), 0.0)
            assert isinstance(out[0], Persist)
            disk.update((key, value) for key, value in out[0].puts if value is not None)
            ballots.append(tuple(bodies(out, "prepare")[0]["ballot"]))
        assert len(set(ballots)) == 3

    def test_strangers_and_non_voters_get_no_vote(self) -> None:
        state = three()
        prepare = bodies(make(state, "n1").propose("p", command_to_wire(create("o", "d")), 0.0), "prepare")[0]
        voter = make(state, "n2")
        for body, sender in ((prepare, "n3"), ({**prepare, "ballot": [9, "nx"]}, "nx")):
            out = voter.receive(body, NodeId(sender), 0.0)
            assert [type(each) for each in out] == [Rejected]

    def test_the_vote_survives_a_restart(self) -> None:
        state = three()
        data = entry_bytes(state, create("x", "x"))
        vote = Vote(state.epoch + 1).accept(Ballot(5, NodeId("n3")), data)
        assert vote is not None
        voter = EpochLog(NodeId("n2"), Persisted(state, {}, Vote.from_bytes(vote.to_bytes()), 0), rng=Random(1))
        proposer = make(state, "n1")
        prepare = bodies(proposer.propose("p", command_to_wire(create("o", "docs")), 0.0), "prepare")[0]
        assert voter.next_deadline < 0
        (refused,) = bodies(voter.receive(prepare, NodeId("n1"), 0.0), "refused")
        assert refused["promised"] == [5, "n3"]
        proposer.receive(refused, NodeId("n2"), 0.0)
        out = proposer.tick(1.0)
        (promise,) = bodies(voter.receive(bodies(out, "prepare")[0], NodeId("n1"), 1.0), "promise")
        assert promise["ballot"] == [6, "n1"]
        (accept, _) = bodies(proposer.receive(promise, NodeId("n2"), 1.0), "accept")
        assert accept["value"] == data  # not its own proposal


class TestAlarm:
    def test_two_hashes_at_one_epoch_stop_the_log(self) -> None:
        log = make(three(), "n1")
        log.propose("p", command_to_wire(create("o", "docs")), 0.0)
        out = log.observe(NodeId("n2"), 0, log.epoch, b"\0" * 16, 0.1)
        assert isinstance(out[0], Alarm)
        (failed,) = [each for each in out if isinstance(each, ProposalFailed)]
        assert isinstance(failed.error, Internal)
        assert log.halted is not None
        assert log.next_deadline == float("inf")
        assert log.tick(99.0) == log.observe(NodeId("n2"), 0, 99, None, 99.0) == log.want(99, 99.0) == []
        assert isinstance(log.propose("q", command_to_wire(create("o", "docs")), 99.0)[0], ProposalFailed)
        assert log.receive({}, NodeId("n2"), 99.0) == []

    def test_so_does_a_fork_further_back(self) -> None:
        log = lone()
        for i in range(3):
            log.propose(f"p{i}", command_to_wire(create(f"o{i}", f"c{i}")), 0.0)
        assert isinstance(log.observe(NodeId("n2"), 0, 2, b"\0" * 16, 0.1)[0], Alarm)

    def test_and_a_different_entry(self) -> None:
        state = three()
        a, b = entry_bytes(state, create("a", "a")), entry_bytes(state, create("b", "b"))
        after_a, after_b = advance(state, a)[0], advance(state, b)[0]
        log = EpochLog(NodeId("n1"), Persisted(after_a, {after_a.epoch: a}, None, 0), rng=Random(1))
        third = advance(after_b, entry_bytes(after_b, create("c", "c")))[0]
        body = {**position(third), "kind": "entries", "first": after_b.epoch, "entries": [b]}
        assert isinstance(log.receive(body, NodeId("n2"), 0.0)[0], Alarm)

    def test_and_an_entry_on_another_state(self) -> None:
        state = three()
        other = advance(state, entry_bytes(state, create("b", "b")))[0]
        data = entry_bytes(other, create("c", "c"))
        after = advance(other, data)[0]
        mine = advance(state, entry_bytes(state, create("a", "a")))[0]
        log = make(mine, "n1")
        body = {**position(after), "kind": "entries", "first": after.epoch, "entries": [data]}
        assert isinstance(log.receive(body, NodeId("n2"), 0.0)[0], Alarm)

    def test_an_unknown_command_that_was_decided_stops_without_losing_the_vote(self) -> None:
        state = three()
        entry = Entry(0, state.epoch + 1, state.hash, NodeId("n2"), "p", {"kind": "from_the_future"})
        log = make(state, "n1")
        body = {**position(state), "epoch": state.epoch + 1, "hash": b"x" * 16, "kind": "entries"}
        out = log.receive({**body, "first": state.epoch + 1, "entries": [entry.to_bytes()]}, NodeId("n2"), 0.0)
        assert [type(each) for each in out] == [Alarm]

    def test_and_is_never_voted_for(self) -> None:
        state = three()
        entry = Entry(0, state.epoch + 1, state.hash, NodeId("n2"), "p", {"kind": "from_the_future"})
        body = {**position(state), "kind": "accept", "ballot": [1, "n2"], "value": entry.to_bytes()}
        out = make(state, "n1").receive(body, NodeId("n2"), 0.0)
        assert [type(each) for each in out] == [Rejected]


class TestEdges:
    def test_a_bad_command_fails_at_once(self) -> None:
        (failed,) = lone().propose("p", {"kind": "nonsense"}, 0.0)
        assert isinstance(failed, ProposalFailed)
        assert isinstance(failed.error, InvalidArgument)

    def test_a_proposal_id_is_used_once(self) -> None:
        log = make(three(), "n1")
        log.propose("p", command_to_wire(create("o", "docs")), 0.0)
        with pytest.raises(ValueError, match="under way"):
            log.propose("p", command_to_wire(create("o", "docs")), 0.0)

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"kind": "pull"},
            {"cluster": "c", "generation": 0, "epoch": "1", "hash": b"", "kind": "pull"},
            {"cluster": "other", "generation": 0, "epoch": 1, "hash": b"", "kind": "pull"},
        ],
    )
    def test_noise_is_rejected(self, body: dict[str, Any]) -> None:
        assert [type(each) for each in lone().receive(body, NodeId("n2"), 0.0)] == [Rejected]

    @pytest.mark.parametrize(
        "more",
        [
            {"kind": "prepare", "ballot": [0, "n2"]},
            {"kind": "prepare", "ballot": [2**60, "n2"]},
            {"kind": "prepare", "ballot": None},
            {"kind": "accept", "ballot": [1, "n2"], "value": b"noise"},
            {"kind": "accept", "ballot": [1, "n2"], "value": canonical([1, 2])},
            {"kind": "promise", "ballot": [1, "n2"], "accepted": [[1, "n2"]]},
            {"kind": "entries", "first": 1, "entries": ["text"]},
            {"kind": "entries", "first": 1, "entries": [b"noise"]},
            {"kind": "snapshot", "state": b"noise"},
            {"kind": "what"},
        ],
    )
    def test_noise_with_a_good_position_is_rejected(self, more: dict[str, Any]) -> None:
        state = three()
        log = make(state, "n1")
        out = log.receive({**position(state), **more}, NodeId("n2"), 0.0)
        assert [type(each) for each in out] == [Rejected]
        assert log.epoch == state.epoch

    def test_an_idle_log_sleeps(self) -> None:
        log = lone()
        assert log.next_deadline == float("inf")
        log.propose("p", command_to_wire(create("o", "docs")), 0.0)
        assert log.next_deadline == float("inf")

    def test_a_failed_proposal_leaves_nothing_running_at_a_bystander(self) -> None:
        world = cluster(9)
        for i in range(1, 9):
            world.crash(NodeId(f"n{i}"))
        ask = world.ask("a", create("o", "docs"), at="n9", retry=False)
        assert world.run(10, lambda: bool(ask.errors))
        log = world.hosts[NodeId("n9")].log
        assert log is not None
        assert log.next_deadline == float("inf")

    def test_the_world_notices_a_fork(self) -> None:
        world = cluster(3)
        state = world.hosts[NodeId("n1")].applied
        assert state is not None
        world.history[state.epoch] = b"another"
        world.crash(NodeId("n1"))
        with pytest.raises(Violation):
            world.start(NodeId("n1"))

    def test_a_moved_node_is_known_by_its_new_address(self) -> None:
        world = cluster(3)
        ask = world.ask("a", UpdateAddress(NodeId("n2"), Address("elsewhere", 1)), at="n2")
        assert world.run(10, lambda: bool(ask.results))
        assert world.run(10, world.agreed)
        state = world.hosts[NodeId("n3")].applied
        assert state is not None
        assert state.members[NodeId("n2")].address == Address("elsewhere", 1)


def entry_bytes(state: ClusterState, command: CreateCollection) -> bytes:
    return Entry(0, state.epoch + 1, state.hash, NodeId("n3"), "p", command_to_wire(command)).to_bytes()


def position(state: ClusterState) -> dict[str, Any]:
    return {"cluster": state.cluster, "generation": state.generation, "epoch": state.epoch, "hash": state.hash}
