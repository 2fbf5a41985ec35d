"""The points of a shard that pass a filter, as far as the payload index can tell, at one moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from vectron_p2p.index.payload.fields import Masks
    from vectron_p2p.index.slots import Mask, View
    from vectron_p2p.model.ids import PointId


class Matches:
    """`sure`: points that pass; `open`: others that may pass, as their stored payloads have it; of `points` in all."""

    def __init__(self, view: View, points: int, masks: Masks) -> None:
        self._ids = view.ids
        alive = view.alive_between(0, view.end)
        self._sure = masks.sure & alive
        self._open = None if masks.exact else masks.possible & ~masks.sure & alive
        self.points = points
        self.sure = int(np.count_nonzero(self._sure))
        self.open = 0 if self._open is None else int(np.count_nonzero(self._open))

    def sure_ids(self) -> list[PointId]:
        return self._of(self._sure)

    def open_ids(self) -> list[PointId]:
        return [] if self._open is None else self._of(self._open)

    def _of(self, mask: Mask) -> list[PointId]:
        return [self._ids[slot] for slot in np.flatnonzero(mask).tolist()]
