"""The rows of one shard replica.

Owns the layout in the store, apply-if-newer, the Merkle sums and the counts. Two keys per row, always in one batch:

    r <id key>            the row (`storage.records`), in scroll order
    v <leaf> <id key>     its version and whether it lives, grouped by Merkle leaf

The second is 4 % more to write, and what makes the rest cheap: a write looks up 41 bytes instead of the old row, a
start counts and sums without reading vectors, and repair reads one leaf. A dict of versions in memory would save those
look-ups (0.4 µs for new rows, 1 to 15 µs for rows held, of the 25 to 45 µs that a row costs) for 180 bytes a row, which
the memory budget of a node has better use for.

Beside them lies what the store says of itself (`storage.standing`).

Invariants: a row is replaced only by a higher version; sums and counts are those of the rows acknowledged, and a store
that was reopened after a failed write has all of those or is given up. One writer at a time (enforced), any number of
readers.
"""

from __future__ import annotations

from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from vectron_p2p.model.errors import InvalidArgument
from vectron_p2p.model.ids import PointId, decode_point_id, encode_point_id
from vectron_p2p.replication.merkle import LEAVES, MerkleTree, leaf_of
from vectron_p2p.replication.version import VERSION_SIZE, stamp
from vectron_p2p.storage.kv import Corrupt, KeyValue, WriteFailed
from vectron_p2p.storage.records import Row, decode_row, encode_row
from vectron_p2p.storage.standing import learner_put, read_standing, sequence_put

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_ROW, _ROW_END = b"r", b"s"
_VERSION, _VERSION_END = b"v", b"w"
_ID_AT = 3  # in a version key: after the letter and two bytes of leaf
_LIVE, _DEAD = b"\x01", b"\x00"
MAX_UNSYNCED_BYTES = 32 << 20  # kept for `heal`; more than any 100 ms of writes: beyond it a write syncs


class Applied(NamedTuple):
    """What became of one row of `ShardStore.apply`."""

    held: bytes | None
    """The version held now; None: the stamp was refused."""
    written: bool
    """Whether this very row was written."""


class _Batch(NamedTuple):
    """A batch and what it changes in sums and counts."""

    puts: list[tuple[bytes, bytes | None]]
    rows: list[tuple[bytes, Row, bytes | None]]
    """Id key, row, and the stored entry (version and life) that it replaces."""


