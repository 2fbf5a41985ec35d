"""Consistency levels and how many of N owners each needs."""

from __future__ import annotations

import enum

from vectron_p2p.model.errors import InvalidArgument


class Consistency(enum.StrEnum):
    """How many of a shard's owners must answer, dead or alive, out of those the catalog names."""

    ONE = "one"
    QUORUM = "quorum"
    ALL = "all"
    LINEARIZABLE = "linearizable"
    """A majority, and for writes a round per point; for calls that name their points."""

    def required(self, owners: int) -> int:
        """Answers needed out of `owners`; quorum is a majority of them."""
        if self is Consistency.ONE:
            return 1
        return owners if self is Consistency.ALL else owners // 2 + 1


_BY_NAME: dict[str, Consistency] = {level.value: level for level in Consistency}


def parse_consistency(value: object, *, linearizable: bool = False) -> Consistency:
    """`value` as a level; `linearizable` only where the call allows it.

    Raises:
        InvalidArgument: It is none of "one", "quorum", "all".
    """
    level = _BY_NAME.get(value) if isinstance(value, str) else None
    if level is not None and (linearizable or level is not Consistency.LINEARIZABLE):
        return level
    allowed = [level for level in Consistency if linearizable or level is not Consistency.LINEARIZABLE]
    names = ", ".join(repr(level.value) for level in allowed)
    raise InvalidArgument(f"consistency is one of {names}, not {value!r}", field="consistency")
