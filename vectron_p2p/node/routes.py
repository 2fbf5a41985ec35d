"""Whom a coordinator asks about a shard, and the epoch that it says (PROTOCOLS §6).

Invariant: route and epoch of one request come from one catalog state. An owner that has gone on refuses the request
(`StaleEpoch`); then the catalog is pulled and the same request sent anew, so that clients notice nothing of a move.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vectron_p2p.model.errors import Unavailable
from vectron_p2p.replication.joint import JointQuorum

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from vectron_p2p.catalog.moves import Route
    from vectron_p2p.catalog.state import ClusterState
    from vectron_p2p.model.consistency import Consistency


class Routes:
    """`state` is the newest catalog state that is durable here; `pull` returns once this node is at an epoch."""

    def __init__(self, state: Callable[[], ClusterState], pull: Callable[[int], Awaitable[None]]) -> None:
        self._state = state
        self._pull = pull

    @property
    def state(self) -> ClusterState:
        return self._state()

    async def newer(self, epoch: int, than: int) -> bool:
        """Whether this node is at `epoch` now, which an owner asked for and is above the one used so far."""
        if epoch <= than:
            return False
        try:
            await self._pull(epoch)
        except Unavailable:
            return False
        return True


def write_quorum(route: Route, level: Consistency) -> JointQuorum:
    """Who has to acknowledge at `level`."""
    return JointQuorum.at(level, route.write)
