"""Tombstone floors: when the trace of a deleted point may be forgotten for good (PROTOCOLS §7).

Theory of operation. A tombstone that one owner forgets too early lets an older row come back from another owner, a
hint or a delayed write. So nothing is forgotten by age alone:

1. Every owner of the shard, dead or alive, puts a floor F on its disk: a stamp at least ten minutes old. From then on
   it refuses writes, hints and ballots at or below F; only copies (repair, write-back) may still bring such rows.
2. Every owner sums its rows at or below F, leaf by leaf of its Merkle tree. In a leaf where all sums are equal every
   owner holds the same tombstones, so nobody holds an older row of those ids, and nobody can get one any more.
3. Each owner drops the tombstones at or below F of such a leaf, and notes F as `collected` there, in one batch. A row
   at or below that, of an id that it does not hold, it refuses from now on on every path. The exception is the copy
   that makes a learner or a new owner whole, which ends by taking over the source's floors.

Leaves are settled one by one, so writes to old rows while the owners add up hold back their own leaf and no other.
Any party may die at any step: a floor that nothing follows does no harm, and an owner that missed the order to collect
finds `collected` above its own at the next comparison (`to_adopt`).

Invariants: `floor` and every `collected` only rise, and `collected` of a leaf never exceeds the floor that all owners
agreed to. Pure: the caller passes clocks and rows.
"""

from __future__ import annotations

import enum
import struct
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vectron_p2p.replication.hlc import MAX_SKEW_MS, stamp_of
from vectron_p2p.replication.merkle import LEAVES, SUM_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vectron_p2p.model.ids import NodeId

_FORM = struct.Struct(f">{1 + LEAVES}Q")


class Path(enum.Enum):
    """How a row comes to a replica."""

    WRITE = "write"
    """A plain write, a hint, a ballot."""
    COPY = "copy"
    """Repair and write-back: a row that another owner holds."""
    LEARN = "learn"
    """The copy that makes a learner or a new owner whole."""


@dataclass(frozen=True, slots=True)
class Floors:
    """One replica's floor, and per Merkle leaf the floor up to which its tombstones were collected."""

    floor: int = 0
    collected: tuple[int, ...] = ()
    """Empty: nothing was collected in any leaf."""

    def collected_at(self, leaf: int) -> int:
        return self.collected[leaf] if self.collected else 0

    @property
    def highest(self) -> int:
        """The highest floor that tombstones were collected under."""
        return max(self.collected, default=0)

    def raised(self, floor: int) -> Floors:
        return self if floor <= self.floor else Floors(floor, self.collected)

    def settled(self, leaves: Iterable[int], floor: int) -> Floors:
        """With the tombstones at or below `floor` collected in `leaves`."""
        collected = list(self.collected or (0,) * LEAVES)
        for leaf in leaves:
            collected[leaf] = max(collected[leaf], floor)
        return Floors(max(self.floor, floor), tuple(collected))

    def merged(self, other: Floors) -> Floors:
        """What a copy of both sources has to take over."""
        if not self.collected or not other.collected:
            return Floors(max(self.floor, other.floor), self.collected or other.collected)
        pairs = zip(self.collected, other.collected, strict=True)
        return Floors(max(self.floor, other.floor), tuple(max(pair) for pair in pairs))

    def to_bytes(self) -> bytes:
        """For disk and wire; empty when there is nothing to say."""
        if self == Floors():
            return b""
        return _FORM.pack(self.floor, *(self.collected or (0,) * LEAVES))

    @classmethod
    def from_bytes(cls, data: bytes) -> Floors:
        """Inverse of `to_bytes`; ValueError when `data` is no such bytes."""
        if not data:
            return cls()
        if len(data) != _FORM.size:
            raise ValueError(f"floors have {_FORM.size} bytes, these {len(data)}")
        floor, *collected = _FORM.unpack(data)
        return cls(floor, tuple(collected) if any(collected) else ())


def refuses(path: Path, stamp: int, *, held: bool, floor: int, collected: int) -> bool:
    """Whether a replica refuses a row for its floors (0: none); `held`: it holds some version of that id."""
    if path is Path.LEARN:
        return False
    if path is Path.WRITE and floor and stamp <= floor:
        return True
    return bool(not held and collected and stamp <= collected)


def choose_floor(wall_ms: int, age_s: float) -> int:
    """The floor that an owner may propose at this time of its clock."""
    return stamp_of(max(0, wall_ms - round(age_s * 1000)))


def old_enough(floor: int, wall_ms: int, age_s: float) -> bool:
    """Whether an owner with this clock agrees to `floor`: a proposer whose clock is ahead must not stop all writes."""
    return floor <= stamp_of(max(0, wall_ms - round(age_s * 1000)) + 2 * MAX_SKEW_MS)


class FloorRound:
    """The sums that the owners of a shard sent under one floor."""

    def __init__(self, owners: Sequence[NodeId], floor: int) -> None:
        self.floor = floor
        self._owners = sorted(owners)
        self._sums: dict[NodeId, bytes] = {}

    def record(self, owner: NodeId, sums: bytes) -> None:
        """`owner` has the floor on its disk, and added up after that; ValueError for what are no sums."""
        if len(sums) != LEAVES * SUM_SIZE:
            raise ValueError(f"sums have {LEAVES * SUM_SIZE} bytes, these {len(sums)}")
        if owner in self._owners:
            self._sums[owner] = sums

    @property
    def complete(self) -> bool:
        """Whether every owner answered."""
        return len(self._sums) == len(self._owners)

    def equal(self, leaves: Iterable[int]) -> list[int]:
        """Those of `leaves` that may be collected: all owners hold the same rows there. None before all answered."""
        if not self.complete:
            return []
        sums = [self._sums[owner] for owner in self._owners]
        return [leaf for leaf in leaves if len({each[leaf * SUM_SIZE : (leaf + 1) * SUM_SIZE] for each in sums}) == 1]


@dataclass(frozen=True, slots=True)
class Adoption:
    """What another owner's floors mean for a replica."""

    collect: dict[int, list[int]]
    """Floor -> leaves: this replica agreed to that floor, and the order to collect did not reach it."""
    forgotten: bool
    """The others collected under a floor that this replica knows nothing of, though all owners had agreed to it: it
    was away longer than its memory reaches, and must learn.
    """


def to_adopt(mine: Floors, theirs: Floors) -> Adoption:
    """See `Adoption`."""
    if theirs.highest > mine.floor:
        return Adoption({}, forgotten=True)
    collect: defaultdict[int, list[int]] = defaultdict(list)
    for leaf, floor in enumerate(theirs.collected):
        if floor > mine.collected_at(leaf):
            collect[floor].append(leaf)
    return Adoption(dict(sorted(collect.items())), forgotten=False)
