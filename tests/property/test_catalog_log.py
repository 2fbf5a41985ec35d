"""Random schedules of epoch logs: faults of every kind together, then a healed network; and rules broken on purpose.

The world checks after every effect: one state per epoch over all nodes and for ever, nothing reported before it is on
disk, nothing forgotten by a restart, one result per operation. Here the schedules are drawn, and progress is checked.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.catalog.world import Faults, Host, Violation, World
from vectron_p2p.catalog import log as log_module
from vectron_p2p.catalog import round as round_module
from vectron_p2p.catalog.commands import ActivateMember, AddMember, CreateCollection, DeleteCollection
from vectron_p2p.catalog.config import CatalogConfig
from vectron_p2p.catalog.effects import Applied, Effect, Persist, Send
from vectron_p2p.catalog.log import EpochLog
from vectron_p2p.catalog.state import ClusterState
from vectron_p2p.catalog.vote import Vote
from vectron_p2p.model.collections import CollectionOptions
from vectron_p2p.model.ids import Address, CollectionId, NodeId, OperationId

NAMES = ("a", "b", "c")


class Schedule:
    """One seed: its size, its faults, and what happens when."""

    def __init__(self, seed: int, *, harsh: bool = False) -> None:
        self.draw = Random(seed)
        small = self.draw.random() < 0.3
        config = CatalogConfig(kept_entries=4, pull_entries=2) if small else CatalogConfig()
        self.world = World(seed, config)
        self.operations = 0
        self.harsh = harsh
        self.joins = 0
        self.newest = 0

    def run(self, seconds: float = 30.0) -> World:
        draw, world = self.draw, self.world
        world.found()
        world.grow(*[f"n{i}" for i in range(2, draw.randint(*((3, 4) if self.harsh else (1, 7))) + 1)])
        world.faults = Faults(
            loss=draw.choice((0.0, 0.1, 0.3)),
            doubling=draw.choice((0.0, 0.2, 0.5)),
            slow=draw.choice((0.0, 0.1, 0.3)),
            delay=draw.choice((0.01, 0.05, 0.3)),
            disk=draw.choice((0.001, 0.05, 0.3)),
        )
        actions: list[Callable[[], None]] = [
            self._ask,
            self._ask,
            self._ask,
            self._retry,
            self._crash,
            self._crash,
            self._start,
            self._part,
            self._join,
            self._blink,
        ]
        if self.harsh:
            actions += [self._duel] * 2
            world.on_effect = self._spite
        end = world.now + seconds
        while world.now < end:
            draw.choice(actions)()
            world.run(draw.choice((0.01, 0.05) if self.harsh else (0.01, 0.05, 0.2, 1.0)))
        self._finish()
        return world

    def _ask(self) -> None:
        self.operations += 1
        self._operate(f"o{self.operations}", f"k{self.operations}")

    def _retry(self) -> None:
        """The same operation through another node, at the same time perhaps; a retry draws another collection id."""
        if self.operations:
            ask = self.draw.randint(1, self.operations)
            self._operate(f"o{ask}", f"r{ask}-{self.draw.random()}")

    def _operate(self, operation: str, ask: str) -> None:
        kind = Random(operation)  # a retry is the same call
        name = kind.choice(NAMES)
        if kind.random() < 0.3:
            self.world.ask(ask, DeleteCollection(OperationId(operation), name))
            return
        options = CollectionOptions(dimension=2, shards=kind.choice((None, 4)), replicas=3)
        collection = CollectionId(f"{ask}-uuid")
        self.world.ask(ask, CreateCollection(OperationId(operation), collection, name, options, kind.random() < 0.3))

    def _crash(self) -> None:
        self.world.crash(self.draw.choice(sorted(self.world.hosts)))

    def _blink(self) -> None:
        """A node is killed and at once started again: what it had sent still arrives."""
        self._restart(self.draw.choice(sorted(self.world.hosts)))

    def _spite(self, host: Host, effect: Effect) -> None:
        """The worst moments: the first to know of a decision dies before it can tell while all others restart, and a
        voter restarts when it has just promised.
        """
        if isinstance(effect, Applied) and effect.state.epoch > self.newest:
            self.newest = effect.state.epoch
            if self.draw.random() < 0.3:
                self.world.crash(host.node)
                for node in self.world.up():
                    self._restart(node)
                self._duel()
        elif isinstance(effect, Send) and effect.body["kind"] == "promise" and self.draw.random() < 0.3:
            self._restart(host.node)

    def _restart(self, node: NodeId) -> None:
        self.world.crash(node)
        self.world.start(node)

    def _duel(self) -> None:
        self._ask()
        self._ask()

    def _start(self) -> None:
        for node in sorted(self.world.hosts):
            if self.draw.random() < 0.5:
                self.world.start(node)

    def _part(self) -> None:
        sides = self.draw.choice((1, 1, 2, 3))
        self.world.group = {node: self.draw.randrange(sides) for node in sorted(self.world.hosts)}

    def _join(self) -> None:
        """A node joins in the middle of it all, from whatever snapshot names it."""
        name = f"j{self.joins}"
        node = NodeId(name)
        world = self.world
        knowing = [host.applied for host in world.hosts.values() if host.applied and node in host.applied.members]
        if f"add-{name}" not in world.asks:
            if self.joins < 3:
                world.ask(f"add-{name}", AddMember(node, name, Address(name, 1), self.draw.choice(("", "z"))))
        elif knowing:
            world._new_host(node, self.draw.choice(knowing))
            world.ask(f"activate-{name}", ActivateMember(node), at=name)
            self.joins += 1

    def _finish(self) -> None:
        """Heal: every wish is answered and all agree, in a bounded time."""
        world = self.world
        world.on_effect = lambda host, effect: None
        world.heal()
        if not world.run(60, lambda: all(ask.results for ask in world.asks.values())):
            raise Violation(f"no progress: {[key for key, ask in world.asks.items() if not ask.results]}")
        if not world.run(30, world.agreed):
            raise Violation(f"no agreement: { {n: h.applied and h.applied.epoch for n, h in world.hosts.items()} }")
        state = next(iter(world.hosts.values())).applied
        assert state is not None
        if max(world.history) != state.epoch:
            raise Violation(f"epoch {max(world.history)} was reached, all are at {state.epoch}")
        for operation, result in world.outcomes.items():
            if state.result(operation) != result:
                raise Violation(f"operation {operation} gave {result}, the catalog says {state.result(operation)}")
        self._check_names(state)

    def _check_names(self, state: ClusterState) -> None:
        """What exists is what the answers say: creates that won, less deletes that won."""
        made = {r["collection"] for r in self.world.outcomes.values() if r.get("created")}
        gone = {r["collection"] for r in self.world.outcomes.values() if "collection" in r and "created" not in r}
        if set(state.collections) != made - gone:
            raise Violation("the collections are not those that were answered for")


@settings(max_examples=20)
@given(st.integers(0, 2**32))
def test_random_schedules_keep_every_rule_and_end_in_agreement(seed: int) -> None:
    Schedule(seed).run()


@settings(max_examples=5)
@given(st.integers(0, 2**32))
def test_so_do_schedules_that_strike_at_the_worst_moments(seed: int) -> None:
    Schedule(seed, harsh=True).run(3)


def test_equal_seeds_give_equal_runs() -> None:
    runs = [Schedule(7).run() for _ in range(2)]
    assert runs[0].history == runs[1].history
    assert runs[0].sent == runs[1].sent


# --- rules broken on purpose: each must be caught by the same schedules -----------------------------------------------


def forgetful_voter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Votes are not put on disk."""

    def set_vote(self: Any, vote: Vote, now: float, out: list[Any], also: Any = None) -> None:
        self._vote = vote
        if also:
            out.append(Persist([also]))

    monkeypatch.setattr(EpochLog, "_set_vote", set_vote)


def stubborn_proposer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proposer ignores what voters accepted before."""
    monkeypatch.setattr(round_module.Round, "bound_value", lambda self: None)


def small_majority(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the voters are taken for a majority."""
    monkeypatch.setattr(log_module, "majority", lambda state: max(1, len(state.voters) // 2))


def faithless_voter(monkeypatch: pytest.MonkeyPatch) -> None:
    """A voter accepts below its promise."""
    original = Vote.accept
    monkeypatch.setattr(Vote, "accept", lambda self, ballot, value: original(Vote(self.epoch, ballot), ballot, value))


def early_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers leave before the vote is on disk."""
    original = EpochLog.receive

    def receive(self: Any, *args: Any) -> list[Any]:
        effects = original(self, *args)
        return sorted(effects, key=lambda each: isinstance(each, Persist))

    monkeypatch.setattr(EpochLog, "receive", receive)


@pytest.mark.parametrize("mutant", [forgetful_voter, stubborn_proposer, small_majority, faithless_voter, early_word])
def test_a_broken_rule_is_caught(mutant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    mutant(monkeypatch)
    for seed in range(40):
        try:
            Schedule(seed, harsh=True).run(3)
        except (Violation, AssertionError):
            return
    pytest.fail("40 schedules did not notice")
