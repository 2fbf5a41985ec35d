"""Consistency levels and how many of N owners each needs."""

from __future__ import annotations

import enum

from vectron_p2p.model.errors import InvalidArgument


class Consistency(enum.StrEnum):
    """How many of a shard's owners must answer, dead or alive, out of those the catalog names."""

    ONE = "one"
    QUORUM = "quorum"
    ALL = "all"

    def required(self, owners: int) -> int:
        """Answers needed out of `owners`; quorum is a majority of them."""
        if self is Consistency.ONE:
            return 1
        return owners if self is Consistency.ALL else owners // 2 + 1


def parse_consistency(value: object) -> Consistency:
    """`value` as a level.

    Raises:
        InvalidArgument: It is none of "one", "quorum", "all".
    """
    if isinstance(value, str):
        for level in Consistency:
            if value == level.value:
                return level
    raise InvalidArgument(f"consistency is one of 'one', 'quorum', 'all', not {value!r}", field="consistency")
