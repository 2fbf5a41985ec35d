"""The body of a request: its timeout and its trace, then its message."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from vectron_p2p.protocol.errors import RemoteProtocolError
from vectron_p2p.protocol.events import Request
from vectron_p2p.protocol.frames import PREFIX
from vectron_p2p.protocol.registry import decode, encode

if TYPE_CHECKING:
    from vectron_p2p.protocol.patterns import Patterns

MAX_TIMEOUT_MS = 2**32 - 1


def pack_request(message: Any, timeout: float | None, trace: int) -> bytes:
    """`timeout`: seconds; None or inf: for ever."""
    return PREFIX.pack(milliseconds(timeout), trace) + encode(message)


def milliseconds(timeout: float | None) -> int:
    """What a request says of its timeout."""
    if timeout is None or math.isinf(timeout):
        return 0
    return min(max(math.ceil(timeout * 1000), 1), MAX_TIMEOUT_MS)


def read_request(request_id: int, body: bytes, patterns: Patterns | None) -> Request:
    """Inverse of `pack_request`. A request is learnt by `patterns`, and known by them from then on.

    Raises:
        RemoteProtocolError: It is none.
    """
    size = len(body) - PREFIX.size
    if size < 0:
        raise RemoteProtocolError("a request begins with its timeout and its trace")
    wait, trace = PREFIX.unpack_from(body)
    timeout = wait / 1000 if wait else None
    if patterns is not None and (found := patterns.find(body, PREFIX.size)) is not None:
        return Request(request_id, None, timeout, size, trace, *found)
    message = decode(memoryview(body)[PREFIX.size :])
    if patterns is not None:
        patterns.learn(body, PREFIX.size, message)
    return Request(request_id, message, timeout, size, trace)
