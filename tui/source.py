"""Where the console gets its data: the part of the client that it uses, and how one is opened.

The protocol is narrow on purpose: tests stand in for it with plain objects, and a subscription can replace the polling
behind it without a change to any screen.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from vectron_p2p.model.collections import CollectionInfo
    from vectron_p2p.model.nodes import ClusterInfo, ClusterStatus


class ClusterSource(Protocol):
    """One open connection to one node of the cluster."""

    async def status(self) -> ClusterStatus:
        """Live figures of every node, as the answering node has them."""
        ...

    async def cluster(self) -> ClusterInfo:
        """Members, placement and the figures of every replica."""
        ...

    async def list_collections(self) -> list[CollectionInfo]: ...


Opener: TypeAlias = Callable[[str], AbstractAsyncContextManager[ClusterSource]]
"""Opens a source on one `HOST:PORT`."""


def client_opener(timeout_s: float) -> Opener:
    """An opener of real clients.

    Each gets one address only: the console itself chooses the peer, so that it always knows, and says, who answers.
    """
    from vectron_p2p.client.async_client import AsyncClient  # late: tests of the console need no client

    def open_source(address: str) -> AbstractAsyncContextManager[ClusterSource]:
        return AsyncClient(address, timeout=timeout_s)

    return open_source
