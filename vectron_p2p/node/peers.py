"""How this node reaches owners: itself by a plain call, others through the connection pool; and which to prefer.

Owns no opinion of liveness: it asks membership. Invariant: every failure to reach a peer ends as `Unavailable`, so
that the callers tell "this owner did not answer" from "this owner refused".
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import trio

from vectron_p2p.model.errors import DeadlineExceeded, Unavailable
from vectron_p2p.model.nodes import Liveness
from vectron_p2p.net.interfaces import ConnectionLost
from vectron_p2p.observability import parts

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from vectron_p2p.model.ids import NodeId
    from vectron_p2p.net.pool import Pool
    from vectron_p2p.runtime import Clock


class Peers:
    """Owners by node id."""

    def __init__(
        self,
        me: NodeId,
        pool: Pool,
        clock: Clock,
        *,
        local: Callable[[Any], Awaitable[Any]],
        liveness: Callable[[NodeId], Liveness],
    ) -> None:
        self.me = me
        self._pool = pool
        self._clock = clock
        self._local = local
        self._liveness = liveness
        self._in_flight: Counter[NodeId] = Counter()

    def alive(self, node: NodeId) -> bool:
        """Whether `node` is worth asking: not believed dead."""
        return node == self.me or self._liveness(node) is not Liveness.DEAD

    def prefer(self, owners: Sequence[NodeId]) -> list[NodeId]:
        """`owners` in the order to ask them: this node, then live ones by requests under way, then suspects, then
        dead ones.
        """
        rank = {Liveness.ALIVE: 0, Liveness.SUSPECT: 1, Liveness.DEAD: 2}

        def key(node: NodeId) -> tuple[int, int, str]:
            if node == self.me:
                return (-1, 0, node)
            return (rank[self._liveness(node)], self._in_flight[node], node)

        return sorted(owners, key=key)

    async def call(self, node: NodeId, message: Any, *, timeout: float, bulk: bool = False) -> Any:
        """The reply of `node`.

        Raises:
            VectronError: What it answered; Unavailable when it could not be reached; DeadlineExceeded after `timeout`.
        """
        self._in_flight[node] += 1
        began = self._clock.now()
        try:
            if node == self.me:
                with self._clock.fail_after(timeout):
                    return await self._local(message)
            return await self._pool.call(node, message, timeout=timeout, bulk=bulk)
        except ConnectionLost as error:
            raise Unavailable(f"node {node} did not answer: {error}", node=node) from error
        except trio.TooSlowError as error:
            raise DeadlineExceeded(f"node {node} did not answer within {timeout:.1f} s", node=node) from error
        finally:
            self._in_flight[node] -= 1
            parts.note(node, message, self._clock.now() - began)
