"""Slots: where each point of a shard is, which slots are alive, and since when they are not.

A slot is one version of one point: it is filled once, dies when the point is written again or deleted, and is never
used again. A `View` is the table at one moment, without a copy: slots filled later lie behind its `end`, and a slot
that died later has a death number above its `moment`. So a search sees each point exactly once, in the version that was
current when its view was taken, however many writes follow.

Not locked: one writer at a time; views are taken by who also keeps writers out, and then read without any lock.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from vectron_p2p.index.vectors import VectorStore

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vectron_p2p.model.ids import PointId
    from vectron_p2p.query.scoring import Matrix

VERSION_BYTES = 40  # replication.version
OPAQUE = np.dtype((np.void, VERSION_BYTES))  # as one value, which becomes bytes
ALIVE = np.iinfo(np.int64).max
FIRST_SLOTS = 64

Ints: TypeAlias = npt.NDArray[np.int64]
Mask: TypeAlias = npt.NDArray[np.bool_]
Bytes: TypeAlias = npt.NDArray[np.uint8]


class RowLike(Protocol):
    """A row as storage has it; `vector` None is a tombstone."""

    @property
    def id(self) -> PointId: ...
    @property
    def version(self) -> bytes: ...
    @property
    def vector(self) -> bytes | None: ...
    @property
    def payload(self) -> bytes | None: ...


class View(NamedTuple):
    """The table at one moment; see the module."""

    end: int
    moment: int
    rows: Matrix
    died: Ints
    ids: list[PointId]
    versions: Bytes

    def alive(self, slots: Ints) -> Mask:
        """Which of `slots` (all below `end`) hold a current version."""
        mask: Mask = self.died[slots] > self.moment
        return mask

    def alive_between(self, start: int, end: int) -> Mask:
        mask: Mask = self.died[start:end] > self.moment
        return mask

    def versions_of(self, slots: Ints) -> list[bytes]:
        found: list[bytes] = self.versions.view(OPAQUE).ravel().take(slots).tolist()
        return found

    def ids_of(self, slots: Ints) -> list[PointId]:
        ids = self.ids
        return [ids[slot] for slot in slots.tolist()] if len(slots) < 2 else list(itemgetter(*slots.tolist())(ids))


class SlotTable:
    """Ids, versions, vectors and deaths by slot."""

    def __init__(self, dimension: int, folder: Path | None) -> None:
        self.slot_of: dict[PointId, int] = {}
        self.ids: list[PointId] = []
        self.moment = 0
        self._vectors = VectorStore(dimension, folder)
        self._died: Ints = np.zeros(0, dtype=np.int64)
        self._versions: Bytes = np.zeros((0, VERSION_BYTES), dtype=np.uint8)

    @property
    def count(self) -> int:
        """Slots filled so far."""
        return len(self.ids)

    @property
    def live(self) -> int:
        return len(self.slot_of)

    @property
    def rows(self) -> Matrix:
        return self._vectors.rows

    def view(self) -> View:
        return View(self.count, self.moment, self._vectors.rows, self._died, self.ids, self._versions)

    def version_of(self, point: PointId) -> bytes | None:
        """The version held of a live point."""
        slot = self.slot_of.get(point)
        return None if slot is None else bytes(self._versions[slot])

    def is_alive(self, slot: int) -> bool:
        return bool(self._died[slot] == ALIVE)

    def alive(self, slots: Ints) -> Mask:
        mask: Mask = self._died[slots] == ALIVE
        return mask

    def alive_between(self, start: int, end: int) -> Mask:
        mask: Mask = self._died[start:end] == ALIVE
        return mask

    def reserve(self, more: int) -> None:
        """Make room for `more` slots, so that `append` cannot fail.

        Raises:
            OSError: The disk has no room for the mapped file; nothing has changed.
        """
        self._vectors.reserve(self.count + more)
        self._reserve(self.count + more)

    def next_moment(self) -> None:
        """Begin a change: deaths from here on are not seen by views already taken."""
        self.moment += 1

    def append(self, points: Sequence[PointId], versions: Sequence[bytes], rows: Matrix) -> None:
        """Fill new slots, each alive; room was reserved before, and a point's older slot has died by `remove`."""
        start, end = self.count, self.count + len(points)
        self._vectors.append(rows)
        self._reserve(end)
        self._died[start:end] = ALIVE
        self._versions[start:end] = np.frombuffer(b"".join(versions), dtype=np.uint8).reshape(-1, VERSION_BYTES)
        self.ids.extend(points)
        for slot, point in enumerate(points, start):
            self.slot_of[point] = slot

    def remove(self, point: PointId) -> int | None:
        """The point's slot dies; returns it."""
        slot = self.slot_of.pop(point, None)
        if slot is not None:
            self._died[slot] = self.moment
        return slot

    def append_dead(self, count: int) -> None:
        """`count` slots that hold nothing yet, for `revive` (a restored graph has its labels already)."""
        start = self.count
        self._vectors.skip(count)
        self._reserve(start + count)
        self._died[start : start + count] = 0
        self.ids.extend([0] * count)  # never shown: the slot is dead

    def revive(self, slots: Sequence[int], points: Sequence[PointId], versions: Sequence[bytes], rows: Matrix) -> None:
        """Fill slots made by `append_dead`."""
        at = np.asarray(slots, dtype=np.int64)
        self._vectors.rows[at] = rows
        self._died[at] = ALIVE
        self._versions[at] = np.frombuffer(b"".join(versions), dtype=np.uint8).reshape(-1, VERSION_BYTES)
        for slot, point in zip(slots, points, strict=True):
            self.ids[slot] = point
            self.slot_of[point] = slot

    def _reserve(self, slots: int) -> None:
        if slots <= len(self._died):
            return
        capacity = max(slots, FIRST_SLOTS, len(self._died) * 3 // 2)
        died = np.zeros(capacity, dtype=np.int64)  # views keep the old arrays: what they may see never changes there
        versions = np.zeros((capacity, VERSION_BYTES), dtype=np.uint8)
        died[: len(self._died)] = self._died
        versions[: len(self._versions)] = self._versions
        self._died, self._versions = died, versions
