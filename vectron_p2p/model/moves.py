"""How far a move is, as the node that carries it out says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MoveProgress:
    """One move under way. `phase` of a step: "fence" (waits for owners to have the step on disk), "copy", "link" (the
    graph of the copy is being built), "advance" (the next step is being agreed on), "wait" (two others are being
    copied).
    """

    collection: str
    """UUID."""
    shard: int
    move: int
    """Its id: the epoch that started it."""
    leaving: str
    """Node id; empty when nobody leaves."""
    coming: str
    """Node id; empty when nobody comes."""
    step: str
    driver: str
    """The node that carries it out, and that says this."""
    phase: str = "wait"
    rows: int = 0
    """Copied so far; rows that were there already count in neither this nor `bytes`."""
    bytes: int = 0
    total: int = -1
    """Live points at the source when copying began; -1 before."""
    since_s: float = 0.0
    """Seconds that the driver has been at it since its start."""
    error: str = ""
    """Why the last attempt at the present step came to nothing; it goes on trying."""


@dataclass(frozen=True, slots=True)
class MoveInfo:
    """A move under way, with names. The figures are those of `MoveProgress`; `phase` "unknown": nobody says."""

    collection: str
    shard: int
    leaving: str
    coming: str
    step: str
    phase: str = "unknown"
    rows: int = 0
    bytes: int = 0
    total: int = -1
    since_s: float = 0.0
    error: str = ""


@dataclass(frozen=True, slots=True)
class MovesReport:
    """Moves under way and wanted; where a node was asked about, what is left of it too."""

    moves: list[MoveInfo]
    wanted: int = 0
    """Shards whose owners are to change, besides those that are being moved."""
    under_replicated: int = 0
    node: str = ""
    name: str = ""
    state: str = ""
    """The node's: active, draining, left, removed."""
    shards: int = 0
    """Replicas that it owns, or that are being moved to or from it."""

    @property
    def settled(self) -> bool:
        """Whether nothing is under way or wanted."""
        return not self.moves and not self.wanted
