"""What filters said of slots, kept for the next search with the same filter.

A slot never changes, so a verdict is never wrong later: only the slots filled since are looked at. Masks are never
changed in place, so whoever holds one may go on reading it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np

from vectron_p2p.index.payload.fields import Masks

if TYPE_CHECKING:
    from collections.abc import Callable

KEPT_BYTES = 16 << 20  # of a shard: 160 exact filters over 100,000 slots; evaluating one anew costs some 0.3 ms there
MAX_KEY = 4_096  # characters: a filter with a long `$in` is rarely asked twice, and comparing it costs as well


class Verdicts:
    """Bounded; the longest unused go first. For any threads."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._kept: OrderedDict[str, Masks] = OrderedDict()
        self.nbytes = 0

    def get(self, key: str, end: int, evaluate: Callable[[int, int], Masks]) -> Masks:
        """The masks of the filter `key` over the slots below `end`; `evaluate` makes those of a range."""
        with self._mutex:
            held = self._kept.get(key)
            if held is not None:
                self._kept.move_to_end(key)
        count = 0 if held is None else len(held.sure)
        if held is None or count < end:
            fresh = evaluate(count, end)
            held = fresh if held is None else _joined(held, fresh)
            if len(key) <= MAX_KEY:
                self._keep(key, held)
        return _cut(held, end)

    def _keep(self, key: str, masks: Masks) -> None:
        with self._mutex:
            before = self._kept.get(key)
            if before is not None and len(before.sure) >= len(masks.sure):
                return  # another search was further
            if before is not None:
                self.nbytes -= _size(key, before)
            self._kept[key] = masks
            self.nbytes += _size(key, masks)
            while self.nbytes > KEPT_BYTES:
                oldest, dropped = self._kept.popitem(last=False)
                self.nbytes -= _size(oldest, dropped)


def _joined(first: Masks, second: Masks) -> Masks:
    sure = np.concatenate([first.sure, second.sure])
    if first.exact and second.exact:
        return Masks(sure, sure)
    return Masks(sure, np.concatenate([first.possible, second.possible]))


def _cut(masks: Masks, end: int) -> Masks:
    if len(masks.sure) == end:
        return masks
    sure = masks.sure[:end]
    return Masks(sure, sure if masks.exact else masks.possible[:end])


def _size(key: str, masks: Masks) -> int:
    return len(key) + masks.sure.nbytes + (0 if masks.exact else masks.possible.nbytes)
