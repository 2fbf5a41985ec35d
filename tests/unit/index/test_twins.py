"""Equal vectors by hash: as a dict would, whatever is sorted in already."""

from __future__ import annotations

import random

import numpy as np
import pytest

from vectron_p2p.index import twins
from vectron_p2p.index.twins import NONE, Twins


def test_it_answers_as_a_dict_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twins, "RECENT", 7)
    chance = random.Random(3)
    kept, expected = Twins(), dict[int, int]()
    for turn in range(300):
        hashes = [chance.choice([chance.randrange(40), chance.randrange(2**64)]) for _ in range(chance.randrange(6))]
        assert kept.get(hashes) == [expected.get(key, NONE) for key in hashes]
        slots = [10 * turn + at for at in range(len(hashes))]
        kept.add(hashes, slots)
        for key, slot in zip(hashes, slots, strict=True):
            expected.setdefault(key, slot)
        if chance.random() < 0.5:
            kept.settle()
    assert kept.get(list(expected)) == list(expected.values())
    kept.settle()
    assert kept.get(list(expected)) == list(expected.values())


def test_filled_at_once_the_first_of_equal_hashes_stays() -> None:
    kept = Twins()
    kept.fill([5, 2**64 - 1, 5, 0], np.array([3, 4, 8, 9]))
    assert kept.get([0, 5, 2**64 - 1, 7]) == [9, 3, 4, NONE]
    kept.add([7, 7], [11, 12])
    assert kept.get([7]) == [11]


def test_few_entries_wait_outside_the_sorted_arrays() -> None:
    kept = Twins()
    for start in range(0, 40_000, 50):
        kept.add(range(start, start + 50), range(start, start + 50))
        kept.settle()
        assert len(kept._recent) <= twins.RECENT
    assert len(kept) == 40_000
    assert kept.get([0, 39_999, 40_000]) == [0, 39_999, NONE]
