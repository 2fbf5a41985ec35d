"""Hits of many queries in one list: the results are those of a list for each."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vectron_p2p.client import results
from vectron_p2p.model.errors import Internal
from vectron_p2p.model.points import pack_payload
from vectron_p2p.node.hit_lists import together
from vectron_p2p.protocol import messages as m
from vectron_p2p.protocol.registry import decode, encode


@st.composite
def replies(draw: st.DrawFn) -> m.SearchReply:
    with_payload, dimension = draw(st.booleans()), draw(st.sampled_from([0, 3]))
    lists = []
    for size in draw(st.lists(st.integers(0, 4), min_size=2, max_size=6)):
        ids: list[int | str] = draw(st.lists(st.integers(0, 9) | st.sampled_from("ab"), min_size=size, max_size=size))
        numbers = np.arange(size * max(1, dimension), dtype="<f4")
        lists.append(
            m.HitList(
                ids=ids,
                scores=numbers[:size].tobytes(),
                versions=[bytes([number]) for number in range(size)],
                payloads=[pack_payload({"n": number}) for number in range(size)] if with_payload else [],
                vectors=numbers.tobytes() if dimension else b"",
            )
        )
    return m.SearchReply(lists, draw(st.sampled_from([[], [2]])), 1.5, None)


@given(replies())
def test_results_are_the_same(reply: m.SearchReply) -> None:
    apart = results.search_results(reply)
    whole = results.search_results(decode(encode(together(reply))))
    assert [repr(result) for result in whole] == [repr(result) for result in apart]  # vectors are arrays


@pytest.mark.parametrize("sizes", [[1, 2], [3, -1], [3], [1, 1, 1]])
def test_sizes_that_do_not_fit_are_a_defect(sizes: list[int]) -> None:
    reply = together(m.SearchReply([m.HitList([1], bytes(4), [b"1"], [], b"")] * 2, [], 1.0, None))
    assert [len(result.hits) for result in results.search_results(reply)] == [1, 1]
    reply.sizes = sizes
    with pytest.raises(Internal):
        results.search_results(reply)


def test_one_result_is_pickled_without_the_others() -> None:
    reply = together(m.SearchReply([m.HitList([1], bytes(4), [b"1"], [], bytes(8))] * 1000, [], 1.0, None))
    result = results.search_results(reply)[7]
    pickled = pickle.dumps(result)
    assert len(pickled) < 1000
    assert repr(pickle.loads(pickled)) == repr(result)  # our own bytes
