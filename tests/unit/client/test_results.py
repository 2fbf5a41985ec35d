"""Replies into results."""

from __future__ import annotations

import pickle
from dataclasses import asdict

import numpy as np
import pytest

from tests.unit.client.fake_node import cluster_info, cluster_status, collection_info
from vectron_p2p.client import results
from vectron_p2p.model.errors import Internal
from vectron_p2p.model.points import SearchResult, pack_payload
from vectron_p2p.protocol import messages

SCORES = np.array([0.5, 0.25], "<f4").tobytes()


def hits(**changes: object) -> messages.SearchReply:
    columns = {"ids": [1, "b"], "scores": SCORES, "versions": [b"\x01\xff", b"\x02"], "payloads": [], "vectors": b""}
    return messages.SearchReply([messages.HitList(**{**columns, **changes})], [], 2.5, None)  # type: ignore[arg-type]  # test data


def test_dataclasses_survive_the_wire() -> None:
    assert results.cluster_info(asdict(cluster_info())) == cluster_info()
    assert results.cluster_status(asdict(cluster_status())) == cluster_status()
    assert results.collection_info(asdict(collection_info())) == collection_info()


def test_fields_of_a_newer_node_are_left_out_and_those_of_an_older_one_have_defaults() -> None:
    info = asdict(cluster_info())
    info["colour"] = "blue"
    info["nodes"][0]["colour"] = "blue"
    del info["warnings"]
    assert results.cluster_info(info) == cluster_info()


def test_what_is_missing_without_a_default_is_a_defect() -> None:
    info = asdict(cluster_info())
    del info["epoch"]
    with pytest.raises(Internal, match="epoch"):
        results.cluster_info(info)


def test_hits_without_payload_and_vector() -> None:
    [result] = results.search_results(hits())
    assert [(hit.id, hit.score, hit.payload, hit.vector, hit.version) for hit in result] == [
        (1, 0.5, None, None, "01ff"),
        ("b", 0.25, None, None, "02"),
    ]
    assert (len(result), result[1].id, result.took_ms, result.partial) == (2, "b", 2.5, False)


def test_hits_with_payload_and_vector() -> None:
    vectors = np.array([[1, 2, 3], [4, 5, 6]], "<f4")
    reply = hits(payloads=[pack_payload({"a": 1}), pack_payload(None)], vectors=vectors.tobytes())
    [result] = results.search_results(reply)
    assert [hit.payload for hit in result] == [{"a": 1}, {}]
    assert [hit.vector.tolist() for hit in result if hit.vector is not None] == vectors.tolist()
    assert all(hit.vector is not None and hit.vector.flags.writeable for hit in result)


def test_hits_are_built_when_they_are_looked_at_and_once() -> None:
    [first], [second] = results.search_results(hits()), results.search_results(hits())
    assert first.hits is first.hits
    assert first[0] is first.hits[0]
    assert (first == second, first == SearchResult([]), first == 1) == (True, False, False)
    assert repr(first) == repr(second)
    assert "id='b'" in repr(first)
    assert pickle.loads(pickle.dumps(results.search_results(hits())[0])) == first  # our own bytes
    with pytest.raises(AttributeError):
        first.hits = []  # type: ignore[misc]  # the point


def test_missing_shards_make_a_result_partial() -> None:
    reply = messages.SearchReply([messages.HitList([], b"", [], [], b"")] * 2, [3, 5], 1.0, [{"x": 1}])
    for result in results.search_results(reply):
        assert result.partial
        assert result.missing_shards == [3, 5]
        assert result.plan == [{"x": 1}]
        assert not len(result)


@pytest.mark.parametrize(
    "changes",
    [{"scores": b""}, {"scores": SCORES + b"1"}, {"versions": [b""]}, {"payloads": [b"\x80"]}, {"vectors": b"12345"}],
)
def test_columns_that_do_not_fit_are_a_defect(changes: dict[str, object]) -> None:
    with pytest.raises(Internal):
        results.search_results(hits(**changes))


def test_points_keep_the_order_and_the_gaps() -> None:
    vector = np.array([1.5, 2.5], "<f4").tobytes()
    reply = messages.GetReply([b"\x01", None, b"\x02"], [vector, None, None], [None, None, b"\x80"])
    first, gap, last = results.points([7, 8, "x"], reply)
    assert gap is None
    assert first is not None
    assert last is not None
    assert (first.id, first.payload, first.version) == (7, None, "01")
    assert first.vector is not None
    assert first.vector.tolist() == [1.5, 2.5]
    assert (last.id, last.vector, last.payload) == ("x", None, {})
    with pytest.raises(Internal):
        results.points([7], reply)


def test_pages() -> None:
    page = results.page(messages.ScrollReply([1, 2], [b"a", b"b"], [b"\x80", b"\x80"], b"", "next"))
    assert ([point.id for point in page.points], page.cursor) == ([1, 2], "next")
    assert results.page(messages.ScrollReply([], [], [], b"", None)).points == []
    with pytest.raises(Internal):
        results.page(messages.ScrollReply([1], [], [], b"", None))
