"""Joint quorums: enough owners of each of several sets (PROTOCOLS §3.7; "joint consensus", Ongaro 2014).

While a shard is being moved, whatever needs a quorum needs it among the old owners and among the new ones; one owner
may count in both. Without a move there is one set. Invariant: `met` only grows with the owners that have answered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vectron_p2p.model.consistency import Consistency
    from vectron_p2p.model.ids import NodeId


class JointQuorum:
    """Sets of owners, and how many of each are needed. Who has answered is a bit mask: rows have one each."""

    __slots__ = ("_bits", "_met", "_sets", "owners")

    def __init__(self, sets: Iterable[tuple[Sequence[NodeId], int]]) -> None:
        sets = list(sets)
        for members, required in sets:
            if not 0 < required <= len(members):
                raise ValueError(f"{required} answers of {len(members)} owners")
        self.owners: tuple[NodeId, ...] = tuple(dict.fromkeys(owner for members, _ in sets for owner in members))
        self._bits = {owner: 1 << i for i, owner in enumerate(self.owners)}
        self._sets = tuple(dict.fromkeys((self.mask(members), required) for members, required in sets))
        self._met: dict[int, bool] = {}

    @classmethod
    def of(cls, owners: Sequence[NodeId], required: int) -> JointQuorum:
        """One set."""
        return cls([(owners, required)])

    @classmethod
    def at(cls, level: Consistency, sets: Iterable[Sequence[NodeId]]) -> JointQuorum:
        """`level`, met in each of `sets`."""
        return cls([(members, level.required(len(members))) for members in sets])

    def bit(self, owner: NodeId) -> int:
        return self._bits[owner]

    def mask(self, owners: Iterable[NodeId]) -> int:
        """The bits of those of `owners` that are in some set."""
        return sum(self._bits.get(owner, 0) for owner in set(owners))

    def met(self, mask: int) -> bool:
        """Whether the owners in `mask` are enough in every set."""
        met = self._met.get(mask)  # asked for every row of every answer, of a handful of masks
        if met is None:
            met = all((mask & members).bit_count() >= required for members, required in self._sets)
            self._met[mask] = met
        return met

    def lacking(self, mask: int) -> set[NodeId]:
        """The owners of the sets in which those of `mask` are too few."""
        short = [members for members, required in self._sets if (mask & members).bit_count() < required]
        return {owner for owner, bit in self._bits.items() if any(bit & members for members in short)}

    def tally(self, mask: int) -> tuple[int, int]:
        """How many there are in `mask`, and are needed, of the set that lacks most."""
        counted = [((mask & members).bit_count(), required) for members, required in self._sets]
        return min(counted, key=lambda pair: pair[0] - pair[1])

    @property
    def majority(self) -> bool:
        """Whether any two that meet it have an owner in common, in every set."""
        return all(members.bit_count() < 2 * required for members, required in self._sets)
