from __future__ import annotations

from typing import Any

import msgpack
import pytest

from vectron_p2p.model import errors
from vectron_p2p.protocol.errors import RemoteProtocolError
from vectron_p2p.protocol.frames import MAX_GREETING
from vectron_p2p.protocol.wire_errors import MAX_TEXT, decode_error, encode_error


@pytest.mark.parametrize(
    "error",
    [
        errors.InvalidArgument("wrong", field="vector", node="n"),
        errors.Overloaded("busy", retry_after=0.25),
        errors.ConsistencyError("few", acked=1, required=2),
        errors.Unavailable("none", missing_shards=[1, 5]),
        errors.VersionConflict("other", current="ab"),
        errors.StaleEpoch("old", epoch=7),
        errors.NotFound("no", retryable=True),
    ],
)
def test_errors_keep_class_and_fields(error: errors.VectronError) -> None:
    back = decode_error(encode_error(error))
    assert type(back) is type(error)
    assert back.to_wire() == error.to_wire()


@pytest.mark.parametrize(
    "wire",
    [
        {"code": "overloaded", "message": 5, "retry_after": "soon", "retryable": "yes", "node": [1], "field": {}},
        {"code": "overloaded", "message": "m", "retry_after": float("nan")},
        {"code": "overloaded", "message": "m", "retry_after": -1},
        {"code": "unavailable", "missing_shards": ["a", 1, None]},
        {"code": "consistency_error", "acked": None, "required": "x"},
        {"code": ["odd"], "message": None},
        {},
        {"code": None},
    ],
)
def test_whatever_the_other_side_sends_the_fields_have_their_types(wire: dict[str, Any]) -> None:
    error = decode_error(msgpack.packb(wire))
    assert isinstance(error.message, str)
    assert isinstance(error.retryable, bool)
    assert error.node is None
    assert error.field is None
    if isinstance(error, errors.Overloaded):
        assert error.retry_after == 0.1
    if isinstance(error, errors.Unavailable):
        assert error.missing_shards == [1]


def test_no_map_is_no_error() -> None:
    for body in (b"", b"\x01", b"\xc1", msgpack.packb([1])):
        with pytest.raises(RemoteProtocolError):
            decode_error(body)


def test_long_and_broken_text_can_still_be_sent() -> None:
    back = decode_error(encode_error(errors.Internal("a\ud800b" + "x" * 100_000)))
    assert back.message.startswith("a?b")
    assert len(back.message) == MAX_TEXT
    assert len(encode_error(errors.Internal("ü" * 5_000, node="ü" * 5_000, field="ü" * 5_000))) < MAX_GREETING
