"""A node in this process, as transports of both clients.

The only file of the client that knows a node, and it imports it when one is started: a client of a remote cluster loads
neither storage nor index.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio.to_thread

from vectron_p2p.client.targets import MEMORY

if TYPE_CHECKING:
    from pathlib import Path

    from vectron_p2p.client.blocking import Exchange
    from vectron_p2p.client.steps import Call
    from vectron_p2p.node.embedded import EmbeddedNode


def start(path: Path | None) -> EmbeddedNode:
    """Starts a node on the folder `path`, or in memory."""
    from vectron_p2p.node.embedded import EmbeddedNode

    return EmbeddedNode(MEMORY if path is None else path)


class EmbeddedTransport:
    """For the blocking client."""

    def __init__(self, path: Path | None) -> None:
        self._node = start(path)

    def exchange(self, step: Call) -> Exchange:
        """Nothing is written or read that could be done meanwhile: the node is asked when its answer is wanted."""
        yield
        return self._node.call(step.message, step.timeout, step.trace)

    def close(self) -> None:
        self._node.close()


class AsyncEmbeddedTransport:
    """For the asynchronous client; starting and stopping wait on a thread."""

    def __init__(self, node: EmbeddedNode) -> None:
        self._node = node

    @classmethod
    async def open(cls, path: Path | None) -> AsyncEmbeddedTransport:
        return cls(await anyio.to_thread.run_sync(start, path))

    async def call(self, step: Call) -> Any:
        return await self._node.acall(step.message, step.timeout, step.trace)

    async def aclose(self) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._node.close)
