"""Stores in memory: what `:memory:` uses, and the ground on which simulated disks fail.

Behaves as LevelDB does towards its users, but that a process's end is the end of it.
"""

from __future__ import annotations

from bisect import bisect_left
from threading import Lock
from typing import TYPE_CHECKING

from vectron_p2p.storage.kv import StorageError, check_store_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_CHUNK = 256  # pairs taken at a time by an iteration over a store that may be written meanwhile
_PLENTY = 1 << 62  # a disk in memory has no free-space floor: what runs out is the machine's memory


class MemoryTable:
    """The ordered pairs of a store. Keys are sorted when they are next iterated: a merge of two sorted runs."""

    def __init__(self, pairs: dict[bytes, bytes] | None = None) -> None:
        self.pairs: dict[bytes, bytes] = pairs if pairs is not None else {}
        self._sorted: list[bytes] = sorted(self.pairs)
        self._fresh: list[bytes] = []
        self.size = sum(len(key) + len(value) for key, value in self.pairs.items())
        self.lock = Lock()

    def put(self, key: bytes, value: bytes | None) -> bytes | None:
        """Sets or deletes; returns what was there. Under `lock`."""
        if value is None:
            old = self.pairs.pop(key, None)  # the key stays in the order, and is skipped there
        else:
            old = self.pairs.get(key)
            if old is None:
                self._fresh.append(key)
                self.size += len(key)
            self.pairs[key] = value
            self.size += len(value)
        if old is not None:
            self.size -= len(old) + (len(key) if value is None else 0)
        return old

    def _order(self) -> list[bytes]:
        if self._fresh or len(self._sorted) > 2 * len(self.pairs):
            # A deleted key that came back is in both lists; so is one that was put twice with a delete between.
            merged = self._sorted + sorted(self._fresh)
            merged.sort()
            self._sorted = [
                key for i, key in enumerate(merged) if key in self.pairs and (i == 0 or merged[i - 1] != key)
            ]
            self._fresh = []
        return self._sorted

    def chunk(self, start: bytes, stop: bytes, reverse: bool) -> list[tuple[bytes, bytes]]:
        """The first pairs of a range, at most `_CHUNK`; empty when there is none."""
        with self.lock:
            keys = self._order()
            low, high = bisect_left(keys, start), bisect_left(keys, stop)
            found: list[tuple[bytes, bytes]] = []
            for i in range(high - 1, low - 1, -1) if reverse else range(low, high):
                value = self.pairs.get(keys[i])
                if value is not None:
                    found.append((keys[i], value))
                    if len(found) == _CHUNK:
                        break
            return found

    def iterate(self, start: bytes, stop: bytes, reverse: bool) -> Iterator[tuple[bytes, bytes]]:
        while chunk := self.chunk(start, stop, reverse):
            yield from chunk
            if reverse:
                stop = chunk[-1][0]
            else:
                start = chunk[-1][0] + b"\x00"


class MemorySnapshot:
    """A copy of a table: exact, and cheap enough (a dict of references)."""

    def __init__(self, table: MemoryTable) -> None:
        with table.lock:
            self._table: MemoryTable | None = MemoryTable(dict(table.pairs))

    def _open(self) -> MemoryTable:
        if self._table is None:
            raise StorageError("the snapshot is closed")
        return self._table

    def get(self, key: bytes) -> bytes | None:
        return self._open().pairs.get(key)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        pairs = self._open().pairs
        return [pairs.get(key) for key in keys]

    def iterate(self, start: bytes, stop: bytes, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        return self._open().iterate(start, stop, reverse)

    def close(self) -> None:
        self._table = None


class MemoryKeyValue:
    """A store in memory."""

    def __init__(self, table: MemoryTable) -> None:
        self._table: MemoryTable | None = table

    def _open(self) -> MemoryTable:
        if self._table is None:
            raise StorageError("the store is closed")
        return self._table

    @property
    def broken(self) -> bool:
        return False

    @property
    def closed(self) -> bool:
        return self._table is None

    def get(self, key: bytes) -> bytes | None:
        return self._open().pairs.get(key)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        pairs = self._open().pairs
        return [pairs.get(key) for key in keys]

    def iterate(self, start: bytes, stop: bytes, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        return self._open().iterate(start, stop, reverse)

    def write(self, puts: Sequence[tuple[bytes, bytes | None]], *, sync: bool) -> None:
        table = self._open()
        with table.lock:
            for key, value in puts:
                table.put(key, value)

    def heal(self) -> None:
        self._open()

    def snapshot(self) -> MemorySnapshot:
        return MemorySnapshot(self._open())

    def approximate_size(self) -> int:
        return self._open().size

    def close(self) -> None:
        self._table = None


class MemoryDisk:
    """All stores of a node without a folder. They outlive their handles, not this object."""

    def __init__(self) -> None:
        self._tables: dict[str, MemoryTable] = {}
        self._handles: dict[str, MemoryKeyValue] = {}
        self._aside = 0

    def open(self, name: str) -> MemoryKeyValue:
        check_store_name(name)
        self._check_closed(name)
        handle = self._handles[name] = MemoryKeyValue(self._tables.setdefault(name, MemoryTable()))
        return handle

    def _check_closed(self, name: str) -> None:
        handle = self._handles.get(name)
        if handle is not None and not handle.closed:
            raise StorageError(f"store {name} is open")

    def exists(self, name: str) -> bool:
        return name in self._tables

    def names(self, prefix: str = "") -> list[str]:
        return sorted(name for name in self._tables if name.startswith(prefix))

    def destroy(self, name: str) -> None:
        self._check_closed(name)
        self._tables.pop(name, None)

    def quarantine(self, name: str, why: str = "") -> str:
        self._check_closed(name)
        del self._tables[name]  # memory has no damage to look into, and no place to keep it
        self._aside += 1
        return f"quarantine/{name}-{self._aside}"

    def folder(self, name: str) -> Path | None:
        return None

    def free_bytes(self) -> int:
        return _PLENTY

    def total_bytes(self) -> int:
        return _PLENTY
