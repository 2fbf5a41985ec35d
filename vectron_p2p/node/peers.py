"""How this node reaches owners: itself by a plain call, others through the connection pool; and which to prefer.

Owns what was learned of each peer from calls (`traffic`); of who is alive it asks membership. Breakers and late answers
change the order in which owners are asked, and end calls that nobody needs (`optional`) at once; a call that an answer
depends on is made in any case, so that no quorum fails that could be had.

Invariants: every failure to reach a peer ends as `Unavailable`, so that callers tell "this owner did not answer" from
"this owner refused"; what a peer answered, errors too, is no failure of the peer.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import trio

from vectron_p2p.model.errors import DeadlineExceeded, Unavailable, VectronError
from vectron_p2p.model.nodes import Liveness
from vectron_p2p.model.traffic import PeerFigures, RoundTripFigures
from vectron_p2p.net.interfaces import ConnectionLost
from vectron_p2p.net.pool import Unreachable
from vectron_p2p.observability import parts
from vectron_p2p.protocol import messages as m
from vectron_p2p.traffic.peer_health import PeerHealth, Standing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from vectron_p2p.model.ids import NodeId
    from vectron_p2p.net.pool import Pool
    from vectron_p2p.runtime import Clock

KINDS = {m.SearchShards: "search", m.FetchRows: "read", m.ApplyRows: "write", m.Prepare: "write"}
OTHER = "other"  # kind of all other calls: counts and pages that are read as wholes, copies, figures
UNHEARD_S = 2.0  # unanswered for so long, and nothing heard: a link pings who owes an answer within 1.5 s
HUNG_S = 4.0  # unanswered for so long, although the peer speaks: no healthy disk takes longer (`phase_timeout`)
PONG_S = 0.5  # in which a living peer answers a ping: no loop of a node is blocked as long


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
        self._health: defaultdict[NodeId, PeerHealth] = defaultdict(PeerHealth)

    # --- whom to ask --------------------------------------------------------------------------------------------------

    def alive(self, node: NodeId) -> bool:
        """Whether `node` is worth asking: not believed dead."""
        return node == self.me or self._liveness(node) is not Liveness.DEAD

    def ready(self, node: NodeId) -> bool:
        """Whether `node` is worth asking when others would do: alive, and its breaker lets calls through."""
        if node == self.me:
            return True
        return self.alive(node) and self._health[node].breaker.ready(self._clock.now())

    def prefer(self, owners: Sequence[NodeId]) -> list[NodeId]:
        """`owners` in the order to ask them: this node, then live ones by requests under way, then those whose answers
        are late, then suspects, then those whose breaker is open, then dead ones.
        """
        now = self._clock.now()

        def key(node: NodeId) -> tuple[int, int, str]:
            if node == self.me:
                return (-1, 0, node)
            return (self._rank(node, now), self._in_flight[node], node)

        return sorted(owners, key=key)

    def _rank(self, node: NodeId, now: float) -> int:
        liveness = self._liveness(node)
        if liveness is Liveness.DEAD:
            return 4
        standing = self._health[node].standing(now)
        if standing is Standing.OPEN:
            return 3
        return 2 if liveness is Liveness.SUSPECT else int(standing)

    # --- what is learned of them --------------------------------------------------------------------------------------

    def timeout(self, node: NodeId, kind: str) -> float:
        """Seconds in which `node` answers such a call as a rule; 0: not known."""
        return self._health[node].round_trip(kind).timeout

    def late(self, node: NodeId) -> None:
        """An answer of `node` has not come in its time: others are asked first for a while."""
        if node != self.me:
            self._health[node].late(self._clock.now())

    async def silent(self, node: NodeId) -> bool:
        """Whether `node`, asked for a sign of life, gives none."""
        if node == self.me:
            return False
        asked = self._clock.now()
        self._pool.ping(node)
        await self._clock.sleep(PONG_S)
        return self._pool.heard(node) < asked

    def broken(self, node: NodeId, silent: bool) -> None:
        """A connection to `node` broke or could not be made."""
        self._health[node].breaker.failed(self._clock.now(), silent=silent)

    def seen(self, node: NodeId) -> None:
        """Membership sees `node` alive again."""
        self._health[node].breaker.seen(self._clock.now())

    def forget(self, node: NodeId) -> None:
        """It is no member any more."""
        self._health.pop(node, None)

    def figures(self) -> list[PeerFigures]:
        """All peers that were called, by node id."""
        now = self._clock.now()
        return [
            PeerFigures(
                node=node,
                breaker=health.breaker.state.value,
                slow=health.standing(now) is Standing.SLOW,
                failures=health.breaker.failures,
                opens=health.breaker.opens,
                late=health.late_answers,
                refused=health.refused,
                round_trips={
                    kind: RoundTripFigures(trip.mean * 1000, trip.timeout * 1000, trip.samples)
                    for kind, trip in sorted(health.round_trips.items())
                },
            )
            for node, health in sorted(self._health.items())
            if node != self.me
        ]

    # --- calls --------------------------------------------------------------------------------------------------------

    async def call(
        self, node: NodeId, message: Any, *, timeout: float, bulk: bool = False, optional: bool = False
    ) -> Any:
        """The reply of `node`. One that is `optional` is not asked for while the breaker of `node` is open.

        Raises:
            VectronError: What it answered; Unavailable when it could not be reached; DeadlineExceeded after `timeout`.
        """
        if node == self.me:
            return await self._call_self(message, timeout)
        health = self._health[node]
        began = self._clock.now()
        admission = health.breaker.begin(began)
        if optional and not admission.wanted:
            health.refused += 1
            raise Unreachable(f"node {node} failed its last calls and is not asked for a moment", node=node)
        trip = health.round_trip(KINDS.get(type(message), OTHER))
        given_up = True
        self._in_flight[node] += 1
        try:
            reply = await self._pool.call(node, message, timeout=timeout, bulk=bulk)
        except ConnectionLost as error:  # `broken` counts it: once for all the calls on a connection
            given_up = False
            raise Unavailable(f"node {node} did not answer: {error}", node=node) from error
        except Unreachable:
            given_up = False
            raise
        except DeadlineExceeded:
            now = self._clock.now()
            if now - began >= HUNG_S or (now - began >= UNHEARD_S and self._pool.heard(node) <= began):
                health.breaker.failed(now)
            raise
        except VectronError:
            given_up = False
            health.breaker.answered()
            raise
        else:
            given_up = False
            trip.took(self._clock.now() - began)
            health.breaker.answered()
            return reply
        finally:
            now = self._clock.now()
            if given_up:
                trip.took_longer(now - began)
            health.breaker.probed(admission, now)
            self._in_flight[node] -= 1
            parts.note(node, message, now - began)

    async def _call_self(self, message: Any, timeout: float) -> Any:
        trip = self._health[self.me].round_trip(KINDS.get(type(message), OTHER))
        began = self._clock.now()
        try:
            with self._clock.fail_after(timeout):
                reply = await self._local(message)
        except trio.TooSlowError as error:
            raise DeadlineExceeded(f"node {self.me} did not answer within {timeout:.1f} s", node=self.me) from error
        took = self._clock.now() - began
        trip.took(took)
        parts.note(self.me, message, took)
        return reply
