"""What a payload index holds, field by field, of the points that are alive.

Counted when somebody asks, by any thread, without a lock: writes keep no figures for it. Work grows with the terms, in
steps that each hold the interpreter for a fraction of a millisecond.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vectron_p2p.index.payload.fields import EXACT
from vectron_p2p.index.payload.payload_index import FIELD_BYTES
from vectron_p2p.model.payload_fields import (
    MAX_FIELDS,
    MAX_VALUES,
    PayloadField,
    PayloadFields,
    kind_of,
    ordered_kinds,
    ordered_values,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    from vectron_p2p.index.payload.fields import Field, Values
    from vectron_p2p.index.payload.payload_index import PayloadIndex
    from vectron_p2p.index.slots import View
    from vectron_p2p.model.payload_fields import Scalar

STEP = 16_384  # slots, or pairs of a column, looked at together


def census(index: PayloadIndex, view: View, points: int) -> PayloadFields:
    """All fields of one shard, of which `points` are alive; the collection is for the caller to name."""
    fields = [_count(name, field, view) for name, field in index.fields.copy().items()]
    alive = sorted((each for each in fields if each.points), key=lambda each: (-each.points, each.name))
    lacking = np.zeros(view.end, dtype=np.bool_)
    for column in (index.opaque, index.partial):
        lacking[column.between(0, view.end)[0]] = True
    return PayloadFields(
        collection="",
        points=points,
        unindexed=int(np.count_nonzero(lacking & view.alive_between(0, view.end))),
        fields=alive[:MAX_FIELDS],
        more=max(0, len(alive) - MAX_FIELDS),
        shards=1,
    )


def _count(name: str, field: Field, view: View) -> PayloadField:
    points, containers = 0, False
    for start in range(0, view.end, STEP):
        end = min(start + STEP, view.end)
        alive = view.alive_between(start, end)
        points += int(np.count_nonzero(field.exists(start, end - start) & alive))
        slots = field.containers.between(start, end)[0]
        containers = containers or bool(alive[slots - start].any())
    found = _Scalars()
    found.take(field.scalars, view, "")
    found.take(field.elements, view, "[]")
    if containers:
        found.kinds.add("object")
    distinct = len(found.texts) + len(found.numbers)
    few = found.exact and distinct <= MAX_VALUES
    return PayloadField(
        name=name,
        kinds=ordered_kinds(found.kinds),
        points=points,
        distinct=distinct,
        distinct_exact=found.exact,
        values=ordered_values([*found.texts, *found.numbers]) if few else [],
        lowest=found.lowest,
        highest=found.highest,
        bytes=field.nbytes + FIELD_BYTES,
    )


class _Scalars:
    """What stands at one path, itself or in lists."""

    def __init__(self) -> None:
        self.kinds: set[str] = set()
        self.texts: set[Scalar] = set()
        self.numbers: set[Scalar] = set()
        self.exact = True
        self.lowest: float | None = None
        self.highest: float | None = None

    def take(self, values: Values, view: View, suffix: str) -> None:
        self._take_texts(values, view, suffix)
        self._take_numbers(values, view, suffix)

    def _take_texts(self, values: Values, view: View, suffix: str) -> None:
        slots, codes, distinct = values.texts(view.end)
        used = np.zeros(len(distinct), dtype=np.bool_)
        for at in range(0, len(slots), STEP):
            used[codes[at : at + STEP][view.died[slots[at : at + STEP]] > view.moment]] = True
        texts = [distinct[code] for code in np.flatnonzero(used).tolist()]
        self.kinds |= {kind_of(text) + suffix for text in texts}
        self.texts.update(text for text in texts)
        hashed = values.hashes(view.end)[0]
        if any((view.died[hashed[at : at + STEP]] > view.moment).any() for at in range(0, len(hashed), STEP)):
            self.kinds.add("keyword" + suffix)
            self.exact = False

    def _take_numbers(self, values: Values, view: View, suffix: str) -> None:
        slots, held = values.numbers(view.end)
        types, some = values.number_types, False
        for at in range(0, len(slots), STEP):
            kept = held[at : at + STEP][view.died[slots[at : at + STEP]] > view.moment]
            some = some or bool(len(kept))
            kept = kept[~np.isnan(kept)]
            if len(kept):
                self._take_some(kept, whole=types == {int})
        if some:
            self.kinds |= {kind.__name__ + suffix for kind in types}

    def _take_some(self, numbers: npt.NDArray[np.float64], *, whole: bool) -> None:
        lowest, highest = float(numbers.min()), float(numbers.max())
        self.lowest = lowest if self.lowest is None else min(lowest, self.lowest)
        self.highest = highest if self.highest is None else max(highest, self.highest)
        if max(-lowest, highest) >= EXACT:  # what was rounded may be two
            self.exact = False
        if not self.exact:
            return
        ordered = np.sort(numbers)
        firsts = ordered[np.concatenate(([True], ordered[1:] != ordered[:-1]))]
        self.numbers.update(int(each) if whole else each for each in firsts[: MAX_VALUES + 1].tolist())
        if len(self.numbers) > MAX_VALUES:
            self.exact = False
