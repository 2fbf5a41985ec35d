"""A simulated disk: loses what was not synced, fails writes, fills up, and lets bits rot, all on request.

Owns the faults of one node's disk. Stores behave as `storage.memory`'s do until told otherwise; what a fault leaves
behind is drawn from the `Random` handed in. The object stands for the disk: it outlives the crashes of the node that
uses it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vectron_p2p.storage.kv import Corrupt, StorageError, WriteFailed, check_store_name
from vectron_p2p.storage.memory import MemoryTable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from random import Random

TOTAL_BYTES = 100 << 30
Puts = list[tuple[bytes, bytes | None]]


@dataclass(slots=True)
class _Store:
    """One store: its pairs, how to take back each batch since the last sync, and keys with a flipped bit."""

    table: MemoryTable = field(default_factory=MemoryTable)
    undo: list[Puts] = field(default_factory=list)
    damaged: set[bytes] = field(default_factory=set)

    def apply(self, puts: Sequence[tuple[bytes, bytes | None]]) -> None:
        with self.table.lock:
            back = [(key, self.table.put(key, value)) for key, value in puts]
        self.undo.append(back[::-1])
        self.damaged.difference_update(key for key, _ in puts)

    def lose_tail(self, random: Random) -> None:
        """Keeps a random beginning of what was not synced; batches stay whole."""
        keep = random.randint(0, len(self.undo))
        with self.table.lock:
            for back in self.undo[keep:][::-1]:
                for key, value in back:
                    self.table.put(key, value)
        self.undo.clear()


class _Reading:
    """Reads of a table that notice damage."""

    def _table(self) -> MemoryTable:
        raise NotImplementedError

    def _damaged(self) -> set[bytes]:
        raise NotImplementedError

    def get(self, key: bytes) -> bytes | None:
        table = self._table()
        if key in self._damaged():
            raise Corrupt(f"checksum mismatch at {key[:40]!r}")
        return table.pairs.get(key)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        return [self.get(key) for key in keys]

    def iterate(self, start: bytes, stop: bytes, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        for pair in self._table().iterate(start, stop, reverse):
            self._table()  # an iteration ends with its handle
            if pair[0] in self._damaged():
                raise Corrupt(f"checksum mismatch at {pair[0][:40]!r}")
            yield pair


class SimSnapshot(_Reading):
    """One moment of a simulated store; dies with the handle it came from."""

    def __init__(self, handle: SimKeyValue, store: _Store) -> None:
        self._handle = handle
        with store.table.lock:
            self._copy: MemoryTable | None = MemoryTable(dict(store.table.pairs))
        self._bad = set(store.damaged)

    def _table(self) -> MemoryTable:
        self._handle.check_open()
        if self._copy is None:
            raise StorageError("the snapshot is closed")
        return self._copy

    def _damaged(self) -> set[bytes]:
        return self._bad

    def close(self) -> None:
        self._copy = None


class SimKeyValue(_Reading):
    """A handle on a simulated store."""

    def __init__(self, disk: SimDisk, name: str, store: _Store) -> None:
        self._disk = disk
        self._name = name
        self._store = store
        self._state = "open"
        self._broken = False
        self._failed: Puts | None = None

    def check_open(self) -> None:
        if self._state != "open":
            raise StorageError(f"the store {self._name} is {self._state}")

    def _table(self) -> MemoryTable:
        self.check_open()
        return self._store.table

    def _damaged(self) -> set[bytes]:
        return self._store.damaged

    @property
    def usable(self) -> bool:
        return self._state == "open"

    @property
    def broken(self) -> bool:
        return self._broken

    def write(self, puts: Sequence[tuple[bytes, bytes | None]], *, sync: bool) -> None:
        self.check_open()
        if self._broken:
            raise WriteFailed(f"the store {self._name} failed a write and is not healed yet")
        fault = self._disk.draw_fault(self._name)
        if fault is not None:
            self._broken, self._failed = True, list(puts)
            raise WriteFailed(f"writing {self._name}: {fault}")
        self._store.apply(puts)
        if sync:
            self._store.undo.clear()

    def heal(self) -> None:
        self.check_open()
        if not self._broken:
            return
        if self._disk.full:
            raise StorageError(f"opening {self._name}: no space left on device")
        random = self._disk.random
        self._store.apply(self._failed or [])
        self._store.lose_tail(random)
        self._broken, self._failed = False, None

    def snapshot(self) -> SimSnapshot:
        self.check_open()
        return SimSnapshot(self, self._store)

    def approximate_size(self) -> int:
        return self._table().size

    def close(self) -> None:
        if self._state == "open":
            self._state = "closed"

    def die(self, reason: str) -> None:
        """From now on every call fails, as nothing of a dead process reaches its disk."""
        if self._state == "open":
            self._state = reason


class SimDisk:
    """One node's disk."""

    def __init__(self, random: Random, *, total_bytes: int = TOTAL_BYTES) -> None:
        self.random = random
        self.full = False
        """A full disk fails every write, and opens no store that has to be healed."""
        self._total = total_bytes
        self._free = total_bytes
        self._stores: dict[str, _Store] = {}
        self._handles: dict[str, SimKeyValue] = {}
        self._faults: list[tuple[str | None, str]] = []
        self.quarantined: dict[str, MemoryTable] = {}

    # --- faults -------------------------------------------------------------------------------------------------------

    def crash(self, *, power: bool = True) -> None:
        """The node dies: handles first. With `power` the machine goes too, and takes a tail of un-synced writes along.

        Without it (a killed process) all writes that returned are there, for the system has them. One that had failed
        is there or not.
        """
        for name in sorted(self._handles):
            handle = self._handles[name]
            if handle.usable and handle.broken and self.random.random() < 0.5:
                self._stores[name].apply(handle._failed or [])
            handle.die("lost: the node crashed")
        self._handles.clear()
        for name in sorted(self._stores):
            if power:
                self._stores[name].lose_tail(self.random)

    def fail_writes(self, times: int = 1, *, name: str | None = None, reason: str = "input/output error") -> None:
        """The next `times` writes fail, of store `name` or of any."""
        self._faults += [(name, reason)] * times

    def set_free(self, free: int) -> None:
        """What `free_bytes` says; 0 also makes the disk `full`."""
        self._free = free
        self.full = free <= 0

    def flip_bit(self, name: str) -> bytes | None:
        """Damages one pair of a store: reading it fails from now on. Returns its key; None if the store is empty."""
        store = self._stores[name]
        keys = sorted(store.table.pairs)
        if not keys:
            return None
        key = self.random.choice(keys)
        store.damaged.add(key)
        return key

    def rot(self, name: str) -> None:
        """Damages all pairs of a store."""
        store = self._stores[name]
        store.damaged.update(store.table.pairs)

    def image(self) -> dict[str, MemoryTable]:
        """What a backup of the whole disk holds, taken now."""
        return {name: MemoryTable(dict(self._stores[name].table.pairs)) for name in sorted(self._stores)}

    def restore(self, image: dict[str, MemoryTable]) -> None:
        """The disk is what it was when `image` was taken. No store is open."""
        for name in self._stores:
            self._check_closed(name)
        self._stores = {name: _Store(MemoryTable(dict(table.pairs))) for name, table in image.items()}

    def draw_fault(self, name: str) -> str | None:
        """Why a write to `name` fails now, if it does."""
        if self.full:
            return "no space left on device"
        for i, (target, reason) in enumerate(self._faults):
            if target in (None, name):
                del self._faults[i]
                return reason
        return None

    # --- the interface of a disk --------------------------------------------------------------------------------------

    def open(self, name: str) -> SimKeyValue:
        check_store_name(name)
        self._check_closed(name)
        store = self._stores.setdefault(name, _Store())
        store.undo.clear()  # LevelDB puts what it recovers from its log into a synced table before it answers
        handle = self._handles[name] = SimKeyValue(self, name, store)
        return handle

    def _check_closed(self, name: str) -> None:
        handle = self._handles.get(name)
        if handle is not None and handle.usable:
            raise StorageError(f"store {name} is open")

    def exists(self, name: str) -> bool:
        return name in self._stores

    def names(self, prefix: str = "") -> list[str]:
        return sorted(name for name in self._stores if name.startswith(prefix))

    def destroy(self, name: str) -> None:
        self._check_closed(name)
        self._stores.pop(name, None)

    def quarantine(self, name: str, why: str = "") -> str:
        self._check_closed(name)
        place = f"quarantine/{name}-{len(self.quarantined) + 1}"
        self.quarantined[place] = self._stores.pop(name).table
        return place

    def folder(self, name: str) -> Path | None:
        return None

    def free_bytes(self) -> int:
        return self._free

    def total_bytes(self) -> int:
        return self._total
