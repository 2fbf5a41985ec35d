"""Key-value stores on LevelDB. The only file that imports plyvel.

Owns how LevelDB is opened and what its errors mean. Invariants:

- Damage is found, not skipped: by default LevelDB opens a log with a flipped bit and drops what follows without a word,
  and takes a folder without its CURRENT file for a new store.
- After a failed write nothing is acknowledged before the store was reopened: LevelDB goes on behind a torn record, and
  loses at the next start all that it acknowledged after it.
- plyvel frees the database in `close` while other threads may be inside it: the gate waits until they are out.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from threading import Condition
from typing import TYPE_CHECKING, Any

import plyvel

from vectron_p2p.storage.kv import Corrupt, StorageError, WriteFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

WRITE_BUFFER = 4 << 20  # memory per store, twice while it is written out, and the log to replay at a start: a node may
# hold hundreds of stores. 16 MiB made ingest no faster (all of it goes through the log and one merge either way).
BLOCK_CACHE = 1 << 20  # tables are mapped and the system caches them; this holds little but what cannot be mapped
TABLE_SIZE = 8 << 20  # 4 times the default: a million rows of 384-d then need 210 open tables, not 850
OPEN_TABLES = 128  # descriptors per store; 1,000, the default, times a few stores is over the usual limit of a process
BLOOM_BITS = 10  # 1 % false positives: a new id, the common case of a load, costs no look into a table
_FIRST_ROWS, _CHUNK_ROWS, _CHUNK_BYTES = 32, 256, 1 << 20  # an iteration holds the gate for so much at a time


_DAMAGE = (  # a sector that cannot be read, a table that is gone, one that is shorter than it was
    "Input/output error",
    "No such file or directory",
    "Invalid argument",
)


def _translate(error: Exception, doing: str, path: Path) -> StorageError:
    text = _text(error)
    damaged = isinstance(error, plyvel.CorruptionError) or any(each in text for each in _DAMAGE)
    return (Corrupt if damaged else StorageError)(f"{doing} {path}: {text}")


def _check_born(path: Path) -> None:
    """CURRENT is made before any log or table, and never goes: without it LevelDB would begin anew over what is there.

    Raises:
        Corrupt: It is gone.
    """
    try:
        names = [] if (path / "CURRENT").exists() else sorted(os.listdir(path))
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError(f"opening {path}: {error.strerror}") from error
    for name in names:
        if name.endswith((".log", ".ldb", ".sst")):
            raise Corrupt(f"opening {path}: the file CURRENT is missing, though there is {name}")


def _text(error: Exception) -> str:
    """What LevelDB said; plyvel hands it on as bytes."""
    said = error.args[0] if error.args else ""
    return said.decode(errors="replace") if isinstance(said, bytes) else str(said)


class _Gate:
    """Calls go in and out; `closing` waits until all are out and keeps new ones out."""

    def __init__(self) -> None:
        self._condition = Condition()
        self._inside = 0
        self._shut = False

    def enter(self) -> None:
        with self._condition:
            while self._shut:
                self._condition.wait()
            self._inside += 1

    def leave(self) -> None:
        with self._condition:
            self._inside -= 1
            if not self._inside:
                self._condition.notify_all()

    @contextmanager
    def closing(self) -> Iterator[None]:
        with self._condition:
            while self._shut:
                self._condition.wait()
            self._shut = True
            while self._inside:
                self._condition.wait()
        try:
            yield
        finally:
            with self._condition:
                self._shut = False
                self._condition.notify_all()


class _Reading:
    """Reads through a gate; `_source` gives what to read, a database or a snapshot of one."""

    def __init__(self, path: Path, gate: _Gate) -> None:
        self._path = path
        self._gate = gate

    def _source(self) -> Any:
        raise NotImplementedError

    def get(self, key: bytes) -> bytes | None:
        return self.get_many((key,))[0]

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        self._gate.enter()
        try:
            get = self._source().get
            return [get(key, verify_checksums=True) for key in keys]
        except plyvel.Error as error:
            raise _translate(error, "reading", self._path) from error
        finally:
            self._gate.leave()

    def iterate(self, start: bytes, stop: bytes, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        # In chunks with a new iterator each, so that no iterator is alive outside of the gate.
        rows = _FIRST_ROWS  # a page of a scroll is often no larger
        while chunk := self._chunk(start, stop, reverse, rows):
            yield from chunk
            rows = _CHUNK_ROWS
            if reverse:
                stop = chunk[-1][0]
            else:
                start = chunk[-1][0] + b"\x00"

    def _chunk(self, start: bytes, stop: bytes, reverse: bool, rows: int) -> list[tuple[bytes, bytes]]:
        chunk: list[tuple[bytes, bytes]] = []
        size = 0
        self._gate.enter()
        try:
            # start: backwards, plyvel 1.5.1 misses the key of a range that holds only its start: we stop there instead
            # fill_cache: a scan would push out of the block cache what point reads need.
            with self._source().iterator(
                start=None if reverse else start, stop=stop, reverse=reverse, verify_checksums=True, fill_cache=False
            ) as iterator:
                for pair in iterator:
                    if pair[0] < start:
                        break
                    chunk.append(pair)
                    size += len(pair[1])
                    if len(chunk) >= rows or size >= _CHUNK_BYTES:
                        break
        except plyvel.Error as error:
            raise _translate(error, "reading", self._path) from error
        finally:
            self._gate.leave()
        return chunk


class LevelSnapshot(_Reading):
    """One moment of a store; ends when the store is closed or healed."""

    def __init__(self, path: Path, gate: _Gate, snapshot: Any) -> None:
        super().__init__(path, gate)
        self._snapshot = snapshot

    def _source(self) -> Any:
        if self._snapshot is None:
            raise StorageError(f"the snapshot of {self._path} is closed")
        return self._snapshot

    def close(self) -> None:
        self._gate.enter()
        try:
            if self._snapshot is not None:
                self._snapshot.close()
                self._snapshot = None
        finally:
            self._gate.leave()

    def end(self) -> None:
        """The store goes away; called with the gate closed."""
        if self._snapshot is not None:
            self._snapshot.close()
            self._snapshot = None


class LevelKeyValue(_Reading):
    """A store in a folder of its own."""

    def __init__(self, path: Path) -> None:
        """Opens the store, made when there is none.

        Raises:
            Corrupt: It is damaged.
            StorageError: It cannot be opened.
        """
        super().__init__(path, _Gate())
        self._snapshots: list[LevelSnapshot] = []
        self._broken = False
        self._closed = False
        self._db: Any = self._open()

    def _open(self) -> Any:
        _check_born(self._path)
        try:
            return plyvel.DB(
                str(self._path),
                create_if_missing=True,
                paranoid_checks=True,
                compression=None,  # vectors do not compress, and are nearly all of it
                write_buffer_size=WRITE_BUFFER,
                lru_cache_size=BLOCK_CACHE,
                max_file_size=TABLE_SIZE,
                max_open_files=OPEN_TABLES,
                bloom_filter_bits=BLOOM_BITS,
            )
        except plyvel.Error as error:
            raise _translate(error, "opening", self._path) from error

    def _source(self) -> Any:
        if self._db is None:
            raise StorageError(f"the store {self._path} is closed")
        return self._db

    @property
    def broken(self) -> bool:
        return self._broken

    def write(self, puts: Sequence[tuple[bytes, bytes | None]], *, sync: bool) -> None:
        if self._broken:
            raise WriteFailed(f"the store {self._path} failed a write and is not healed yet")
        self._gate.enter()
        try:
            batch = self._source().write_batch(sync=sync)
            put, delete = batch.put, batch.delete
            for key, value in puts:
                if value is None:
                    delete(key)
                else:
                    put(key, value)
            self._commit(batch)
        except plyvel.Error as error:
            self._broken = True
            raise WriteFailed(f"writing {self._path}: {_text(error)}") from error
        finally:
            self._gate.leave()

    def _commit(self, batch: Any) -> None:
        batch.write()

    def heal(self) -> None:
        if not self._broken:
            return
        with self._gate.closing():
            if self._closed:
                raise StorageError(f"the store {self._path} is closed")
            self._shut()
            self._db = self._open()
            self._broken = False

    def _shut(self) -> None:
        for snapshot in self._snapshots:
            snapshot.end()
        self._snapshots.clear()
        if self._db is not None:
            self._db.close()
            self._db = None

    def snapshot(self) -> LevelSnapshot:
        self._gate.enter()
        try:
            snapshot = LevelSnapshot(self._path, self._gate, self._source().snapshot())
            self._snapshots = [old for old in self._snapshots if old._snapshot is not None]
            self._snapshots.append(snapshot)
            return snapshot
        finally:
            self._gate.leave()

    def approximate_size(self) -> int:
        try:
            with os.scandir(self._path) as entries:
                return sum(_size(entry) for entry in entries)
        except FileNotFoundError:
            return 0

    def close(self) -> None:
        with self._gate.closing():
            self._closed = True
            self._shut()


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_size
    except FileNotFoundError:  # LevelDB removes files of its own meanwhile
        return 0
