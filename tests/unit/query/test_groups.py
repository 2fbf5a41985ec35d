"""Groups out of hits: their order, which are full, what is searched for next."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vectron_p2p.model.errors import InvalidArgument
from vectron_p2p.model.points import pack_payload
from vectron_p2p.query.filters import Outside, groups_at, matches, parse_filter
from vectron_p2p.query.groups import Groups, narrowed
from vectron_p2p.query.merge import Scored
from vectron_p2p.query.recommend import recommend


def hit(n: int, doc: Any) -> Scored:
    return Scored(n, float(n), b"v", pack_payload({"doc": doc}))


def result(groups: Groups) -> list[tuple[Any, list[Any]]]:
    return [(group.value, [hit.id for hit in group.hits]) for group in groups.result()]


def test_a_search_that_found_everything_fills_all_groups() -> None:
    groups = Groups("doc", 2, 2, "l2")
    assert groups.discover([hit(1, "a"), hit(2, "a"), hit(3, "b"), hit(4, "a"), hit(5, "c")], everything=True)
    groups.choose()
    assert groups.open == []
    assert result(groups) == [("a", [1, 2]), ("b", [3])]


def test_what_was_cut_off_is_open_unless_the_group_is_full() -> None:
    groups = Groups("doc", 3, 2, "l2")
    assert groups.discover([hit(1, "a"), hit(2, "a"), hit(3, "b")], everything=False)
    assert groups.open == ["b"]
    assert groups.discover([hit(4, ["c", "a"]), hit(6, "c"), hit(7, "c")], everything=True)
    groups.choose()
    assert groups.open == ["b", "c"]  # 5 may be in a and c both: later searches left it out
    groups.fill(["b", "c"], [hit(3, "b"), hit(4, ["c", "a"]), hit(5, ["a", "c"])], everything=False)
    assert groups.open == ["b"]
    groups.fill(["b"], [hit(3, "b")], everything=True)
    assert result(groups) == [("a", [1, 2]), ("b", [3]), ("c", [4, 5])]


def test_a_search_that_brings_no_group_says_so() -> None:
    groups = Groups("doc", 3, 1, "l2")
    assert groups.discover([hit(1, "a")], everything=False)
    assert not groups.discover([hit(2, "a"), hit(3, None)], everything=False)


def test_a_group_whose_points_are_gone_is_left_out_and_the_order_follows_the_hits() -> None:
    groups = Groups("doc", 3, 2, "l2")
    groups.discover([hit(1, "a"), hit(2, "b"), hit(3, "c")], everything=False)
    groups.fill(["a", "b", "c"], [hit(2, "c"), hit(4, "b"), hit(5, "b")], everything=True)
    assert result(groups) == [("c", [2]), ("b", [4, 5])]


@pytest.mark.parametrize(
    ("doc", "expected"),
    [
        ("a", ["a"]), (1, [1]), (True, [True]), (None, []), ({"x": 1}, []), ([], []), (float("nan"), []),
        (["a", "b", "a"], ["a", "b"]), ([1, 1.0, True], [1, True]), ([None, {"x": 1}, ["deep"], 2], [2]),
    ],
)  # fmt: skip
def test_what_a_group_is(doc: Any, expected: list[Any]) -> None:
    found = groups_at("doc")({"doc": doc})
    assert found == expected
    assert [type(value) for value in found] == [type(value) for value in expected]
    assert groups_at("in.doc")({"in": [{"doc": doc}]}) == expected
    assert matches(Outside("doc", ("b", 2)), {"doc": doc}) == bool(set(expected) - {"b", 2})


def test_the_widest_filter_of_a_client_can_be_narrowed() -> None:
    deepest: dict[str, Any] = {"a": 1}
    for _ in range(14):
        deepest = {"$not": deepest}
    for filter in (deepest, {"$and": [{"a": 1}] * 499}, None):
        parse_filter(filter)
        for wrapped in (narrowed(filter, "doc", among=["x", 1]), narrowed(filter, "doc", besides=["x", True])):
            parse_filter(wrapped, between_nodes=True)
    with pytest.raises(InvalidArgument):
        parse_filter(narrowed(None, "doc", besides=["x"]))


def test_the_query_of_examples() -> None:
    positive, negative = np.array([[2, 0], [0, 4]], np.float32), np.array([[0, 2]], np.float32)
    nothing = positive[:0]
    assert np.frombuffer(recommend(positive, nothing, "l2"), "<f4").tolist() == [1, 2]
    assert np.frombuffer(recommend(positive, negative, "dot"), "<f4").tolist() == [2, 2]
    assert np.frombuffer(recommend(positive, negative, "cosine"), "<f4").tolist() == [1, 0]
    with pytest.raises(InvalidArgument) as caught:
        recommend(np.array([[1, 0], [-1, 0]], np.float32), nothing, "cosine")
    assert caught.value.field == "positive"
