"""A filter over a range of slots, answered from the fields. It agrees with `query.filters.matches` wherever it is sure.

Three-valued: "may pass" goes through and, or and not as it should (not swaps what surely passes with what surely does
not), so a part that the index cannot answer costs only the slots whose verdict hangs on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vectron_p2p.index.payload.fields import Masks
from vectron_p2p.query.filters import And, Compare, Condition, Exists, Filter, In, Not, Or, Outside

if TYPE_CHECKING:
    from vectron_p2p.index.payload.fields import Field, Mask
    from vectron_p2p.index.payload.payload_index import PayloadIndex


def evaluate(index: PayloadIndex, tree: Filter, start: int, end: int) -> Masks:
    """Which of the slots `start`..`end` pass, by their distance from `start`."""
    if isinstance(tree, And | Or):
        join = np.logical_and if isinstance(tree, And) else np.logical_or
        sure = np.full(end - start, isinstance(tree, And), dtype=np.bool_)
        masks = Masks(sure, sure)
        for part in tree.parts:
            one = evaluate(index, part, start, end)
            sure = join(masks.sure, one.sure)
            exact = masks.exact and one.exact
            masks = Masks(sure, sure if exact else join(masks.possible, one.possible))
        return masks
    if isinstance(tree, Not):
        inner = evaluate(index, tree.part, start, end)
        sure = ~inner.possible
        return Masks(sure, sure if inner.exact else ~inner.sure)
    return _condition(index, tree, start, end)


def _condition(index: PayloadIndex, tree: Condition, start: int, end: int) -> Masks:
    size = end - start
    sure, possible = np.zeros(size, dtype=np.bool_), np.zeros(size, dtype=np.bool_)
    field = index.fields.get(tree.path)
    if field is not None:
        _ask(field, tree, start, sure, possible)
    unknown = np.zeros(size, dtype=np.bool_)
    for column in (index.opaque,) if field is not None else (index.opaque, index.partial):
        unknown[column.between(start, end)[0] - start] = True
    if not index.indexes(tree.path):
        unknown[:] = True
    if isinstance(tree, In) and None in tree.values:
        missing = np.ones(size, dtype=np.bool_) if field is None else ~field.exists(start, size)
        sure |= missing & ~unknown
    possible |= sure
    possible |= unknown
    return Masks(sure, sure if np.array_equal(sure, possible) else possible)


def _ask(field: Field, tree: Condition, start: int, sure: Mask, possible: Mask) -> None:
    if isinstance(tree, Exists):
        sure |= field.exists(start, len(sure))
    elif isinstance(tree, In):
        field.scalars.equal(tree.values, start, sure, possible)
        field.elements.equal(tree.values, start, sure, possible)
    elif isinstance(tree, Compare):
        field.scalars.compare(tree.operator, tree.operand, start, sure, possible)
        field.elements.compare(tree.operator, tree.operand, start, sure, possible)
    elif isinstance(tree, Outside):
        field.scalars.outside(tree.values, start, sure, possible)
        field.elements.outside(tree.values, start, sure, possible)
    else:
        field.elements.equal((tree.operand,), start, sure, possible)
        if isinstance(tree.operand, str):
            field.scalars.substring(tree.operand, start, sure, possible)
