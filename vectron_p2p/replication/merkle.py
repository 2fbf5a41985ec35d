"""Merkle sums of a shard replica: where do two replicas differ?

Each row, tombstones too, adds a 128-bit hash of (id, full version) to the sum of its leaf, modulo 2^128. Sums, not
XOR: a row folded in twice then shows instead of cancelling out. The tree is two levels deep (root over 1,024 leaf
sums): a comparison costs 16 bytes while replicas agree and 16 KiB when they do not.

Invariant: equal sets of (id, version) give equal roots, whatever the order of additions and removals.
"""

from __future__ import annotations

from hashlib import blake2b

import xxhash

LEAVES = 1024  # 100 rows a leaf at 100k rows; all sums of a shard take 16 KiB
SUM_SIZE = 16
_MODULUS = 1 << 128
_LEAF_SEED = 0x6C656166  # not the seed of placement: ids of one shard share that hash's bits and would share leaves


def leaf_of(key: bytes) -> int:
    """The leaf of the row with id key `key` (byte form of the id)."""
    return int(xxhash.xxh3_64_intdigest(key, _LEAF_SEED)) % LEAVES


def row_hash(key: bytes, version: bytes) -> int:
    """What a row adds to its leaf; `version` has a fixed size, so the joined bytes are unambiguous."""
    return int(xxhash.xxh3_128_intdigest(key + version))


class MerkleTree:
    """The sums of one replica."""

    __slots__ = ("_sums",)

    def __init__(self) -> None:
        self._sums = [0] * LEAVES

    def add(self, key: bytes, version: bytes) -> None:
        leaf = leaf_of(key)
        self._sums[leaf] = (self._sums[leaf] + row_hash(key, version)) % _MODULUS

    def remove(self, key: bytes, version: bytes) -> None:
        leaf = leaf_of(key)
        self._sums[leaf] = (self._sums[leaf] - row_hash(key, version)) % _MODULUS

    def leaves(self) -> bytes:
        """All sums, 16 bytes each."""
        return b"".join([value.to_bytes(SUM_SIZE, "big") for value in self._sums])

    def root(self) -> bytes:
        """16 bytes that differ when any sum differs."""
        return blake2b(self.leaves(), digest_size=SUM_SIZE).digest()


def diff(a: bytes, b: bytes) -> list[int]:
    """The leaves in which two `leaves()` differ; ValueError when one is no such bytes."""
    for leaves in (a, b):
        if len(leaves) != LEAVES * SUM_SIZE:
            raise ValueError(f"leaves have {LEAVES * SUM_SIZE} bytes, these {len(leaves)}")
    if a == b:
        return []
    return [i for i in range(LEAVES) if a[i * SUM_SIZE : (i + 1) * SUM_SIZE] != b[i * SUM_SIZE : (i + 1) * SUM_SIZE]]
