"""A shard store that remembers what its disk did to it, for whoever decides what becomes of the replica.

Owns the evidence: the first damage met by any call, and how many writes in a row have failed. Must not know what is
done about it. Invariants: a full disk is no evidence of damage; the caller of each call gets its error as ever.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from vectron_p2p.storage.kv import Corrupt, StorageError, out_of_space
from vectron_p2p.storage.shard import ShardStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from vectron_p2p.model.ids import PointId
    from vectron_p2p.replication.floors import Floors, Path
    from vectron_p2p.storage.outcomes import Applied, Promised
    from vectron_p2p.storage.records import Row
    from vectron_p2p.storage.retention import FloorScan


class WatchedStore(ShardStore):
    """Read from any thread: a race costs one more look."""

    damage: Corrupt | None = None
    """The first read (or reopening) that found something else than what was written."""
    failures: int = 0
    """Writes and attempts to reopen that failed, since the last that did not."""

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except Corrupt as error:
            self.damage = self.damage or error
            raise

    @contextmanager
    def _writing_down(self) -> Iterator[None]:
        try:
            with self._reading():
                yield
        except StorageError as error:
            if not out_of_space(error):
                self.failures += 1
            raise
        self.failures = 0

    def apply(
        self,
        rows: Sequence[Row],
        admit: Callable[[int, int], bool],
        *,
        paths: Sequence[Path] = (),
        sync: bool = True,
    ) -> list[Applied]:
        with self._writing_down():
            return super().apply(rows, admit, paths=paths, sync=sync)

    def promise(self, ballots: Sequence[tuple[PointId, bytes]], admit: Callable[[int, int], bool]) -> list[Promised]:
        with self._writing_down():
            return super().promise(ballots, admit)

    def set_learner(self, reason: str, refuse_below: int) -> None:
        with self._writing_down():
            super().set_learner(reason, refuse_below)

    def clear_learner(self, floors: Floors | None = None, *, refuse_below: int | None = None) -> None:
        with self._writing_down():
            super().clear_learner(floors, refuse_below=refuse_below)

    def raise_floor(self, floor: int) -> None:
        with self._writing_down():
            super().raise_floor(floor)

    def take_floors(self, floors: Floors) -> None:
        with self._writing_down():
            super().take_floors(floors)

    def collect(self, floor: int, leaves: Iterable[int]) -> int:
        with self._writing_down():
            return super().collect(floor, leaves)

    def drop(self, rows: Sequence[tuple[PointId, bytes]]) -> int:
        with self._writing_down():
            return super().drop(rows)

    def forget_collected(self) -> int:
        with self._writing_down():
            return super().forget_collected()

    def sync(self) -> None:
        with self._writing_down():
            super().sync()

    def heal(self) -> list[Row]:
        with self._writing_down():
            return super().heal()

    def get(self, ids: Sequence[PointId]) -> list[Row | None]:
        with self._reading():
            return super().get(ids)

    def versions(self, ids: Sequence[PointId]) -> list[bytes | None]:
        with self._reading():
            return super().versions(ids)

    def scan(self, after: bytes, limit: int) -> list[Row]:
        with self._reading():
            return super().scan(after, limit)

    def leaf_versions(self, leaves: Sequence[int]) -> list[tuple[PointId, bytes]]:
        with self._reading():
            return super().leaf_versions(leaves)

    def scan_floor(self, floor: int) -> FloorScan:
        with self._reading():
            return super().scan_floor(floor)
