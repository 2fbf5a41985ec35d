"""Figures of a node's traffic: its peers as seen from its own calls, hedges, and requests turned away at the door."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RoundTripFigures:
    """Of one kind of call to one peer."""

    rtt_ms: float
    """Smoothed."""
    timeout_ms: float
    """After which an answer counts as late."""
    samples: int


@dataclass(frozen=True, slots=True)
class PeerFigures:
    """One peer."""

    node: str
    breaker: str
    """"closed", "open" or "half_open"."""
    slow: bool
    """An answer was late just now: others are asked first."""
    failures: int
    """Dials and calls that failed, and connections that broke, since the start."""
    opens: int
    late: int
    """Answers that were late."""
    refused: int
    """Calls not made because the breaker was open."""
    round_trips: dict[str, RoundTripFigures] = field(default_factory=dict)
    """By kind of call."""


@dataclass(frozen=True, slots=True)
class HedgeFigures:
    """Since the start, of searches and reads that this node coordinates."""

    requests: int = 0
    """To owners, hedges not counted."""
    sent: int = 0
    won: int = 0
    """Hedges whose answer came first."""
    denied: int = 0
    """Late answers for which the budget had no hedge."""


@dataclass(frozen=True, slots=True)
class LimitFigures:
    """Requests of clients on points; limits of 0 are none."""

    under_way: int = 0
    limited: int = 0
    """Refused because the node's rate was reached."""
    limited_by_connection: int = 0
    refused: int = 0
    """Refused because too many were under way."""
    requests_per_second: float = 0.0
    requests_per_second_per_connection: float = 0.0
    concurrent_requests: int = 0


@dataclass(frozen=True, slots=True)
class TrafficFigures:
    """All of it."""

    peers: list[PeerFigures] = field(default_factory=list)
    """In a cluster of more than 34 nodes the worst only: `peer_count` and `open_breakers` are of all."""
    hedges: HedgeFigures = field(default_factory=HedgeFigures)
    limits: LimitFigures = field(default_factory=LimitFigures)
    peer_count: int = 0
    """Peers that were called since the start."""
    open_breakers: int = 0
    """Those of them whose breaker is not closed."""
