"""The way out of the cluster: posting to a URL, handing something to a program. Blocking calls, for a thread.

Follows no redirect and reads no body: what a receiver answers decides nothing but whether it took what was sent.
"""

from __future__ import annotations

import contextlib
import subprocess
from typing import Protocol
from urllib.parse import urlsplit

TIMEOUT = 5.0  # for each step; receivers queue, they do not work while one waits


class NotDelivered(Exception):
    """What was sent was not taken, or it is unknown whether it was."""


class Outlet(Protocol):
    def post(self, url: str, body: bytes, headers: dict[str, str]) -> None:
        """Raises:
        NotDelivered: No answer that says yes.
        """
        ...

    def run(self, command: str, body: bytes) -> None:
        """`command`, a program's path, with `body` on stdin.

        Raises:
            NotDelivered: It could not be run, or failed.
        """
        ...


class RealOutlet:
    """Of this machine."""

    def post(self, url: str, body: bytes, headers: dict[str, str]) -> None:
        # Here, as few nodes post anything: it imports 30 modules, 2 MB and 30 ms of a start.
        from http.client import HTTPConnection, HTTPException, HTTPSConnection

        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise NotDelivered(f"{url} is neither http nor https")
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            with contextlib.closing(kind(parts.hostname, parts.port, timeout=TIMEOUT)) as connection:
                connection.request("POST", path, body, {"Content-Type": "application/json", **headers})
                status = connection.getresponse().status
        except (OSError, HTTPException, ValueError) as error:
            raise NotDelivered(f"{parts.hostname}: {error}") from error
        if not 200 <= status < 300:
            raise NotDelivered(f"{parts.hostname} answered {status}")

    def run(self, command: str, body: bytes) -> None:
        try:
            ended = subprocess.run(
                [command], input=body, timeout=2 * TIMEOUT, check=False, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError) as error:
            raise NotDelivered(f"{command}: {error}") from error
        if ended.returncode:
            raise NotDelivered(f"{command} ended with {ended.returncode}")
