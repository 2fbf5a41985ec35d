"""Merkle sums: equal rows give equal roots; differences are found in their leaf."""

from __future__ import annotations

import pytest

from vectron_p2p.model.ids import encode_point_id
from vectron_p2p.replication.merkle import LEAVES, SUM_SIZE, MerkleTree, diff, leaf_of, row_hash

V1, V2 = b"\x01" * 40, b"\x02" * 40


def key(number: int) -> bytes:
    return encode_point_id(number)


def test_a_changed_version_shows_in_its_leaf_only() -> None:
    one, two = MerkleTree(), MerkleTree()
    for number in range(500):
        one.add(key(number), V1)
        two.add(key(number), V2 if number == 77 else V1)
    assert one.root() != two.root()
    assert diff(one.leaves(), two.leaves()) == [leaf_of(key(77))]
    two.remove(key(77), V2)
    two.add(key(77), V1)
    assert one.root() == two.root()
    assert diff(one.leaves(), two.leaves()) == []


def test_a_row_folded_in_twice_shows() -> None:
    tree = MerkleTree()
    empty = tree.root()
    tree.add(key(1), V1)
    tree.add(key(1), V1)
    assert tree.root() != empty


def test_the_hash_covers_id_and_version() -> None:
    assert len({row_hash(key(1), V1), row_hash(key(2), V1), row_hash(key(1), V2)}) == 3


def test_leaves_are_even() -> None:
    counts = [0] * LEAVES
    for number in range(20_000):
        counts[leaf_of(key(number))] += 1
    assert max(counts) < 60  # 20 expected, deviation 4.5
    assert min(counts) > 0


def test_the_hash_values_are_part_of_the_format() -> None:
    assert leaf_of(key(1)) == 906
    assert row_hash(key(1), V1) == 0x5450C28F8CC03EB059EFF6E2F6DB860E


def test_leaves_of_another_size_are_refused() -> None:
    good = MerkleTree().leaves()
    assert len(good) == LEAVES * SUM_SIZE
    with pytest.raises(ValueError):
        diff(good, good[:-1])
