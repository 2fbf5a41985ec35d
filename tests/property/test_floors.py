"""Floors, learners and repair under drawn schedules: no deleted point comes back, and none is kept for ever.

Real stores on simulated disks; messages (writes, hints, copies, steps of the floor protocol) arrive late, in any order,
twice or never. An owner may lose what was not synced, or come back with an older copy of its disk: it is a learner
then, one at a time, for what two of three have forgotten is lost by right.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vectron_p2p.model.ids import NodeId, PointId, encode_point_id
from vectron_p2p.replication import learners
from vectron_p2p.replication.floors import Adoption, FloorRound, Floors, Path, refuses, to_adopt
from vectron_p2p.replication.learners import Ending, Lesson, Source, plan_copy
from vectron_p2p.replication.merkle import LEAVES, leaf_of
from vectron_p2p.replication.version import make_version, stamp
from vectron_p2p.storage import retention
from vectron_p2p.storage.memory import MemoryTable
from vectron_p2p.storage.records import Row
from vectron_p2p.storage.shard import ShardStore
from vectron_p2p.testing.disk import SimDisk, _Store

OWNERS = [NodeId(f"00000000-0000-4000-8000-00000000000{n}") for n in (1, 2, 3)]
IDS: list[PointId] = [1, 317, 10, 1005]
"""Two pairs, each in one Merkle leaf."""
Message = tuple[NodeId, Callable[[], None]]


def leaf(point: PointId) -> int:
    return leaf_of(encode_point_id(point))


def settled(floors: Floors) -> Callable[[PointId], int]:
    return lambda point: floors.collected_at(leaf(point))


def anything(stamp: int, held: int) -> bool:
    return True


@dataclass
class Owner:
    name: NodeId
    disk: SimDisk
    store: ShardStore
    old: list[dict[bytes, bytes]] = field(default_factory=list)
    lesson: Lesson | None = None
    learning: Iterator[None] | None = None
    floors: Floors = field(default_factory=Floors)

    @property
    def full(self) -> bool:
        return self.store.learner is None

    def versions(self) -> dict[PointId, bytes]:
        return {point: v for point, v in zip(IDS, self.store.versions(IDS), strict=True) if v is not None}


class World:
    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.now = self.steps = 0
        self.late = self.rng.choice([0.05, 0.3, 0.6])  # the share of slow messages
        self.crashes = self.rng.choice([0, 1, 3])
        self.owners = {name: self._owner(name) for name in OWNERS}
        self.flying: list[Message] = []
        self.slow: list[Message] = []
        """Those that take many times as long."""
        self.acks: dict[bytes, tuple[Row, set[NodeId]]] = {}
        self.acked: dict[PointId, Row] = {}
        """The newest row of each id that a quorum acknowledged."""
        self.collected: dict[PointId, bytes] = {}

    def _owner(self, name: NodeId) -> Owner:
        disk = SimDisk(random.Random(self.rng.getrandbits(32)))
        return Owner(name, disk, ShardStore(disk.open("s")))

    def some(self) -> Owner:
        return self.owners[self.rng.choice(OWNERS)]

    def send(self, sender: NodeId, deliver: Callable[[], None]) -> None:
        for _ in range(self.rng.choice([0, 1, 1, 1, 1, 1, 1, 1, 1, 2])):
            (self.slow if self.rng.random() < self.late else self.flying).append((sender, deliver))

    # --- what may happen ----------------------------------------------------------------------------------------------

    def write(self) -> None:
        self.now += 1
        point = self.rng.choice(IDS)
        vector = b"v" if self.rng.random() < 0.5 else None
        sender = self.rng.choice(OWNERS)
        version = make_version(self.now, sender, bytes([vector is not None] * 16))
        row = Row(point, version, vector, vector and b"\x80")
        self.acks[version] = (row, set())
        for owner in self.owners.values():
            self.send(NodeId("client"), partial(self.apply, owner, row, Path.WRITE))

    def apply(self, owner: Owner, row: Row, path: Path) -> None:
        held = owner.store.apply([row], anything, paths=[path], sync=self.rng.random() < 0.3)[0].held
        if held == row.version and path is Path.WRITE:
            acks = self.acks[row.version][1]
            acks.add(owner.name)
            if len(acks) >= 2 and (row.id not in self.acked or self.acked[row.id].version < row.version):
                self.acked[row.id] = row

    def hint(self) -> None:
        known = [row for row, acks in self.acks.values() if acks]
        if known:
            row, owner = self.rng.choice(known), self.some()
            self.send(NodeId("client"), lambda: self.apply(owner, row, Path.WRITE))

    def copy(self) -> None:
        source, target = self.some(), self.some()
        if source.full:
            for row in source.store.get(IDS):
                if row is not None and self.rng.random() < 0.7:
                    self.send(source.name, partial(self.apply, target, row, Path.COPY))

    def adopt(self) -> None:
        one, other = self.some(), self.some()
        if one.full and other.full:
            adoption = to_adopt(one.store.floors, other.store.floors)
            assert not adoption.forgotten
            for floor, leaves in adoption.collect.items():
                self.collect(one, floor, leaves)

    def floor(self) -> None:
        proposer, floor = self.some(), self.rng.randint(max(0, self.now - 6), self.now)
        if not proposer.full or not proposer.store.tombstones or not floor:
            return
        leaves = proposer.store.scan_floor(floor).leaves
        round_ = FloorRound(OWNERS, floor)

        def agree(owner: Owner) -> None:
            if owner.full:
                owner.store.raise_floor(floor)
                sums = owner.store.scan_floor(floor).sums
                self.send(owner.name, lambda: answered(owner.name, sums))

        def answered(name: NodeId, sums: bytes) -> None:
            before = round_.complete
            round_.record(name, sums)
            if round_.complete and not before:
                equal = round_.equal(leaves)
                for owner in self.owners.values():
                    self.send(proposer.name, partial(self.collect, owner, floor, equal))

        for owner in self.owners.values():
            self.send(proposer.name, partial(agree, owner))

    def collect(self, owner: Owner, floor: int, leaves: list[int]) -> None:
        if owner.full and owner.store.floors.floor >= floor:
            for row in owner.store.get(IDS):
                if row is not None and not row.live and stamp(row.version) <= floor and leaf(row.id) in leaves:
                    self.collected[row.id] = max(row.version, self.collected.get(row.id, b""))
            owner.store.collect(floor, leaves)

    def crash(self) -> None:
        if not all(owner.full for owner in self.owners.values()):
            return
        owner = self.some()
        rolled_back = owner.old and self.rng.random() < 0.5
        owner.disk.crash(power=True)
        for messages in (self.flying, self.slow):  # connections die with it
            messages[:] = [message for message in messages if message[0] != owner.name]
        if rolled_back:
            owner.disk._stores["s"] = _Store(MemoryTable(self.rng.choice(owner.old)))
        owner.store = ShardStore(owner.disk.open("s"))
        owner.store.set_learner("crashed", self.now)
        owner.lesson, owner.learning, owner.floors = Lesson(owner.name, OWNERS), None, Floors()

    def remember(self) -> None:
        owner = self.some()
        owner.old.append(dict(owner.disk._stores["s"].table.pairs))

    def learn(self) -> None:
        for owner in self.owners.values():
            if owner.lesson is None or owner.full:
                continue
            if owner.learning is None:
                full = [name for name in OWNERS if self.owners[name].full]
                if owner.lesson.ending(full, []) is Ending.LEARNED:
                    owner.store.clear_learner(owner.floors)
                    owner.store.forget_collected()
                    return
                todo = owner.lesson.to_merge(full, [])
                owner.learning = self.merge(owner, owner.lesson, self.rng.choice(todo))
            if next(owner.learning, "over") == "over":
                owner.learning = None

    def merge(self, owner: Owner, lesson: Lesson, source: Source) -> Iterator[None]:
        """Leaf by leaf, with anything between the steps."""
        other = self.owners[source.node]
        for point in IDS:
            while True:
                theirs = {p: v for p, v in other.versions().items() if leaf(p) == leaf(point)}
                yield
                mine = {p: v for p, v in owner.versions().items() if leaf(p) == leaf(point)}
                take, drop = plan_copy(
                    theirs,
                    mine,
                    collected_there=settled(other.store.floors),
                    collected_here=settled(owner.store.floors),
                    full=True,
                )
                owner.store.drop(drop)
                yield
                rows = [row for row in other.store.get(take) if row is not None]
                for row in rows:
                    self.apply(owner, row, Path.LEARN)
                if len(rows) == len(take):
                    break
        yield
        owner.floors = owner.floors.merged(other.store.floors)
        lesson.merged(source)

    # --- what must hold -----------------------------------------------------------------------------------------------

    def step(self) -> None:
        self.steps += 1
        acts = [self.hint, self.copy, self.adopt] + [self.remember] * 3 + [self.learn] * 9 + [self.crash] * self.crashes
        # By turns: much is written, or much is forgotten.
        acts += [self.write] * 5 if self.steps // 40 % 2 == 0 else [self.floor] * 3
        self.rng.choice([self.deliver] * 30 + acts)()
        full = [owner.versions() for owner in self.owners.values() if owner.full]
        for owner in self.owners.values():
            if owner.full:
                for row in owner.store.get(IDS):
                    if row is not None and row.live:
                        assert row.version > self.collected.get(row.id, b""), f"{row.id} came back to {owner.name}"
        for row in self.acked.values():
            if self.collected.get(row.id, b"") < row.version:
                trailing = sum(held.get(row.id, b"") < row.version for held in full)
                assert trailing <= 1, f"a quorum of those who answer has forgotten {row.id}"

    def deliver(self) -> None:
        late = self.slow and (not self.flying or self.rng.random() < 0.04)
        messages = self.slow if late else self.flying
        if messages:
            _, deliver = messages.pop(self.rng.randrange(len(messages)))
            deliver()

    def rest(self) -> None:
        """No more news; everybody learns, repairs, collects."""
        while self.flying or self.slow:
            self.deliver()
        for _ in range(200):
            self.learn()
        assert all(owner.full for owner in self.owners.values())
        for _ in range(6):
            for source in self.owners.values():
                for target in self.owners.values():
                    self.adopt()
                    for row in source.store.get(IDS):
                        if row is not None:
                            self.apply(target, row, Path.COPY)
                    adoption = to_adopt(target.store.floors, source.store.floors)
                    for floor, leaves in adoption.collect.items():
                        self.collect(target, floor, leaves)
        roots = {owner.store.merkle_root() for owner in self.owners.values()}
        assert len(roots) == 1, "the owners do not become equal"
        held = self.owners[OWNERS[0]].versions()
        for row in self.acked.values():
            now, forgotten = held.get(row.id, b""), self.collected.get(row.id, b"")
            assert now >= row.version or (not now and forgotten >= row.version), f"{row.id} lost what was acked"
        self.now += 1
        round_ = FloorRound(OWNERS, self.now)
        for owner in self.owners.values():
            owner.store.raise_floor(self.now)
            round_.record(owner.name, owner.store.scan_floor(self.now).sums)
        for owner in self.owners.values():
            self.collect(owner, self.now, round_.equal(range(LEAVES)))
            assert owner.store.tombstones == 0


def run(seed: int, steps: int) -> None:
    world = World(seed)
    for _ in range(steps):
        world.step()
    world.rest()


@pytest.mark.parametrize("first", range(0, 60, 10))
def test_drawn_schedules(first: int) -> None:
    for seed in range(first, first + 10):
        run(seed, 400)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(50, 500))
def test_schedules_that_hypothesis_draws(seed: int, steps: int) -> None:
    run(seed, steps)


# --- every rule is needed ---------------------------------------------------------------------------------------------


def without_one_owner(patch: pytest.MonkeyPatch) -> None:
    """Two of three owners are enough to forget."""
    patch.setattr(FloorRound, "complete", property(lambda self: len(self._sums) >= 2))
    patch.setattr(FloorRound, "equal", lambda self, leaves: equal_of(list(self._sums.values()), leaves))


def equal_of(sums: list[bytes], leaves: Iterable[int]) -> list[int]:
    return [leaf for leaf in leaves if len({each[16 * leaf : 16 * leaf + 16] for each in sums}) == 1]


def without_comparing(patch: pytest.MonkeyPatch) -> None:
    """All owners agreed to the floor: that is enough to forget."""
    patch.setattr(FloorRound, "equal", lambda self, leaves: list(leaves))


def without_refusing_writes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        retention,
        "refuses",
        lambda path, stamp, **fields: path is not Path.LEARN and refuses(Path.COPY, stamp, **fields),
    )


def without_refusing_copies(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        retention, "refuses", lambda path, stamp, **fields: path is Path.WRITE and refuses(path, stamp, **fields)
    )


def without_the_learners_flag(patch: pytest.MonkeyPatch) -> None:
    """Who may have forgotten answers, and others learn from it."""
    patch.setattr(Owner, "full", property(lambda self: True))


def with_one_source(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(learners, "sources_needed", lambda owners: 1)


def without_dropping(patch: pytest.MonkeyPatch) -> None:
    """A learner keeps rows whose deletion the others have forgotten."""
    patch.setattr(ShardStore, "drop", lambda self, rows: 0)


def without_taking_floors(patch: pytest.MonkeyPatch) -> None:
    clear = ShardStore.clear_learner
    patch.setattr(ShardStore, "clear_learner", lambda self, floors: clear(self))


def without_adopting(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(World, "adopt", lambda self: None)
    patch.setitem(globals(), "to_adopt", lambda mine, theirs: Adoption({}, False))


MUTANTS = [
    without_one_owner, without_comparing, without_refusing_writes, without_refusing_copies, without_the_learners_flag,
    with_one_source, without_dropping, without_taking_floors, without_adopting,
]  # fmt: skip


@pytest.mark.parametrize("mutant", MUTANTS)
def test_each_rule_left_out_is_caught(mutant: Callable[[pytest.MonkeyPatch], None], monkeypatch: Any) -> None:
    mutant(monkeypatch)
    for seed in range(200):
        try:
            run(seed, 300)
        except (AssertionError, ValueError):
            return
    raise AssertionError("not caught within 200 schedules")
