"""The world outside of a simulated cluster: what was posted to it and what programs were run, and where that fails."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from vectron_p2p.net.outlet import NotDelivered


@dataclass(frozen=True, slots=True)
class Delivered:
    """`where`: a URL or a program's path."""

    host: str
    where: str
    body: dict[str, Any]
    headers: dict[str, str]


@dataclass(slots=True)
class Outside:
    """`cut_off`: hosts that reach nothing outside. `lost`: answers that get lost after what was sent has arrived."""

    delivered: list[Delivered] = field(default_factory=list)
    cut_off: set[str] = field(default_factory=set)
    lost: int = 0

    def outlet(self, host: str) -> SimOutlet:
        return SimOutlet(self, host)


class SimOutlet:
    """`Outlet` of a simulated host."""

    def __init__(self, outside: Outside, host: str) -> None:
        self._outside = outside
        self._host = host

    def post(self, url: str, body: bytes, headers: dict[str, str]) -> None:
        self._deliver(url, body, headers)

    def run(self, command: str, body: bytes) -> None:
        self._deliver(command, body, {})

    def _deliver(self, where: str, body: bytes, headers: dict[str, str]) -> None:
        outside = self._outside
        if self._host in outside.cut_off:
            raise NotDelivered(f"{where} cannot be reached")
        outside.delivered.append(Delivered(self._host, where, json.loads(body), headers))
        if outside.lost:
            outside.lost -= 1
            raise NotDelivered("the answer was lost")
