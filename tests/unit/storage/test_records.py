"""Rows on disk: every bit comes back, or the damage is named."""

from __future__ import annotations

import pytest

from vectron_p2p.model.ids import encode_point_id
from vectron_p2p.storage.kv import Corrupt
from vectron_p2p.storage.records import Row, decode_row, encode_row

VERSION = bytes(range(40))
ROWS = [
    Row(7, VERSION, b"\x00" * 16, b"\x80"),
    Row("id", VERSION, None, None),
    Row("é" * 256, VERSION, b"v", b""),
    Row(2**64 - 1, VERSION, b"", b"payload"),
    Row(0, VERSION, b"", None),
]


@pytest.mark.parametrize("row", ROWS)
def test_a_row_comes_back(row: Row) -> None:
    key = encode_point_id(row.id)
    assert decode_row(key, encode_row(row, key)) == row
    assert row.live == (row.vector is not None)
    shared = decode_row(key, encode_row(row, key), share=True)
    assert shared == row
    assert row.vector is None or isinstance(shared.vector, memoryview)


@pytest.mark.parametrize("row", ROWS)
def test_every_flipped_bit_is_found(row: Row) -> None:
    key = encode_point_id(row.id)
    value = encode_row(row, key)
    for bit in range(8 * len(value)):
        bad = bytearray(value)
        bad[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Corrupt):
            decode_row(key, bytes(bad))


def test_every_cut_is_found() -> None:
    key = encode_point_id(7)
    value = encode_row(ROWS[0], key)
    for size in range(len(value)):
        with pytest.raises(Corrupt):
            decode_row(key, value[:size])
    with pytest.raises(Corrupt):
        decode_row(key, value + b"\x00")


def test_a_value_under_another_key_is_found() -> None:
    value = encode_row(ROWS[0], encode_point_id(7))
    with pytest.raises(Corrupt, match="checksum"):
        decode_row(encode_point_id(8), value)


def test_a_key_that_is_no_id_is_found() -> None:
    with pytest.raises(Corrupt, match="no point id"):
        decode_row(b"\x09x", encode_row(ROWS[0], b"\x09x"))


def test_a_version_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError):
        encode_row(Row(1, b"short", None, None), encode_point_id(1))
