"""Between nodes, about per-point rounds. Accepts are `ApplyRows` of kind "accept": a row, applied if newer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from vectron_p2p.protocol.registry import message


@message(60)
@dataclass(frozen=True, slots=True)
class Prepare:
    """-> PrepareReply. Take nothing below `ballots[i]` for `ids[i]` from now on. `kind`: "write", or "identity" for a
    round that changes nothing.
    """

    collection: str
    shard: int
    epoch: int
    kind: str
    ids: list[int | str]
    ballots: list[bytes]


@message(61)
@dataclass(frozen=True, slots=True)
class PrepareReply:
    """Columns over the ids asked. `granted[i]`: promised, and the row held follows (`versions[i]` None: none,
    `vectors[i]` None: deleted). Else `above[i]` is the version held, or a promise (`ballots.busy`), that is not below
    the ballot; None: the stamp was refused.
    """

    granted: list[bool]
    above: list[bytes | None]
    versions: list[bytes | None]
    vectors: list[bytes | None]
    payloads: list[bytes | None]
    marks: list[bytes]


@message(62)
@dataclass(frozen=True, slots=True)
class MatchingIds:
    """-> MatchingIdsReply: ids of live rows that match, after the id key `after`, in order."""

    collection: str
    shard: int
    epoch: int
    after: bytes
    limit: int
    filter: dict[str, Any] | None


@message(63)
@dataclass(frozen=True, slots=True)
class MatchingIdsReply:
    """All that match up to the id key `upto`; `more`: there are rows behind it."""

    upto: bytes
    more: bool
    ids: list[int | str] = field(default_factory=list)