class ShardStore:
    """One replica's rows on a key-value store."""

    def __init__(self, kv: KeyValue) -> None:
        """Reads all versions (2 µs a row).

        Raises:
            Corrupt: The store is damaged.
        """
        self._kv = kv
        self._writing = Lock()
        self._state = Lock()
        self._root: bytes | None = None
        self._lost: str | None = None
        self._unsynced: list[tuple[bytes, bytes | None]] = []
        self._unsynced_bytes = 0
        self._failed: _Batch | None = None
        self._standing = read_standing(kv)
        self._durable = self._standing.sequence
        self._merkle, self._live, self._dead = _summed(kv)

    def _count(self, entry: bytes, change: int) -> None:
        if entry[VERSION_SIZE:] == _LIVE:
            self._live += change
        else:
            self._dead += change

    @property
    def live(self) -> int:
        return self._live

    @property
    def tombstones(self) -> int:
        return self._dead

    @property
    def broken(self) -> bool:
        """Whether `heal` is due: until then nothing is written."""
        return self._kv.broken or self._failed is not None or self._lost is not None

    @property
    def sequence(self) -> int:
        """Batches written, all of them on disk."""
        return self._durable

    @property
    def learner(self) -> str | None:
        """Why rows that this replica acknowledged may be missing; None: none are. Nobody may read from a learner."""
        return self._standing.learner or None

    @property
    def refuse_below(self) -> int:
        """Stamps up to this are taken as copies of what others hold, but not acknowledged: promises made here are
        gone.
        """
        return self._standing.refuse_below

    def merkle_root(self) -> bytes:
        """Root over the rows acknowledged, tombstones too; cheap while nothing changes."""
        with self._state:
            if self._root is None:
                self._root = self._merkle.root()
            return self._root

    def merkle_leaves(self) -> bytes:
        with self._state:
            return self._merkle.leaves()

    # --- writing ------------------------------------------------------------------------------------------------------

    def apply(self, rows: Sequence[Row], admit: Callable[[int, int], bool], *, sync: bool = True) -> list[Applied]:
        """Writes those of `rows` that are newer than what is held, in one batch; on disk when it returns if `sync`.

        `admit(stamp, held stamp or 0)` says whether a newer stamp is acceptable. Of several rows with one id the
        highest is written.

        Raises:
            WriteFailed: Whether they are written is unknown until `heal`. If the store was `broken` before: none is.
        """
        with self._writing:
            if self.broken:
                raise WriteFailed("the store failed a write and is not healed yet")
            keys = [encode_point_id(row.id) for row in rows]
            version_keys = [_version_key(key) for key in keys]
            entries = self._kv.get_many(version_keys)
            chosen: dict[bytes, int] = {}
            refused: set[int] = set()
            for i, row in enumerate(rows):
                entry = entries[i]
                if entry is not None and row.version <= entry[:VERSION_SIZE]:
                    continue
                other = chosen.get(keys[i])
                if other is not None and row.version <= rows[other].version:
                    continue
                if admit(stamp(row.version), stamp(entry) if entry is not None else 0):
                    chosen[keys[i]] = i
                else:
                    refused.add(i)
            batch = _Batch([], [])
            if chosen:
                batch.puts.append(sequence_put(self._standing.sequence + 1))
            for key, i in chosen.items():
                row = rows[i]
                batch.puts.append((_ROW + key, encode_row(row, key)))
                batch.puts.append((version_keys[i], row.version + (_LIVE if row.live else _DEAD)))
                batch.rows.append((key, row, entries[i]))
            if batch.puts:
                self._write(batch, sync)
            return [
                _applied(i, rows, chosen.get(key), None if entry is None else entry[:VERSION_SIZE], i in refused)
                for i, (key, entry) in enumerate(zip(keys, entries, strict=True))
            ]

    def _write(self, batch: _Batch, sync: bool) -> None:
        sync = sync or self._unsynced_bytes > MAX_UNSYNCED_BYTES
        try:
            self._kv.write(batch.puts, sync=sync)
        except WriteFailed:
            self._failed = batch
            raise
        if not sync:
            self._unsynced += batch.puts
            self._unsynced_bytes += sum(len(value or b"") for _, value in batch.puts)
        self._publish(batch)
        if sync:
            self._forget_unsynced()

    def _publish(self, batch: _Batch) -> None:
        if batch.rows:
            self._standing = self._standing._replace(sequence=self._standing.sequence + 1)
        with self._state:
            self._root = None
            for key, row, old in batch.rows:
                if old is not None:
                    self._merkle.remove(key, old[:VERSION_SIZE])
                    self._count(old, -1)
                self._merkle.add(key, row.version)
                if row.live:
                    self._live += 1
                else:
                    self._dead += 1

    def _forget_unsynced(self) -> None:
        self._unsynced = []
        self._unsynced_bytes = 0
        self._durable = self._standing.sequence

    def sync(self) -> None:
        """Puts on disk what was written without `sync`.

        Raises:
            WriteFailed: `heal` is due.
        """
        with self._writing:
            if self._unsynced:
                self._kv.write((), sync=True)
                self._forget_unsynced()

    def heal(self) -> list[Row]:
        """Reopens the store after a failed write and writes again what may be lost; returns rows that are new by that.

        Those are of the write that failed: its callers were told so, but it may be on disk, and what is on disk must
        be in the sums and in the index.

        Raises:
            StorageError: It does not work yet; still `broken`.
            Corrupt: Rows that were acknowledged are gone; it stays `broken` for good.
        """
        with self._writing:
            if self._lost is not None:
                raise Corrupt(self._lost)
            self._kv.heal()
            failed, self._failed = self._failed or _Batch([], []), None
            if failed.puts or self._unsynced:
                try:
                    self._kv.write([*self._unsynced, *failed.puts], sync=True)
                except WriteFailed:
                    self._failed = failed
                    raise
                self._publish(failed)
                self._forget_unsynced()
            self._check_whole()
            return [row for _, row, _ in failed.rows]

    def _check_whole(self) -> None:
        """That the reopened store holds what was acknowledged (2 µs a row): LevelDB may not have known what it lost."""
        merkle, live, dead = _summed(self._kv)
        if (merkle.root(), live, dead) != (self.merkle_root(), self._live, self._dead):
            self._lost = f"after a failed write the store has {live + dead} rows and not those that it acknowledged"
            raise Corrupt(self._lost)

    # --- standing -----------------------------------------------------------------------------------------------------

    def set_learner(self, reason: str, refuse_below_stamp: int) -> None:
        """From now on, and after any restart, rows may be missing here, for `reason`; until `learned`.

        Raises:
            WriteFailed: Whether it is noted is unknown.
        """
        with self._writing:
            stamp = max(refuse_below_stamp, self._standing.refuse_below)
            self._kv.write([learner_put(reason, stamp)], sync=True)
            self._standing = self._standing._replace(learner=reason, refuse_below=stamp)

    def learned(self) -> None:
        """All that this replica ever acknowledged is here again.

        Raises:
            WriteFailed: Whether it is noted is unknown.
        """
        with self._writing:
            self._kv.write([learner_put("", self._standing.refuse_below)], sync=True)
            self._standing = self._standing._replace(learner="")

    def begin_above(self, sequence: int) -> None:
        """A store that takes the place of one which had written `sequence` batches goes on counting from there.

        Raises:
            WriteFailed: Whether it does is unknown.
        """
        with self._writing:
            if sequence > self._standing.sequence:
                self._kv.write([sequence_put(sequence)], sync=True)
                self._standing = self._standing._replace(sequence=sequence)
                self._durable = sequence

    # --- reading ------------------------------------------------------------------------------------------------------

    def load(self) -> Iterator[Row]:
        """All rows, tombstones too, as of now."""
        snapshot = self._kv.snapshot()
        try:
            for key, value in snapshot.iterate(_ROW, _ROW_END):
                yield decode_row(key[1:], value)
        finally:
            snapshot.close()

    def get(self, ids: Sequence[PointId]) -> list[Row | None]:
        """The rows as stored, tombstones too; None for ids never seen."""
        keys = [encode_point_id(point_id) for point_id in ids]
        values = self._kv.get_many([_ROW + key for key in keys])
        return [None if value is None else decode_row(key, value) for key, value in zip(keys, values, strict=True)]

    def versions(self, ids: Sequence[PointId]) -> list[bytes | None]:
        """The versions held; None for ids never seen."""
        entries = self._kv.get_many([_version_key(encode_point_id(point_id)) for point_id in ids])
        return [None if entry is None else entry[:VERSION_SIZE] for entry in entries]

    def scan(self, after: bytes, limit: int) -> list[Row]:
        """The next `limit` rows, tombstones too, with an id key above `after` (b"": from the start), in key order."""
        start = _ROW + after + b"\x00" if after else _ROW
        return [decode_row(key[1:], value) for key, value in islice(self._kv.iterate(start, _ROW_END), limit)]

    def leaf_versions(self, leaves: Sequence[int]) -> list[tuple[PointId, bytes]]:
        """Id and version of every row, tombstones too, in these Merkle leaves."""
        if not all(0 <= leaf < LEAVES for leaf in leaves):
            raise InvalidArgument(f"leaves lie in 0..{LEAVES - 1}", field="leaves")
        found: list[tuple[PointId, bytes]] = []
        for leaf in leaves:
            start, stop = _VERSION + leaf.to_bytes(2, "big"), _VERSION + (leaf + 1).to_bytes(2, "big")
            for key, entry in self._kv.iterate(start, stop):
                found.append((decode_point_id(key[_ID_AT:]), entry[:VERSION_SIZE]))
        return found

    def approximate_size(self) -> int:
        return self._kv.approximate_size()

    def close(self) -> None:
        """Waits for a write in flight. Rows written without `sync` are put on disk if that is possible."""
        with self._writing:
            try:
                if self._unsynced and not self.broken:
                    self._kv.write((), sync=True)
                    self._forget_unsynced()
            finally:
                self._kv.close()


def _summed(kv: KeyValue) -> tuple[MerkleTree, int, int]:
    """Merkle sums, live rows and tombstones, from the version entries."""
    merkle, live, dead = MerkleTree(), 0, 0
    for key, entry in kv.iterate(_VERSION, _VERSION_END):
        if len(entry) != VERSION_SIZE + 1:
            raise Corrupt(f"version entry of {len(entry)} bytes")
        merkle.add(key[_ID_AT:], entry[:VERSION_SIZE])
        if entry[VERSION_SIZE:] == _LIVE:
            live += 1
        else:
            dead += 1
    return merkle, live, dead


def _version_key(key: bytes) -> bytes:
    return _VERSION + leaf_of(key).to_bytes(2, "big") + key


def _applied(i: int, rows: Sequence[Row], chosen: int | None, before: bytes | None, refused: bool) -> Applied:
    if chosen == i:
        return Applied(rows[i].version, True)
    held = before if chosen is None else rows[chosen].version
    # A refused stamp that another row of the same batch has overtaken is no longer refused, but outdone.
    if refused and (held is None or held < rows[i].version):
        return Applied(None, False)
    return Applied(held, False)
