"""The rows of one shard replica.

Owns the layout in the store, apply-if-newer, the Merkle sums and the counts. Two keys per row, always in one batch:

    r <id key>            the row (`storage.records`), in scroll order
    v <leaf> <id key>     its version and whether it lives, grouped by Merkle leaf
    p <id key>            the ballot promised to a round, while it is above the version held; there need be no row

The second is 4 % more to write, and what makes the rest cheap: a write looks up 41 bytes instead of the old row, a
start counts and sums without reading vectors, and repair reads one leaf. Beside them lie the records of
`storage.retention` and `storage.standing`. A dict of versions in memory would save those look-ups (0.4 µs for new
rows, 1 to 15 µs for rows held, of the 25 to 45 µs that a row costs) for 180 bytes a row, which the memory budget of a
node has better use for.

Invariants: a row is replaced only by a higher version; a promise counts as a version held, but for the row of its own
round (PROTOCOLS §4.3); promises, and rows that rounds wrote, are on disk before anyone is told; sums and counts are
those of the rows acknowledged, and a store that was reopened after a failed write has all of those, and all promises,
or is given up; each batch counts in the sequence (`storage.standing`). One writer at a time (enforced), any number of
readers.
"""

from __future__ import annotations

from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from vectron_p2p.model.errors import InvalidArgument
from vectron_p2p.model.ids import PointId, decode_point_id, encode_point_id
from vectron_p2p.replication.ballots import ballot_of, busy, passes
from vectron_p2p.replication.floors import Path
from vectron_p2p.replication.merkle import LEAVES
from vectron_p2p.replication.version import VERSION_SIZE, stamp
from vectron_p2p.storage.kv import Corrupt, KeyValue, WriteFailed
from vectron_p2p.storage.outcomes import Applied, Promised, outcome
from vectron_p2p.storage.records import Row, decode_row, encode_row
from vectron_p2p.storage.retention import DEAD as _DEAD
from vectron_p2p.storage.retention import ID_AT as _ID_AT
from vectron_p2p.storage.retention import LIVE as _LIVE
from vectron_p2p.storage.retention import ROW as _ROW
from vectron_p2p.storage.retention import ROW_END as _ROW_END
from vectron_p2p.storage.retention import VERSION as _VERSION
from vectron_p2p.storage.retention import Puts, Retaining
from vectron_p2p.storage.retention import version_key as _version_key
from vectron_p2p.storage.standing import PROMISE as _PROMISE
from vectron_p2p.storage.standing import promised, read_sequence, sequence_put, summed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

MAX_UNSYNCED_BYTES = 32 << 20  # kept for `heal`; more than any 100 ms of writes: beyond it a write syncs


class _Batch(NamedTuple):
    """A batch and what it changes in sums and counts."""

    puts: list[tuple[bytes, bytes | None]]
    rows: list[tuple[bytes, Row, bytes | None]]
    """Id key, row, and the stored entry (version and life) that it replaces."""
    promises: dict[bytes, bytes | None]
    """By id key: promises given, or (None) done with."""
    removed: Sequence[tuple[bytes, bytes]] = ()
    """Id key and stored entry of rows that go without a successor."""


