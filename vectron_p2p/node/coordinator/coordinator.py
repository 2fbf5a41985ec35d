"""The coordinator of a node: all that serves requests for points, put together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vectron_p2p.node.coordinator.conditional import Conditional
from vectron_p2p.node.coordinator.local_searches import LocalSearches
from vectron_p2p.node.coordinator.reads import Reads
from vectron_p2p.node.coordinator.rounds import Rounds
from vectron_p2p.node.coordinator.scrolls import Scrolls
from vectron_p2p.node.coordinator.searches import Searches
from vectron_p2p.node.coordinator.writes import Writes

if TYPE_CHECKING:
    from collections.abc import Callable

    import trio

    from vectron_p2p.node.config import Limits
    from vectron_p2p.node.coordinator.local_searches import OwnSearch
    from vectron_p2p.node.hedging import Hedging
    from vectron_p2p.node.peers import Peers
    from vectron_p2p.node.routes import Routes
    from vectron_p2p.node.runtime import Runtime
    from vectron_p2p.node.services.hints import Hints
    from vectron_p2p.node.stamps import Stamps
    from vectron_p2p.protocol import messages as m


@dataclass(frozen=True, slots=True)
class Coordinator:
    rounds: Rounds
    writes: Writes
    reads: Reads
    searches: Searches
    local_searches: LocalSearches
    scrolls: Scrolls
    conditional: Conditional

    @classmethod
    def build(
        cls,
        peers: Peers,
        runtime: Runtime,
        stamps: Stamps,
        hints: Hints,
        hedging: Hedging,
        limits: Limits,
        *,
        routes: Routes,
        own: Callable[[m.SearchShards], OwnSearch],
        background: trio.Nursery,
    ) -> Coordinator:
        clock = runtime.clock
        rounds = Rounds(peers, clock, runtime.random, stamps, hints, limits, routes=routes, background=background)
        reads = Reads(peers, clock, routes, rounds, hedging, limits)
        return cls(
            rounds=rounds,
            writes=Writes(peers, clock, routes, stamps, hints, rounds, limits, background=background),
            reads=reads,
            searches=Searches(peers, clock, routes, reads, hedging),
            local_searches=LocalSearches(peers.me, clock, routes, own),
            scrolls=Scrolls(peers, clock, routes, hedging),
            conditional=Conditional(peers, clock, routes, rounds, hedging, limits),
        )
