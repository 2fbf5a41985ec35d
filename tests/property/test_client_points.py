"""Whatever users hand in becomes sound requests or an InvalidArgument."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vectron_p2p.client.batches import check_upload, cut
from vectron_p2p.client.points import columns, upserts
from vectron_p2p.client.requests import check_filter
from vectron_p2p.model.errors import InvalidArgument
from vectron_p2p.model.points import unpack_payload
from vectron_p2p.protocol.messages import Count
from vectron_p2p.protocol.registry import decode, encode

IDS = st.one_of(st.integers(0, 2**64 - 1), st.text(min_size=1, max_size=20).filter(lambda text: text.isprintable()))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
PAYLOADS = st.none() | st.dictionaries(st.text(max_size=5), VALUES, max_size=3)
FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
ROWS = st.integers(1, 5).flatmap(
    lambda dimension: st.lists(
        st.tuples(IDS, st.lists(FLOATS, min_size=dimension, max_size=dimension), PAYLOADS), max_size=20
    )
)
ANYTHING: Any = st.recursive(
    st.sampled_from([None, True, 0, -1, 2**64, 1.5, float("nan"), float("inf"), 1e39, "", "a", "\ud800", b"x", 1j]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "vector", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(rows=ROWS)
def test_rows_arrive_as_written(rows: list[Any]) -> None:
    written = {row[0]: row for row in rows}
    sent: dict[Any, Any] = {}
    for request in upserts("docs", columns(rows, None, None, None), consistency="one", operation_id="op"):
        request = decode(encode(request))
        vectors = np.frombuffer(request.vectors, "<f4").reshape(len(request.ids), request.dimension)
        for point_id, vector, payload in zip(request.ids, vectors, request.payloads, strict=True):
            assert point_id not in sent
            sent[point_id] = vector.tolist(), unpack_payload(payload)
    assert sent == {point_id: (vector, payload or {}) for point_id, vector, payload in written.values()}


@given(points=ANYTHING, ids=ANYTHING, vectors=ANYTHING, payloads=ANYTHING)
def test_anything_else_is_refused_by_name(points: Any, ids: Any, vectors: Any, payloads: Any) -> None:
    fields: list[str | None] = []
    for arguments in ((points, None, None, None), (None, ids, vectors, payloads), ([points], None, None, None)):
        try:
            data = columns(*arguments)
        except InvalidArgument as refused:
            fields.append(refused.field)
        else:
            for request in upserts("docs", data, consistency="one", operation_id="op"):
                encode(request)
    assert None not in fields


def assert_named(error: InvalidArgument, field: str) -> None:
    assert error.field == field


@given(where=ANYTHING)
def test_a_filter_that_is_taken_can_be_sent(where: Any) -> None:
    try:
        checked = check_filter(where)
    except InvalidArgument as refused:
        assert_named(refused, "filter")
    else:
        assert decode(encode(Count("docs", checked))) == Count("docs", checked) or "nan" in repr(checked)


@given(rows=ROWS, size=st.integers(1, 7), bad=st.sets(st.integers(0, 19)))
def test_an_upload_sends_each_good_row_once_and_names_each_bad_one(rows: list[Any], size: int, bad: set[int]) -> None:
    source = [("" if index in bad else index, row[1], row[2]) for index, row in enumerate(rows)]
    found = list(cut(iter(source), check_upload(size, 4, "collect")))
    sent = [point_id for batch in found if batch.data is not None for point_id in batch.data.ids]
    refused = [error["rows"] for batch in found for error in batch.errors]
    assert sent == [index for index in range(len(rows)) if index not in bad]
    assert refused == [[index, index + 1] for index in range(len(rows)) if index in bad]
    assert [(batch.start, batch.stop) for batch in found] == [
        (start, min(start + size, len(rows))) for start in range(0, len(rows), size)
    ]
