"""The client: one sans-IO core (`flows`) and thin shells over it, blocking and asynchronous.

Owns how a user's call becomes requests: checks at the edge, seeds and failover, retries, batching. Must not know the
inside of a node; `embedded` alone starts one in this process. The shells (`blocking`, `sync_*`, `async_*`) move bytes
and sleep, and decide nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vectron_p2p.client.async_client import AsyncClient
    from vectron_p2p.client.async_collection import AsyncCollection
    from vectron_p2p.client.collection import Collection
    from vectron_p2p.client.session import RetryPolicy
    from vectron_p2p.client.sync_client import Client, connect

__all__ = ["AsyncClient", "AsyncCollection", "Client", "Collection", "RetryPolicy", "connect"]

_HOMES = {
    "AsyncClient": "async_client",
    "AsyncCollection": "async_collection",
    "Client": "sync_client",
    "Collection": "collection",
    "RetryPolicy": "session",
    "connect": "sync_client",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"vectron_p2p.client.{home}"), name)
