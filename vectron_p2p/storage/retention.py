"""What a shard replica may forget, and what it may have forgotten: floors, collected tombstones, the learner's flag.

Four records beside the rows, each written with fsync whatever the durability of rows is:

    m floors    the floor and, per Merkle leaf, the floor its tombstones were collected under (`replication.floors`)
    m learner   why this replica is a learner; absent when it is none
    m refuse    writes at or below this stamp are refused: promises made before it are forgotten
    m life      which boot of the machine writes rows without fsync now; absent after an orderly end

Owns these records and the removal of rows. Must not know who decides that floors rise or that learning is over.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from vectron_p2p.model.ids import PointId, encode_point_id
from vectron_p2p.replication.floors import Floors, Path, refuses
from vectron_p2p.replication.learners import Learner
from vectron_p2p.replication.merkle import LEAVES, MerkleTree, leaf_of
from vectron_p2p.replication.version import VERSION_SIZE, stamp
from vectron_p2p.storage.kv import Corrupt, WriteFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from threading import Lock

    from vectron_p2p.storage.kv import KeyValue, Reader

ROW, ROW_END = b"r", b"s"
VERSION, VERSION_END = b"v", b"w"
ID_AT = 3  # in a version key: after the letter and two bytes of leaf
LIVE, DEAD = b"\x01", b"\x00"

_FLOORS, _LEARNER, _REFUSE, _LIFE = b"m/floors", b"m/learner", b"m/refuse", b"m/life"
LEAVES_AT_ONCE = 64  # collected in one batch: some 6,000 rows at 100,000 a shard, so that writers wait 10 ms at most

Puts = list[tuple[bytes, bytes | None]]


class FloorScan(NamedTuple):
    """The rows at or below a floor."""

    sums: bytes
    """Merkle leaf sums over them."""
    leaves: list[int]
    """Leaves with tombstones among them."""


class _Records(NamedTuple):
    floors: Floors
    learner: Learner | None
    refuse_below: int
    life: str | None

    @classmethod
    def load(cls, kv: Reader) -> _Records:
        floors, learner, refuse, life = kv.get_many([_FLOORS, _LEARNER, _REFUSE, _LIFE])
        try:
            return cls(
                Floors.from_bytes(floors or b""),
                None if learner is None else Learner(learner.decode()),
                int.from_bytes(refuse or b"", "big"),
                None if life is None else life.decode(),
            )
        except ValueError as error:
            raise Corrupt(f"the record of floors or of learning is damaged: {error}") from error


class Retaining:
    """The part of `ShardStore` that this module is about; the host class has the rows.

    Every method that writes takes the store's writer lock, is on disk when it returns, and raises WriteFailed like
    `ShardStore.apply`.
    """

    _kv: KeyValue
    _writing: Lock

    def _load_records(self) -> None:
        self._records = _Records.load(self._kv)

    def _heal_records(self) -> Puts:
        """After the store was reopened: takes over what is on disk, and returns what has to be written once more.

        A flag that could not be written holds all the same, and must not be forgotten by a restart.
        """
        known, stored = self._records, _Records.load(self._kv)
        floors = stored.floors.merged(known.floors)
        learner = known.learner or stored.learner
        refuse_below = max(known.refuse_below, stored.refuse_below)
        self._records = _Records(floors, learner, refuse_below, known.life)
        if self._records == stored:
            return []
        return [
            (_FLOORS, floors.to_bytes()),
            (_LEARNER, None if learner is None else learner.reason.encode()),
            (_REFUSE, refuse_below.to_bytes(8, "big")),
            (_LIFE, None if known.life is None else known.life.encode()),
        ]

    @property
    def broken(self) -> bool:
        raise NotImplementedError

    def _remove(self, puts: Puts, removed: Sequence[tuple[bytes, bytes]]) -> None:
        """Writes `puts`, synced; `removed` are the rows that they remove, as id key and version entry. Lock held."""
        raise NotImplementedError

    def _record(self, puts: Puts, records: _Records, removed: Sequence[tuple[bytes, bytes]] = ()) -> None:
        if self.broken:
            raise WriteFailed("the store failed a write and is not healed yet")
        self._remove(puts, removed)
        self._records = records

    # --- learner ------------------------------------------------------------------------------------------------------

    @property
    def learner(self) -> Learner | None:
        """Set: this replica may have forgotten rows that it acknowledged, and must answer nothing."""
        return self._records.learner

    @property
    def refuse_below(self) -> int:
        """Writes, hints and ballots at or below this stamp are refused, and were for the whole life of a learner."""
        return max(self._records.floors.floor, self._records.refuse_below)

    def set_learner(self, reason: str, refuse_below: int) -> None:
        """From now on a learner, even if this raises. One that is a learner already keeps its first reason."""
        with self._writing:
            self._set_learner(reason, refuse_below, [], self._records.life)

    def _set_learner(self, reason: str, refuse_below: int, puts: Puts, life: str | None) -> None:
        records = self._records
        learner = records.learner or Learner(reason)
        refuse_below = max(refuse_below, records.refuse_below)
        puts = [*puts, (_LEARNER, learner.reason.encode()), (_REFUSE, refuse_below.to_bytes(8, "big"))]
        self._records = records._replace(learner=learner, refuse_below=refuse_below)  # it answers nothing from here on
        self._record(puts, self._records._replace(life=life))

    def clear_learner(self, floors: Floors | None = None, *, refuse_below: int | None = None) -> None:
        """No learner any more; takes over the `floors` of the copies that made it whole.

        The refusal of old stamps stays: what was promised is still forgotten. `refuse_below`, if given, lowers it to
        what a clock that is right by now says.
        """
        with self._writing:
            records = self._records
            floors = records.floors if floors is None else records.floors.merged(floors)
            refuse = records.refuse_below if refuse_below is None else min(records.refuse_below, refuse_below)
            puts: Puts = [(_LEARNER, None), (_FLOORS, floors.to_bytes()), (_REFUSE, refuse.to_bytes(8, "big"))]
            self._record(puts, records._replace(floors=floors, learner=None, refuse_below=refuse))

    def begin_life(self, machine: str, refuse_below: int, *, interval: bool) -> bool:
        """Call once after opening; `machine` names the machine's boot. Whether the last life may have lost rows.

        It may when it wrote without fsync, did not end in order, and the machine has restarted since: what the system
        still had in memory is gone, so the replica is a learner. A killed process loses nothing: its writes are the
        system's by then.
        """
        with self._writing:
            before = self._records.life
            after = machine if interval else None
            puts: Puts = [(_LIFE, None if after is None else after.encode())]
            if before is not None and before != machine:
                reason = "the machine restarted before the last rows acknowledged were on disk"
                self._set_learner(reason, refuse_below, puts, after)
                return True
            if before != after:
                self._record(puts, self._records._replace(life=after))
            return False

    def _end_life(self) -> None:
        """All rows are on disk; lock held."""
        if self._records.life is not None:
            self._record([(_LIFE, None)], self._records._replace(life=None))

    # --- floors -------------------------------------------------------------------------------------------------------

    @property
    def floors(self) -> Floors:
        return self._records.floors

    def refuses(self, path: Path, row_stamp: int, leaf: int, *, held: bool) -> bool:
        """Whether a row that comes by `path` is refused for the floors, or for what a learner may have promised."""
        records = self._records
        if path is Path.WRITE and records.refuse_below and row_stamp <= records.refuse_below:
            return True
        floors = records.floors
        collected = floors.collected_at(leaf)
        return refuses(path, row_stamp, held=held, floor=floors.floor, collected=collected)

    def raise_floor(self, floor: int) -> None:
        """From now on writes, hints and ballots at or below `floor` are refused."""
        with self._writing:
            floors = self._records.floors.raised(floor)
            if floors is not self._records.floors:
                self._record([(_FLOORS, floors.to_bytes())], self._records._replace(floors=floors))

    def take_floors(self, floors: Floors) -> None:
        """The end of a move's copy: the source's floors hold here too."""
        with self._writing:
            floors = self._records.floors.merged(floors)
            self._record([(_FLOORS, floors.to_bytes())], self._records._replace(floors=floors))

    def scan_floor(self, floor: int) -> FloorScan:
        """Adds up the rows at or below `floor`: 2 µs a row."""
        tree, dead = MerkleTree(), set()
        snapshot = self._kv.snapshot()
        try:
            for key, entry in snapshot.iterate(VERSION, VERSION_END):
                if stamp(entry) <= floor:
                    tree.add(key[ID_AT:], entry[:VERSION_SIZE])
                    if entry[VERSION_SIZE:] == DEAD:
                        dead.add(int.from_bytes(key[1:ID_AT], "big"))
        finally:
            snapshot.close()
        return FloorScan(tree.leaves(), sorted(dead))

    def collect(self, floor: int, leaves: Iterable[int]) -> int:
        """Drops the tombstones at or below `floor` of `leaves`, where all owners hold the same; how many there were."""
        todo = [leaf for leaf in sorted(set(leaves)) if self._records.floors.collected_at(leaf) < floor]
        total = 0
        for start in range(0, len(todo), LEAVES_AT_ONCE):
            part = todo[start : start + LEAVES_AT_ONCE]
            with self._writing:
                dead = [
                    (key, entry)
                    for leaf in part
                    for key, entry in self._kv.iterate(_leaf_key(leaf), _leaf_key(leaf + 1))
                    if entry[VERSION_SIZE:] == DEAD and stamp(entry) <= floor
                ]
                floors = self._records.floors.settled(part, floor)
                puts: Puts = [(_FLOORS, floors.to_bytes()), *_deletions(dead)]
                self._record(puts, self._records._replace(floors=floors), _removed(dead))
                total += len(dead)
        return total

    def drop(self, rows: Sequence[tuple[PointId, bytes]]) -> int:
        """Removes rows of a learner, each if it still has this version: full owners collected what deleted them."""
        with self._writing:
            if self._records.learner is None:
                raise ValueError("only a learner drops rows")
            keys = [version_key(encode_point_id(point)) for point, _ in rows]
            gone = [
                (key, entry)
                for key, entry, (_, version) in zip(keys, self._kv.get_many(keys), rows, strict=True)
                if entry is not None and entry[:VERSION_SIZE] == version
            ]
            if gone:
                self._record(_deletions(gone), self._records, _removed(gone))
            return len(gone)

    def forget_collected(self) -> int:
        """Drops tombstones that came back with a copy although they were collected in their leaf; how many."""
        floors, dead = self._records.floors, list[tuple[bytes, bytes]]()
        if not floors.collected:
            return 0
        for key, entry in self._kv.iterate(VERSION, VERSION_END):
            leaf = int.from_bytes(key[1:ID_AT], "big")
            if entry[VERSION_SIZE:] == DEAD and stamp(entry) <= floors.collected_at(leaf):
                dead.append((key, entry))
        total, pending = 0, iter(dead)
        while part := list(islice(pending, LEAVES * 4)):
            with self._writing:
                entries = self._kv.get_many([key for key, _ in part])
                same = [pair for pair, now in zip(part, entries, strict=True) if now == pair[1]]
                self._record(_deletions(same), self._records, _removed(same))
                total += len(same)
        return total


def version_key(key: bytes) -> bytes:
    """Where the version of the row with this id key is."""
    return _leaf_key(leaf_of(key)) + key


def _leaf_key(leaf: int) -> bytes:
    return VERSION + leaf.to_bytes(2, "big")


def _deletions(rows: Iterable[tuple[bytes, bytes]]) -> Puts:
    puts: Puts = []
    for key, _ in rows:
        puts += [(ROW + key[ID_AT:], None), (key, None)]
    return puts


def _removed(rows: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(key[ID_AT:], entry) for key, entry in rows]
