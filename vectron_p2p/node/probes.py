"""What a node serves over HTTP: /healthz, /readyz and /metrics, from the moment its process starts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from vectron_p2p.net.http import HttpServer, Response
from vectron_p2p.node.metrics import scrape
from vectron_p2p.node.readiness import not_ready
from vectron_p2p.observability.exposition import CONTENT_TYPE, render

if TYPE_CHECKING:
    from vectron_p2p.model.ids import Address
    from vectron_p2p.node.node import Node
    from vectron_p2p.runtime import Clock

JSON = "application/json"


class Probes:
    """Of one node."""

    def __init__(self, node: Node) -> None:
        self._node = node

    async def open(self, address: Address, clock: Clock) -> HttpServer:
        """Raises OSError when `address` cannot be listened on."""
        return await HttpServer.open(address, clock, self.answer)

    async def answer(self, path: str) -> Response:
        """The response to a GET."""
        match path:
            case "/healthz":
                # Written by the event loop itself: one that hangs says nothing, and the probe's timeout says the rest.
                return Response(200, '{"status": "ok"}\n', JSON)
            case "/readyz":
                reasons = not_ready(self._node)
                body = json.dumps({"ready": not reasons, "reasons": reasons})
                return Response(503 if reasons else 200, f"{body}\n", JSON)
            case "/metrics":
                return Response(200, render(await scrape(self._node)), CONTENT_TYPE)
        return Response(404, "there are /healthz, /readyz and /metrics\n")
