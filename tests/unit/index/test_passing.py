"""The live points that pass a filter: looked for once while nothing is written, and never those of another moment."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.unit.index.doubles import clustered, make, row
from vectron_p2p.index import passing
from vectron_p2p.index.passing import KeptPassing
from vectron_p2p.index.shard_index import ShardIndex
from vectron_p2p.index.slots import View
from vectron_p2p.query.filters import parse_filter

MATRIX = clustered(300, 8)
ODD = parse_filter({"odd": 1})


def fill(index: ShardIndex, first: int, last: int, stamp: int = 1) -> None:
    index.apply([row(i, stamp, MATRIX[i], {"odd": i % 2}) for i in range(first, last)])


def state(index: ShardIndex) -> tuple[View, int, np.ndarray]:
    view = index._layer.table.view()
    return view, index.live, index._layer.payloads.masks(ODD, view.end).sure


def ids(index: ShardIndex, found: passing.Passing) -> list[Any]:
    assert found.points == int(found.mask.sum())
    return [index._layer.table.ids[slot] for slot in np.flatnonzero(found.mask)]


def test_kept_while_nothing_is_written() -> None:
    index, kept = make(8, "l2"), KeptPassing()
    fill(index, 0, 10)
    first = kept.get("odd", *state(index))
    assert ids(index, first) == [1, 3, 5, 7, 9]
    assert first.mask is state(index)[2], "nothing is dead: no memory of its own"
    assert kept.get("odd", *state(index)) is first
    assert kept.nbytes == 10


def test_every_write_is_another_moment() -> None:
    index, kept = make(8, "l2"), KeptPassing()
    fill(index, 0, 10)
    old = state(index)
    assert ids(index, kept.get("odd", *old)) == [1, 3, 5, 7, 9]
    index.apply([row(3, 2, None)])
    assert ids(index, kept.get("odd", *state(index))) == [1, 5, 7, 9]
    index.apply([row(5, 2, MATRIX[5], {"odd": 0}), row(6, 2, MATRIX[6], {"odd": 1})])
    assert sorted(ids(index, kept.get("odd", *state(index)))) == [1, 6, 7, 9]
    assert ids(index, kept.get("odd", *old)) == [1, 3, 5, 7, 9], "a search that began before sees what was there"


def test_the_longest_unused_go_first_and_long_filters_are_not_kept() -> None:
    index, kept = make(8, "l2"), KeptPassing()
    fill(index, 0, 10)
    first = kept.get("0", *state(index))
    for number in range(passing.KEPT + 1):
        kept.get(str(number), *state(index))
    assert kept.get("0", *state(index)) is not first
    held = kept.nbytes
    kept.get("x" * (passing.MAX_KEY + 1), *state(index))
    assert kept.nbytes == held == 10 * passing.KEPT
