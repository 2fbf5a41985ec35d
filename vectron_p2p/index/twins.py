"""Which slot first brought a vector, by the vector's hash: how an equal one finds its label.

Sorted arrays, 12 bytes for each vector, and a small dict of what came since; a dict of all would take ten times that.
Hashes of different vectors may be equal: whoever asks compares the vectors. Not locked: for the linking thread alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vectron_p2p.index.slots import Ints

NONE = -1
RECENT, RECENT_SHARE = 4_096, 16  # entries, or the part of all, that wait in the dict: then all are copied


class Twins:
    """See the module."""

    def __init__(self) -> None:
        self._hashes: npt.NDArray[np.uint64] = np.zeros(0, dtype=np.uint64)
        self._slots: npt.NDArray[np.int32] = np.zeros(0, dtype=np.int32)
        self._recent: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._hashes) + len(self._recent)

    def get(self, hashes: list[int]) -> list[int]:
        """The slot of each, -1 where there is none."""
        if not hashes:
            return []
        known = np.full(len(hashes), NONE, dtype=np.int64)
        if len(self._hashes):
            wanted = np.array(hashes, dtype=np.uint64)
            at = np.minimum(np.searchsorted(self._hashes, wanted), len(self._hashes) - 1)
            found = self._hashes[at] == wanted
            known[found] = self._slots[at[found]]
        return [
            self._recent.get(key, NONE) if slot == NONE else slot
            for key, slot in zip(hashes, known.tolist(), strict=True)
        ]

    def add(self, hashes: Iterable[int], slots: Iterable[int]) -> None:
        """Vectors that `get` did not find; of those with equal hashes the first stays."""
        for key, slot in zip(hashes, slots, strict=True):
            self._recent.setdefault(key, slot)

    def fill(self, hashes: list[int], slots: Ints) -> None:
        """All at once, into an empty one."""
        found, first = np.unique(np.array(hashes, dtype=np.uint64), return_index=True)
        self._hashes, self._slots = found, slots[first].astype(np.int32)

    def settle(self) -> None:
        """Sort in what came, when it has become much: 1 ms per 100,000. Between turns."""
        if len(self._recent) <= max(RECENT, len(self._hashes) // RECENT_SHARE):
            return
        keys = np.array(list(self._recent), dtype=np.uint64)
        slots = np.array(list(self._recent.values()), dtype=np.int32)
        order = np.argsort(keys)
        keys, slots = keys[order], slots[order]
        at = np.searchsorted(self._hashes, keys)
        fresh = np.ones(len(keys), dtype=np.bool_)
        if len(self._hashes):
            fresh = self._hashes[np.minimum(at, len(self._hashes) - 1)] != keys
        self._hashes = np.insert(self._hashes, at[fresh], keys[fresh])
        self._slots = np.insert(self._slots, at[fresh], slots[fresh])
        self._recent = {}
