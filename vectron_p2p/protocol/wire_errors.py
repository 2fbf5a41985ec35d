"""Errors as bodies of ERROR frames.

Invariant: an error read from the wire has the types its class promises, whatever the other side sent.
"""

from __future__ import annotations

from typing import Any

import msgpack

from vectron_p2p.model.errors import VectronError, from_wire
from vectron_p2p.protocol.errors import RemoteProtocolError
from vectron_p2p.protocol.registry import unpack

MAX_TEXT = 2000  # bytes of a message: some sentences; with the rest it also fits a greeting
MAX_MISSING = 256  # the shards of the largest collection
MAX_FAILED = 100  # ids of up to 512 bytes: enough to act on, and within one frame


def encode_error(error: VectronError) -> bytes:
    wire = error.to_wire()
    wire["message"] = _text(wire["message"], MAX_TEXT)
    return bytes(msgpack.packb(_clean(wire)))


def decode_error(body: bytes) -> VectronError:
    """The error of an ERROR frame.

    Raises:
        RemoteProtocolError: The body is no map. Fields of wrong types are left out.
    """
    wire = unpack(body)
    if type(wire) is not dict:
        raise RemoteProtocolError("an error is a map")
    return from_wire(_clean(wire))


def _text(value: Any, limit: int) -> str:
    # A lone surrogate (from a file name, say) must not make the error itself impossible to send.
    return str(value)[:limit].encode("utf-8", "replace")[:limit].decode("utf-8", "ignore")


def _clean(wire: dict[Any, Any]) -> dict[str, Any]:
    clean: dict[str, Any] = {"code": _text(wire.get("code"), 100), "message": _text(wire.get("message", ""), MAX_TEXT)}
    for name in ("node", "field", "current", "trace"):
        if isinstance(wire.get(name), str):
            clean[name] = _text(wire[name], 200)
    if type(wire.get("retryable")) is bool:
        clean["retryable"] = wire["retryable"]
    retry_after = wire.get("retry_after")
    if isinstance(retry_after, int | float) and 0 <= retry_after <= 3600:
        clean["retry_after"] = float(retry_after)
    for name in ("acked", "required", "epoch"):
        if type(wire.get(name)) is int:
            clean[name] = wire[name]
    missing = wire.get("missing_shards")
    if type(missing) is list:
        clean["missing_shards"] = [shard for shard in missing if type(shard) is int][:MAX_MISSING]
    failed = wire.get("failed")
    if type(failed) is list and failed:
        clean["failed"] = [point for point in failed if type(point) in (int, str)][:MAX_FAILED]
    return clean
