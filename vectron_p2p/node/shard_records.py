"""What a node's own store remembers of its shard stores: how far each had come, and which are being replaced.

It lies in another LevelDB than the shards, so a shard store that is gone, cut or older than it was shows by it. Written
when a store is made, and with the durable counter every second: what a store acknowledged within the last second before
its loss is not known here. Invariants: a store that this node may use has a record; a store that is being replaced is
noted here before its old one is touched, until the new one says of itself that it has forgotten; so no crash in between
leaves an empty store that passes for a whole one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgpack

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from vectron_p2p.runtime import Executor
    from vectron_p2p.storage.kv import KeyValue

PREFIX = b"shard/"
Puts = list[tuple[bytes, bytes | None]]


class ShardRecords:
    """By name of the shard's store: the batches that it had written, and why it is being replaced ("" if it is not)."""

    def __init__(self, system: KeyValue, executor: Executor) -> None:
        self._system = system
        self._executor = executor
        self._records: dict[str, tuple[int, str]] = {
            key.removeprefix(PREFIX).decode(): (int(sequence), str(why))
            for key, (sequence, why) in (
                (key, msgpack.unpackb(value)) for key, value in system.iterate(PREFIX, PREFIX + b"\xff")
            )
        }

    @property
    def names(self) -> list[str]:
        return sorted(self._records)

    def sequence(self, name: str) -> int:
        """The highest `ShardStore.sequence` known of the store; 0: none."""
        return self._records.get(name, (0, ""))[0]

    def replaced_for(self, name: str) -> str:
        """Why the store is being replaced; "" when it is not."""
        return self._records.get(name, (0, ""))[1]

    async def note(self, names: Iterable[str]) -> None:
        """These are about to be made or opened; on disk when it returns. Raises StorageError."""
        fresh = {name: (0, "") for name in sorted(names) if name not in self._records}
        if fresh:
            puts = [_put(name, record) for name, record in fresh.items()]
            await self._executor.run("system", self._write, puts)
            self._records.update(fresh)

    async def replacing(self, name: str, why: str) -> None:
        """On disk when it returns. Raises StorageError."""
        await self._set(name, (self.sequence(name), why or "damaged"))

    async def replaced(self, name: str) -> None:
        """The new store says of itself that it has forgotten. Raises StorageError."""
        await self._set(name, (self.sequence(name), ""))

    async def forget(self, name: str) -> None:
        """The store is no longer this node's. Raises StorageError."""
        if name in self._records:
            await self._executor.run("system", self._write, [(PREFIX + name.encode(), None)])
            self._records.pop(name, None)

    async def _set(self, name: str, record: tuple[int, str]) -> None:
        await self._executor.run("system", self._write, [_put(name, record)])
        self._records[name] = record

    def _write(self, puts: Sequence[tuple[bytes, bytes | None]]) -> None:
        self._system.heal()
        self._system.write(puts, sync=True)

    def news(self, sequences: Mapping[str, int]) -> tuple[dict[str, tuple[int, str]], Puts]:
        """What is to be written, synced, as stores have come on; then call `written` with the first part."""
        fresh = {
            name: (sequence, self.replaced_for(name))
            for name, sequence in sorted(sequences.items())
            if sequence > self.sequence(name)
        }
        return fresh, [_put(name, record) for name, record in fresh.items()]

    def written(self, fresh: Mapping[str, tuple[int, str]]) -> None:
        self._records.update(fresh)


def _put(name: str, record: tuple[int, str]) -> tuple[bytes, bytes | None]:
    return PREFIX + name.encode(), msgpack.packb(record)
