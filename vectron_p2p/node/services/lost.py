"""After a forced recovery: looks now and then whether a node that was given up is there after all.

Then two clusters of one name may be running. One of the generation before learns by the greeting that it has to leave;
one that turns this node away was recovered by force itself, and gave this node up: both have to stop (PROTOCOLS §1.5).
Without this they would never talk, for each has taken the other off its list of members.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vectron_p2p.catalog.recovery import TWO_RECOVERIES
from vectron_p2p.model.errors import PermissionDenied, VectronError
from vectron_p2p.model.nodes import NodeState
from vectron_p2p.net.interfaces import ConnectionLost
from vectron_p2p.protocol import messages as m

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from vectron_p2p.catalog.state import ClusterState
    from vectron_p2p.net.pool import Pool
    from vectron_p2p.runtime import Clock

LOOK = 10.0  # seconds between looks, each at one node: nobody has to wait for it, and dead machines answer nothing
TIMEOUT = 2.0


class LookForLost:
    """Of one node. `on_found` is told why this node has to leave."""

    def __init__(
        self,
        pool: Pool,
        clock: Clock,
        rng: random.Random,
        *,
        state: Callable[[], ClusterState],
        on_found: Callable[[PermissionDenied], None],
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._random = rng
        self._state = state
        self._on_found = on_found

    async def run(self) -> None:
        while True:
            await self._clock.sleep(LOOK * self._random.uniform(0.5, 1.5))
            await self.run_once()

    async def run_once(self) -> None:
        """Look at one of them."""
        state = self._state()
        gone = [node for node in sorted(state.members) if state.members[node].state is NodeState.REMOVED]
        if state.branch is None or not gone:
            return
        address = state.members[self._random.choice(gone)].address
        if any(state.members[node].address == address for node in state.current()):
            return  # a node with an empty folder has taken its place
        try:
            await self._pool.call_address(address, m.GetNodeStatus(replicas=False), TIMEOUT)
        except PermissionDenied as error:
            self._on_found(PermissionDenied(f"{address}: {error.message}. It seems that {TWO_RECOVERIES}"))
        except (VectronError, ConnectionLost):
            pass  # as is to be hoped
