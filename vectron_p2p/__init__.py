"""Vectron P2P, a peer-to-peer vector database.

`connect`, `Client`, `AsyncClient` and `errors` are the public names; they are imported when first used, so that
`vectron --help` and importing one sub-package start without numpy and the rest.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vectron_p2p import errors
    from vectron_p2p.client.async_client import AsyncClient
    from vectron_p2p.client.sync_client import Client, connect

__version__ = "0.1.0"
__all__ = ["AsyncClient", "Client", "__version__", "connect", "errors"]

_HOMES = {
    "AsyncClient": "vectron_p2p.client.async_client",
    "Client": "vectron_p2p.client.sync_client",
    "connect": "vectron_p2p.client.sync_client",
}


def __getattr__(name: str) -> Any:
    if name == "errors":
        return importlib.import_module("vectron_p2p.errors")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
