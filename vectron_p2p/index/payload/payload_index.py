"""All fields of a shard's payloads, and the verdicts of filters over them.

Memory: a term costs 8 to 12 bytes, a distinct text is kept once; fields, distinct texts and all together are bounded,
here and for the node (`Budget`).
What goes beyond is not indexed and "may pass" every filter that it could: `opaque` slots any, `partial` ones those on
paths that have no field here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from vectron_p2p.index.payload.budget import Budget
from vectron_p2p.index.payload.columns import Column
from vectron_p2p.index.payload.evaluate import evaluate
from vectron_p2p.index.payload.extract import ELEMENT, SCALAR
from vectron_p2p.index.payload.fields import Field, moved
from vectron_p2p.index.payload.verdicts import Verdicts

if TYPE_CHECKING:
    from vectron_p2p.index.payload.columns import Int32s
    from vectron_p2p.index.payload.extract import Terms
    from vectron_p2p.index.payload.fields import Masks
    from vectron_p2p.query.filters import Filter

Wanted: TypeAlias = bool | tuple[str, ...]

MAX_FIELDS = 512  # paths; payloads with ids as keys have new ones in every row, and each costs some 2 KB when empty
MAX_BYTES = 256 << 20  # of a shard: some 5 million rows of four fields; as much as a graph of half as many points
FIELD_BYTES = 2_000  # of an empty field


class PayloadIndex:
    """One writer at a time; readers take no lock, and ask about slots below a count they took after the writer."""

    def __init__(self, wanted: Wanted = True, budget: Budget | None = None) -> None:
        """`wanted`: all fields, none, or these with all below them; what is not wanted may pass any filter."""
        self.wanted = wanted
        self._budget = budget or Budget()
        self._share = self._budget.share()
        self.fields: dict[str, Field] = {}
        self.opaque = Column(np.int8)
        self.partial = Column(np.int8)
        self._verdicts = Verdicts()

    @property
    def nbytes(self) -> int:
        """Memory of the fields, and of what filters said."""
        held = sum(field.nbytes for field in self.fields.copy().values()) + FIELD_BYTES * len(self.fields)
        return held + self.opaque.nbytes + self.partial.nbytes + self._verdicts.nbytes

    # --- writing ------------------------------------------------------------------------------------------------------

    def add(self, terms: Terms, slots: Int32s) -> None:
        """Index rows: `slots` has the slot of each row of `terms`, -1 for those left out."""
        if self.wanted is False:
            return
        if not self._has_room():
            _mark(self.opaque, slots[slots >= 0])
            return
        whole = bool((slots >= 0).all())
        partial: list[int] = []
        for (path, kind), (rows, values) in terms.groups.items():
            if not self.indexes(path):
                continue
            at = slots[rows].tolist()
            if not whole:
                pairs = [(slot, value) for slot, value in zip(at, values, strict=True) if slot >= 0]
                at, values = [slot for slot, _ in pairs], [value for _, value in pairs]
            field = self._field(path)
            if field is None:
                partial += at
            elif kind == SCALAR:
                field.scalars.add(at, values)
            elif kind == ELEMENT:
                field.elements.add(at, values)
            else:
                _mark(field.containers, np.array(at, dtype=np.int32))
        _mark(self.partial, _distinct(partial))
        opaque = slots[terms.opaque]
        _mark(self.opaque, opaque[opaque >= 0])

    def copy(self, other: PayloadIndex, chosen: Int32s, first: int) -> None:
        """Take over what `other` knows of its slots `chosen`, as slots `first` and following here."""
        if not len(chosen) or self.wanted is False:
            return
        if not self._has_room():
            _mark(self.opaque, np.arange(first, first + len(chosen), dtype=np.int32))
            return
        for path, theirs in other.fields.copy().items():
            if theirs.touches(chosen):
                field = self._field(path)
                assert (
                    field is not None
                )  # only `copy` fills an index before it is used, so there are no more than there
                field.copy(theirs, chosen, first)
        # A partial slot lacks terms of a path that may get a field here: it is open for all filters from now on.
        opaque, partial = (moved(column, chosen, first)[0].tolist() for column in (other.opaque, other.partial))
        _mark(self.opaque, _distinct(opaque + partial))

    def indexes(self, path: str) -> bool:
        """Whether the terms of a path are wanted here."""
        if isinstance(self.wanted, bool):
            return self.wanted
        return any(path == field or path.startswith(f"{field}.") for field in self.wanted)

    def _has_room(self) -> bool:
        self._share.nbytes = self.nbytes
        return self._share.nbytes <= MAX_BYTES and self._budget.used <= self._budget.limit

    def sort(self) -> None:
        """After rows were added in another order than that of their slots. Nobody reads meanwhile."""
        for field in self.fields.values():
            field.sort()
        self.opaque.sort()
        self.partial.sort()

    def _field(self, path: str) -> Field | None:
        """The field of a path, made if there is room."""
        field = self.fields.get(path)
        if field is None and len(self.fields) < MAX_FIELDS:
            field = self.fields[path] = Field()
        return field

    # --- reading ------------------------------------------------------------------------------------------------------

    def masks(self, tree: Filter, end: int, key: str | None = None) -> Masks:
        """Which of the slots below `end` pass, dead ones too. `key`: `key_of` the tree, where it is known."""
        return self._verdicts.get(key or key_of(tree), end, lambda start, stop: evaluate(self, tree, start, stop))


def key_of(tree: Filter) -> str:
    """Equal for equal filters alone: 1 and True are equal as Python has it."""
    return repr(tree)


def _distinct(slots: list[int]) -> Int32s:
    """Ascending. `np.unique` would import `numpy.ma` into every node: 1 MB, and 40 ms of a start."""
    return np.array(sorted(set(slots)), dtype=np.int32)


def _mark(column: Column, slots: Int32s) -> None:
    column.append(slots, np.zeros(len(slots), dtype=np.int8))
