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
