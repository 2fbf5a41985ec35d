"""Filling an empty index after a start: with all rows of the store, and the snapshot's graph for those that it knows.

Must not know how rows are indexed. Invariant: whatever the snapshot holds, or whether there is one, the points are
those of the store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vectron_p2p.index import snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from vectron_p2p.index.layer import Layer
    from vectron_p2p.index.payload.backlog import Backlog
    from vectron_p2p.index.slots import RowLike
    from vectron_p2p.query.scoring import Matrix

CHUNK = 1_000  # rows at a time


class LoadReport(NamedTuple):
    """`restored`: rows that a snapshot's graph answers for; `snapshot`: "used", or why not."""

    rows: int
    restored: int
    snapshot: str


class Restore:
    """Of one index; used once."""

    def __init__(
        self,
        layer: Layer,
        backlog: Backlog,
        folder: Path | None,
        fill: Callable[[Sequence[RowLike]], None],
        matrix: Callable[[Sequence[RowLike]], Matrix],
    ) -> None:
        """`fill` takes rows that the snapshot does not know; `matrix` gives the prepared vectors of rows."""
        self._layer = layer
        self._backlog = backlog
        self._folder = folder
        self._fill = fill
        self._matrix = matrix

    def run(self, rows: Iterable[RowLike]) -> LoadReport:
        shot, why = None, "no folder"
        if self._folder is not None:
            try:
                shot, why = snapshot.read(self._folder, self._layer.options), "used"
            except snapshot.SnapshotError as error:
                why = str(error)
        slot_of: dict[bytes, int] = {}
        if shot is not None:
            slot_of = shot.slot_of
            self._layer.table.append_dead(len(shot.label_of))  # its slots keep their numbers, new ones follow
        fresh: list[RowLike] = []
        known: list[tuple[int, RowLike]] = []
        count = restored = 0
        for row in rows:
            if row.vector is None:
                continue
            count += 1
            slot = slot_of.pop(snapshot.row_digest(row.id, row.version), None) if slot_of else None
            if slot is None:
                fresh.append(row)
                if len(fresh) >= CHUNK:
                    self._fill(fresh)
                    fresh.clear()
            else:
                known.append((slot, row))
                restored += 1
                if len(known) >= CHUNK:
                    self._revive(known)
        self._fill(fresh)
        self._revive(known)
        if shot is not None:
            self._layer.adopt(shot.graph, shot.label_of, shot.canary)
        return LoadReport(count, restored, why)

    def _revive(self, known: list[tuple[int, RowLike]]) -> None:
        if known:
            slots, rows = zip(*known, strict=True)
            ids, versions = [row.id for row in rows], [row.version for row in rows]
            self._layer.table.revive(slots, ids, versions, self._matrix(rows))
            self._backlog.put(self._layer.payloads, np.asarray(slots, dtype=np.int32), [row.payload for row in rows])
            known.clear()