class ShardStore(Retaining):
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
        self._healed: list[Row] = []
        self._sequence = self._durable = read_sequence(kv)
        self._load_records()
        self._promises = promised(kv)
        self._merkle, self._live, self._dead = summed(kv)

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

    def apply(
        self,
        rows: Sequence[Row],
        admit: Callable[[int, int], bool],
        *,
        paths: Sequence[Path] = (),
        sync: bool = True,
    ) -> list[Applied]:
        """Writes those of `rows` that are newer than what is held, in one batch; on disk when it returns if `sync`.

        `admit(stamp, held stamp or 0)` says whether a newer stamp is acceptable; `paths` says of each row how it came
        (none: plain writes), for the floors (`storage.retention`). Of several rows with one id the highest is written.
        Rows with a mark are synced in any case.

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
            busy_with: dict[int, bytes] = {}
            gone: set[int] = set()
            for i, row in enumerate(rows):
                entry = entries[i]
                if entry is not None and row.version <= entry[:VERSION_SIZE]:
                    continue
                path, leaf = paths[i] if paths else Path.WRITE, int.from_bytes(version_keys[i][1:_ID_AT], "big")
                if self.refuses(path, stamp(row.version), leaf, held=entry is not None):
                    # The copy of a tombstone that was collected here: what it says holds.
                    (refused if row.live or path is Path.WRITE else gone).add(i)
                    continue
                other = chosen.get(keys[i])
                if other is not None and row.version <= rows[other].version:
                    continue
                promise = self._promises.get(keys[i])
                if promise is not None and not passes(row.version, row.mark, promise):
                    busy_with[i] = busy(promise)
                elif admit(stamp(row.version), _highest_stamp(entry, promise)):
                    chosen[keys[i]] = i
                else:
                    refused.add(i)
            batch = _Batch([], [], {})
            for key, i in chosen.items():
                row = rows[i]
                sync = sync or bool(row.mark)
                if key in self._promises:
                    batch.puts.append((_PROMISE + key, None))
                    batch.promises[key] = None
                batch.puts.append((_ROW + key, encode_row(row, key)))
                batch.puts.append((version_keys[i], row.version + (_LIVE if row.live else _DEAD)))
                batch.rows.append((key, row, entries[i]))
            if batch.puts:
                self._write(batch, sync)
            return [
                Applied(rows[i].version, False)
                if i in gone
                else Applied(busy_with[i], False)
                if i in busy_with and key not in chosen
                else outcome(i, rows, chosen.get(key), None if entry is None else entry[:VERSION_SIZE], i in refused)
                for i, (key, entry) in enumerate(zip(keys, entries, strict=True))
            ]

    def promise(self, ballots: Sequence[tuple[PointId, bytes]], admit: Callable[[int, int], bool]) -> list[Promised]:
        """Promises to take nothing below each ballot from now on, if it is above all held and promised and not at or
        below a floor; on disk when it returns.

        Raises:
            WriteFailed: As `apply`.
        """
        with self._writing:
            if self.broken:
                raise WriteFailed("the store failed a write and is not healed yet")
            keys = [encode_point_id(point_id) for point_id, _ in ballots]
            values = self._kv.get_many([_ROW + key for key in keys])
            batch = _Batch([], [], {})
            results: list[Promised] = []
            for key, value, (_, ballot) in zip(keys, values, ballots, strict=True):
                row = None if value is None else decode_row(key, value)
                before = batch.promises.get(key) or self._promises.get(key)
                above = max(b"" if row is None else row.version, b"" if before is None else busy(before))
                if ballot <= ballot_of(above):
                    results.append(Promised(False, above=above))
                elif stamp(ballot) <= self.refuse_below or not admit(stamp(ballot), stamp(above)):
                    results.append(Promised(False))
                else:
                    batch.promises[key] = ballot
                    batch.puts.append((_PROMISE + key, ballot))
                    results.append(Promised(True, row))
            if batch.puts:
                self._write(batch, True)
            return results

    def open_promises(self) -> list[tuple[PointId, bytes]]:
        """Promises whose round has not written here (yet), by id key."""
        with self._state:
            found = sorted(self._promises.items())
        return [(decode_point_id(key), ballot) for key, ballot in found]

    def _write(self, batch: _Batch, sync: bool) -> None:
        sync = sync or self._unsynced_bytes > MAX_UNSYNCED_BYTES
        batch.puts.append(sequence_put(self._sequence + 1))
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
        self._sequence += 1
        with self._state:
            for key, promise in batch.promises.items():
                if promise is None:
                    self._promises.pop(key, None)
                else:
                    self._promises[key] = promise
            if batch.rows or batch.removed:
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
            for key, old in batch.removed:
                self._merkle.remove(key, old[:VERSION_SIZE])
                self._count(old, -1)

    def _remove(self, puts: Puts, removed: Sequence[tuple[bytes, bytes]]) -> None:
        self._write(_Batch(puts, [], {}, removed), True)

    def _forget_unsynced(self) -> None:
        self._unsynced = []
        self._unsynced_bytes = 0
        self._durable = self._sequence

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
            failed = self._failed or _Batch([], [], {})
            self._failed = failed  # until all is done: whatever fails on the way, nothing is written in between
            if failed.puts or self._unsynced:
                self._kv.write([*self._unsynced, *failed.puts], sync=True)
            if records := self._heal_records():
                self._kv.write(records, sync=True)
            if failed.puts:
                self._publish(failed)
            self._forget_unsynced()
            self._healed += [row for _, row, _ in failed.rows]
            self._failed = _Batch([], [], {})
            self._check_whole()
            self._failed = None
            rows, self._healed = self._healed, []
            return rows

    def _check_whole(self) -> None:
        """That the reopened store holds what was acknowledged (2 µs a row): LevelDB may not have known what it lost."""
        merkle, live, dead = summed(self._kv)
        if (merkle.root(), live, dead) != (self.merkle_root(), self._live, self._dead):
            self._lost = f"after a failed write the store has {live + dead} rows and not those that it acknowledged"
        elif promised(self._kv) != self._promises:
            self._lost = "after a failed write the store does not have the promises that it gave"
        elif read_sequence(self._kv) != self._sequence:
            self._lost = "after a failed write the store does not have the batches that it took"
        if self._lost is not None:
            raise Corrupt(self._lost)

    # --- standing -----------------------------------------------------------------------------------------------------

    def begin_above(self, sequence: int) -> None:
        """A store that takes the place of one which had written `sequence` batches goes on counting from there.

        Raises:
            WriteFailed: Whether it does is unknown.
        """
        with self._writing:
            if sequence > self._sequence:
                self._kv.write([sequence_put(sequence)], sync=True)
                self._sequence = self._durable = sequence

    # --- reading ------------------------------------------------------------------------------------------------------

    def load(self) -> Iterator[Row]:
        """All rows, tombstones too, as of now; their vectors are views."""
        snapshot = self._kv.snapshot()
        try:
            for key, value in snapshot.iterate(_ROW, _ROW_END):
                yield decode_row(key[1:], value, share=True)
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
                if not self.broken:
                    if self._unsynced:
                        self._kv.write((), sync=True)
                        self._forget_unsynced()
                    self._end_life()
            finally:
                self._kv.close()


def _highest_stamp(entry: bytes | None, promise: bytes | None) -> int:
    return max(stamp(entry) if entry is not None else 0, stamp(promise) if promise is not None else 0)
