"""The payload indexes of a node share one bound, and what is beyond it is read."""

from __future__ import annotations

import gc

import msgpack
import numpy as np

from vectron_p2p.index.payload.budget import Budget
from vectron_p2p.index.payload.extract import extract
from vectron_p2p.index.payload.payload_index import PayloadIndex
from vectron_p2p.query.filters import parse_filter

ROWS = [{"n": n, "text": f"text {n}"} for n in range(200)]
TREE = parse_filter({"n": {"$lt": 50}})


def fill(index: PayloadIndex, first: int, last: int) -> None:
    packed = [msgpack.packb(row) for row in ROWS[first:last]]
    index.add(extract(packed), np.arange(first, last, dtype=np.int32))


def test_one_index_leaves_no_room_for_another_until_it_is_gone() -> None:
    budget = Budget(20_000)
    one, two = PayloadIndex(True, budget), PayloadIndex(True, budget)
    fill(one, 0, 200)
    fill(one, 0, 0)  # looks at what it holds
    assert budget.used > budget.limit
    fill(two, 0, 100)
    masks = two.masks(TREE, 100)
    assert not masks.sure.any()
    assert masks.possible.all()
    assert two.opaque.count == 100
    del one
    gc.collect()
    fill(two, 100, 200)
    masks = two.masks(parse_filter({"n": {"$lt": 150}}), 200)
    assert masks.possible[:150].all()
    assert masks.sure[100:150].all()
    assert not masks.possible[150:].any()
