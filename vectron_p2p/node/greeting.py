"""Greetings between nodes, and who is turned away at them.

Invariant: nobody who was removed, or shows a state older than was seen of it (a restored or copied folder, PROTOCOLS
§1.4), gets further than this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vectron_p2p import __version__
from vectron_p2p.model.errors import InvalidArgument, PermissionDenied
from vectron_p2p.model.ids import NodeId
from vectron_p2p.model.nodes import NodeState
from vectron_p2p.protocol import messages as m
from vectron_p2p.protocol.connection import PROTOCOL_VERSIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from vectron_p2p.model.ids import Address
    from vectron_p2p.net.pool import Pool
    from vectron_p2p.node.catalog import Catalog
    from vectron_p2p.node.identity import Identity

MAX_NODES = 64  # told to a client: enough to fail over to, and the greeting stays in one frame


class Greeting:
    """Of one node."""

    def __init__(
        self,
        identity: Identity,
        catalog: Catalog,
        pool: Pool,
        *,
        resolve: Callable[[NodeId], Address | None],
        now: Callable[[], float],
    ) -> None:
        self._identity = identity
        self._resolve = resolve
        self._now = now
        self._catalog = catalog
        self._pool = pool

    def hello(self) -> m.Hello:
        """What this node shows to peers that it calls."""
        state = self._catalog.state
        return m.Hello(
            versions=list(PROTOCOL_VERSIONS),
            role="peer",
            cluster=state.cluster,
            node=self._identity.node,
            counter=self._identity.first,
            boot=self._identity.boot,
            generation=state.generation,
            epoch=state.epoch,
            lives=self._identity.lives,
        )

    def welcome(self, hello: m.Hello) -> m.Welcome:
        """The answer to a caller.

        Raises:
            InvalidArgument: It means another cluster.
            PermissionDenied: It has to start anew.
        """
        state = self._catalog.state
        if hello.cluster is not None and hello.cluster != state.cluster:
            raise InvalidArgument(f"this node belongs to cluster {state.cluster}, not {hello.cluster}", field="cluster")
        if hello.role == "peer" and hello.node is not None:
            self._admit(NodeId(hello.node), hello)
        return m.Welcome(
            version=PROTOCOL_VERSIONS[-1],
            cluster=state.cluster,
            node=self._identity.node,
            name=self._identity.name,
            generation=state.generation,
            epoch=state.epoch,
            software=__version__,
            nodes=self._serving() if hello.role == "client" else [],
            now=self._now() if hello.role == "client" else 0.0,
        )

    def _serving(self) -> list[str]:
        """Where clients may go when this node fails them; whom it holds for dead is not left out: it may be wrong."""
        state = self._catalog.state
        nodes = [
            node for node in state.current() if state.members[node].state in (NodeState.ACTIVE, NodeState.DRAINING)
        ]
        return [str(self._resolve(node) or state.members[node].address) for node in nodes[:MAX_NODES]]

    def _admit(self, peer: NodeId, hello: m.Hello) -> None:
        state = self._catalog.state
        member = state.members.get(peer)
        if hello.epoch and hello.generation != state.generation:
            self._catalog.observe(peer, hello.generation, hello.epoch, None)  # even of one that is turned away
        if member is not None and member.state in (NodeState.LEFT, NodeState.REMOVED):
            verb = "has left" if member.state is NodeState.LEFT else "was removed from"
            raise PermissionDenied(f"node {peer} {verb} this cluster; start it with an empty folder", node=peer)
        copied = peer == self._identity.node and hello.boot != self._identity.boot
        if copied or self._identity.rolled_back(peer, hello.boot, hello.counter, hello.lives):
            raise PermissionDenied(
                f"node {peer} shows an older state than the cluster has seen of it: its folder was restored or copied; "
                "start it with an empty folder, it joins as a new node",
                node=peer,
            )
        if member is not None and self._identity.greeted_by(peer, hello.boot, hello.counter):
            self._pool.drop(peer)  # connections to its former life, which may be dead without a word
        if hello.epoch:
            self._catalog.observe(peer, hello.generation, hello.epoch, None)
