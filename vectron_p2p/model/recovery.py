"""What a forced recovery does, or would do."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class HurtShardInfo:
    """A shard that lost a majority of its owners: rows may be missing; with nobody `left` it begins anew, empty."""

    collection: str
    shard: int
    owners: list[str]
    left: list[str]


@dataclass(frozen=True, slots=True)
class RecoveryInfo:
    """Nodes by name. `recovered` is false where it was only looked at."""

    recovered: bool
    generation: int
    epoch: int
    lost: list[str]
    survivors: list[str]
    hurt: list[HurtShardInfo] = field(default_factory=list)
