"""Rounds, plain writes, reads and repair of one point, on real shard stores, with every message at the mercy of a seed:
lost, doubled, overtaken; owners and coordinators crash and come back.

The coordinators here are small models of the node's: the same pure machines, one message at a time.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from tests.unit.replication.linearizable import Event
from vectron_p2p.model.errors import StaleEpoch
from vectron_p2p.model.ids import NodeId
from vectron_p2p.replication.ballots import make_ballot, operation_key
from vectron_p2p.replication.joint import JointQuorum
from vectron_p2p.replication.quorum import RowState, WriteOutcome, WriteRound
from vectron_p2p.replication.reads import ReadRound
from vectron_p2p.replication.rounds import ABSENT, SOMEWHERE, Change, Decide, Kind, Outcome, PointRound, State, nothing
from vectron_p2p.replication.version import content_digest, make_version
from vectron_p2p.storage.records import Row
from vectron_p2p.storage.shard import ShardStore
from vectron_p2p.testing.disk import SimDisk

POINT = 7
OWNERS = [NodeId(f"00000000-0000-4000-8000-{i:012x}") for i in range(1, 4)]
REQUIRED = 2

Wait = Callable[[], bool]
Steps = Generator[Wait, bool, Any]  # yields what it waits for; gets whether that came (else: it timed out)


class At(NamedTuple):
    """Where the requests of one attempt go."""

    read: list[NodeId]
    required: int
    quorum: JointQuorum
    epoch: int = 0


EVERYWHERE = At(OWNERS, REQUIRED, JointQuorum.of(OWNERS, REQUIRED))


class Conflict(Exception):
    """What a condition met; stands for the errors of the node."""

    def __init__(self, state: State) -> None:
        super().__init__()
        self.state = state


def value_of(vector: bytes | None) -> object:
    return None if vector is None else vector.decode()


@dataclass(slots=True)
class Owner:
    disk: SimDisk
    store: ShardStore = field(init=False)

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        self.store = ShardStore(self.disk.open("s"))

    def crash(self) -> None:
        """The power fails: what was not synced is gone."""
        self.disk.crash(power=True)
        self.open()


@dataclass(slots=True)
class Task:
    steps: Steps
    event: Event
    client: int
    wait: Wait | None = None
    node: NodeId = OWNERS[0]


class World:
    coordinators = OWNERS

    def __init__(self, seed: int, *, calls: int = 10) -> None:
        self.random = random.Random(seed)
        self.owners = {owner: Owner(SimDisk(random.Random(seed))) for owner in OWNERS}
        self.network: list[Callable[[], None]] = []
        self.tasks: list[Task] = []
        self.history: list[Event] = []
        self.now = 0
        self.left = calls
        self.busy_clients: set[int] = set()
        self.stamps = dict.fromkeys(self.coordinators, 0)
        self.skew = {node: self.random.choice([0, 0, 40, -40]) for node in self.coordinators}
        self.loss = self.random.choice([0.0, 0.05, 0.2])
        self.double = self.random.choice([0.0, 0.1])
        self.timeout = self.random.choice([0.01, 0.05])
        self.crashes = self.random.choice([0.0, 0.01, 0.04])
        self.repair = self.random.choice([0.0, 0.1])
        self.known: dict[int, State] = {}
        self.number = 0

    # --- routes: where owners never change --------------------------------------------------------------------------

    def route(self, node: NodeId) -> At:
        """As `node` knows it now."""
        return EVERYWHERE

    def refused(self, owner: NodeId, epoch: int) -> int:
        """The epoch that `owner` wants to see; 0: it takes a request of `epoch`."""
        return 0

    def pull(self, node: NodeId, epoch: int) -> None:
        """`node` learns of the catalog up to `epoch`."""

    # --- network ----------------------------------------------------------------------------------------------------

    def call(
        self,
        at: At,
        owner: NodeId,
        serve: Callable[[ShardStore], Any],
        answer: Callable[[Any], None],
        stale: Callable[[int], None] = lambda epoch: None,
        *,
        once: bool = False,
    ) -> None:
        def deliver() -> None:
            if epoch := self.refused(owner, at.epoch):
                self._post(lambda: stale(epoch))
            else:
                reply = serve(self.owners[owner].store)
                self._post(lambda: answer(reply))

        self._post(deliver, once=once)

    def _post(self, message: Callable[[], None], *, once: bool = False) -> None:
        if self.random.random() >= self.loss:
            self.network.append(message)
            if not once and self.random.random() < self.double:
                self.network.append(message)

    def apply(
        self,
        at: At,
        owner: NodeId,
        row: Row,
        answer: Callable[[bytes | None], None],
        stale: Callable[[int], None] = lambda epoch: None,
        *,
        once: bool = False,
    ) -> None:
        """`once`: as from its coordinator, whose calls arrive at most once; "newer" then tells that it is nowhere."""
        self.call(at, owner, lambda store: store.apply([row], _anything)[0].held, answer, stale, once=once)

    def stamp(self, node: NodeId, above: int = 0) -> int:
        self.stamps[node] = max(self.stamps[node] + 1, self.now + 100 + self.skew[node])
        return max(self.stamps[node], above + 1)

    # --- operations -------------------------------------------------------------------------------------------------

    def round(
        self,
        node: NodeId,
        decide: Decide,
        key: bytes | None,
        *,
        rebase: bool = False,
        proposed_on: bytes | None = None,
    ) -> Generator[Wait, bool, Outcome]:
        round_ = PointRound(POINT, decide, operation=key, rebase=rebase, proposed_on=proposed_on)
        for _ in range(4):
            at = self.route(node)
            ballot = make_ballot(self.stamp(node, round_.above), node)
            round_.begin(ballot, at.quorum)
            for owner in at.quorum.owners:
                self._prepare(node, at, round_, owner, ballot)
            yield lambda: round_.decided
            proposal = round_.propose()
            if proposal is None:
                continue
            row = Row(POINT, *proposal)
            for owner in at.quorum.owners:
                self._accept(node, at, round_, owner, ballot, row)
            yield lambda: round_.decided
            outcome = round_.conclude()
            if outcome is not None:
                return outcome
        return round_.give_up("lost")

    def _prepare(self, node: NodeId, at: At, round_: PointRound, owner: NodeId, ballot: bytes) -> None:
        def answer(reply: Any) -> None:
            if reply.granted:
                row = reply.row
                held = ABSENT if row is None else State(row.version, row.vector, row.payload, row.mark)
                round_.promised(ballot, owner, held)
            else:
                round_.refused(ballot, owner, reply.above)

        def stale(epoch: int) -> None:
            self.pull(node, epoch)
            round_.unpromised(ballot, owner)

        self.call(at, owner, lambda store: store.promise([(POINT, ballot)], _anything)[0], answer, stale)

    def _accept(self, node: NodeId, at: At, round_: PointRound, owner: NodeId, ballot: bytes, row: Row) -> None:
        def answer(held: bytes | None) -> None:
            if held == row.version:
                round_.accepted(ballot, owner)
            else:
                round_.outdone(ballot, owner, held)

        def stale(epoch: int) -> None:
            self.pull(node, epoch)
            round_.failed(ballot, owner)

        self.apply(at, owner, row, answer, stale, once=True)

    def plain(self, node: NodeId, vector: bytes | None, key: bytes) -> Generator[Wait, bool, str]:
        above = 0
        for _ in range(3):
            payload = None if vector is None else b"\x80"
            digest = content_digest(POINT, vector, payload)
            row = Row(POINT, make_version(self.stamp(node, above), node, digest), vector, payload)
            outcome = yield from self._send(node, row)
            if outcome.mixed:
                done = yield from self.round(node, _put(vector), key, rebase=True, proposed_on=SOMEWHERE)
                return "ok" if done.kind is Kind.DONE else "unknown"
            if outcome.states[0] is not RowState.RESTAMP:
                return "ok" if outcome.states[0] is RowState.DONE else "unknown"
            above = outcome.above[0]
        return "void"

    def _send(self, node: NodeId, row: Row) -> Generator[Wait, bool, WriteOutcome]:
        traced: list[int] = []
        while True:
            at = self.route(node)
            write = WriteRound(at.quorum, [row.version], traced=traced)
            for owner in at.quorum.owners:
                self._write(at, write, owner, row)
            if not (yield partial(getattr, write, "decided")) and write.stale <= at.epoch:
                for owner in write.pending:
                    write.record_failure(owner)
            outcome = write.outcome()
            if write.stale <= at.epoch or outcome.states[0] is RowState.DONE:
                return outcome
            self.pull(node, write.stale)
            traced = write.traces()

    def _write(self, at: At, write: WriteRound, owner: NodeId, row: Row) -> None:
        def stale(epoch: int) -> None:
            write.record_stale(owner, StaleEpoch("", epoch=epoch))

        self.apply(at, owner, row, lambda held: write.record(owner, [held]), stale, once=True)

    def read(self, node: NodeId) -> Generator[Wait, bool, State | None]:
        for _ in range(4):
            at = self.route(node)
            read = ReadRound(at.read, at.required, 1, confirm=at.quorum)
            rows: dict[NodeId, Row | None] = {}
            for owner in self.random.sample(at.read, self.random.choice([at.required, len(at.read)])):
                self._fetch(node, at, read, rows, owner)
            came = yield lambda read=read: read.complete or bool(read.again or read.busy)  # type: ignore[misc]
            if read.complete:
                source = read.source(0)
                row = None if source is None else rows[source]
                return ABSENT if row is None else State(row.version, row.vector, row.payload, row.mark)
            if came and read.busy and not read.again:
                outcome = yield from self.round(node, nothing, None)
                return outcome.state if outcome.kind is Kind.DONE else None
        return None

    def _fetch(self, node: NodeId, at: At, read: ReadRound, rows: dict[NodeId, Row | None], owner: NodeId) -> None:
        def answer(row: Row | None) -> None:
            if owner not in rows:
                rows[owner] = row
                read.record(owner, [None if row is None else row.version])
                for back in read.write_backs():
                    source = read.source(0)
                    newest = None if source is None else rows[source]
                    assert newest is not None
                    self._write_back(at, read, back.owner, newest)

        self.call(at, owner, lambda store: store.get([POINT])[0], answer, partial(self.pull, node))

    def _write_back(self, at: At, read: ReadRound, owner: NodeId, row: Row) -> None:
        self.apply(at, owner, row, lambda held: read.record_write_back(owner, [0], [held]))

    # --- clients ----------------------------------------------------------------------------------------------------

    def start(self, client: int) -> None:
        self.left -= 1
        self.busy_clients.add(client)
        self.number += 1
        node, value = self.random.choice(self.coordinators), f"v{self.number}"
        key = operation_key(value)
        known = self.known.get(client, ABSENT)
        kinds = ["read", "read", "put", "delete", "plain", "unplain", "insert"]
        kind = self.random.choice([*kinds, *(["cas"] * 8 if known.live else [])])
        event = Event(kind, self.now, value)
        self.history.append(event)
        steps: Steps
        if kind == "read":
            steps = self._reading(node, event, client)
        elif kind in ("plain", "unplain"):
            event.kind, event.repeats = ("put" if kind == "plain" else "delete"), 2
            steps = self._writing(node, event, value.encode() if kind == "plain" else None, key)
        else:
            event.expected = value_of(known.vector)
            content = known.content if known.live else b""
            vector = None if kind == "delete" else value.encode()
            decide = decider(kind, vector, content)
            steps = self._deciding(node, event, client, decide, key, content if kind == "cas" else None)
        self.tasks.append(Task(steps, event, client, node=node))

    def _reading(self, node: NodeId, event: Event, client: int) -> Steps:
        state = yield from self.read(node)
        if state is not None:
            event.result, event.outcome = value_of(state.vector), "ok"
            self.known[client] = state

    def _writing(self, node: NodeId, event: Event, vector: bytes | None, key: bytes) -> Steps:
        event.outcome = yield from self.plain(node, vector, key)

    def _deciding(
        self, node: NodeId, event: Event, client: int, decide: Decide, key: bytes, expected: bytes | None
    ) -> Steps:
        outcome = yield from self.round(node, decide, key)
        if outcome.kind is Kind.UNKNOWN and self.random.random() < 0.5:  # the connection is lost: asked elsewhere
            other = self.random.choice(self.coordinators)
            outcome = yield from self.round(other, decide, key, proposed_on=expected or SOMEWHERE)
            if outcome.kind is Kind.REFUSED:
                outcome = outcome._replace(kind=Kind.UNKNOWN)
        if outcome.kind in (Kind.DONE, Kind.FAILED):
            self.known[client] = outcome.state
        names = {Kind.DONE: "ok", Kind.FAILED: "failed", Kind.UNKNOWN: "unknown", Kind.REFUSED: "void"}
        event.outcome = names[outcome.kind]
        if outcome.kind is Kind.FAILED:
            event.result = value_of(outcome.state.vector)

    # --- schedule ---------------------------------------------------------------------------------------------------

    def run(self) -> list[Event]:
        while self.left or self.tasks:
            self.now += 1
            assert self.now < 20_000, "a schedule without end"
            self._step()
        for event in self.history:
            if event.outcome == "unknown":
                event.ended = float("inf")
        return self.history

    def _step(self) -> None:
        chance = self.random.random()
        if chance < self.crashes:
            self.owners[self.random.choice(list(self.owners))].crash()
        elif chance < 2 * self.crashes and self.tasks:
            self._end(self.random.choice(self.tasks))  # its coordinator dies: what was sent is on its way
        elif self.repair and self.random.random() < self.repair:
            self._repair()
        free = [client for client in range(3) if client not in self.busy_clients]
        if free and self.left and self.random.random() < 0.15:
            self.start(self.random.choice(free))
        ready = [task for task in self.tasks if task.wait is None or task.wait()]
        if self.network and self.random.random() < 0.8:
            self.network.pop(self.random.randrange(len(self.network)))()
        elif ready:
            self._resume(self.random.choice(ready), True)
        elif self.tasks and (not self.network or self.random.random() < self.timeout):
            self._resume(self.random.choice(self.tasks), False)

    def _resume(self, task: Task, came: bool) -> None:
        try:
            task.wait = next(task.steps) if task.wait is None else task.steps.send(came)
        except StopIteration:
            self._end(task)

    def _end(self, task: Task) -> None:
        task.steps.close()
        task.event.ended = self.now
        self.tasks.remove(task)
        self.busy_clients.discard(task.client)

    def _repair(self) -> None:
        source = self.random.choice(list(self.owners))
        at = self.route(source)
        target = self.random.choice(at.read)
        row = self.owners[source].store.get([POINT])[0]
        if row is not None and source in at.read and source != target:
            self.apply(at, target, row, lambda held: None)


def decider(kind: str, vector: bytes | None, content: bytes) -> Decide:
    def decide(base: State) -> Change | Any:
        if kind == "insert" and base.live:
            return _failure()
        if kind == "cas" and not (base.live and base.content == content):
            return _failure()
        if kind == "delete" and not base.live:
            return None
        return Change(vector, None if vector is None else b"\x80")

    return decide


def _failure() -> Any:
    from vectron_p2p.model.errors import VersionConflict

    return VersionConflict("no")


def _put(vector: bytes | None) -> Decide:
    return lambda base: Change(vector, None if vector is None else b"\x80")


def _anything(stamp: int, held: int) -> bool:
    return True
