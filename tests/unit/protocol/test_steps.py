"""A large message is encoded in steps, to the same bytes."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from vectron_p2p.protocol import messages as m
from vectron_p2p.protocol.errors import LocalProtocolError
from vectron_p2p.protocol.registry import STEP_BYTES, Encoded, decode, encode, is_large, steps


def statistics(replicas: int) -> dict[str, Any]:
    return {
        "at": 1.5,
        "nodes": [{"node": f"n{n}", "peers": [{"node": "n1"}]} for n in range(3)],
        "queues": {"read": 0},
        "replicas": [{"collection": "docs", "shard": n, "node": "n1", "points": 1000} for n in range(replicas)],
        "collections": [],
    }


def run(message: Any) -> tuple[Encoded, int]:
    work, count = steps(message), 0
    while True:
        try:
            next(work)
        except StopIteration as done:
            return done.value, count
        count += 1


@pytest.mark.parametrize("replicas", [0, 1, 5_000])
def test_the_bytes_are_those_of_one_step(replicas: int) -> None:
    found = statistics(replicas)
    whole = encode(m.StatisticsReply(copy.deepcopy(found)))
    message = m.StatisticsReply(found)
    assert is_large(message)
    encoded, count = run(message)
    assert encode(encoded) == whole
    assert decode(encoded.data) == m.StatisticsReply(statistics(replicas))
    assert count == pytest.approx(len(whole) // STEP_BYTES, abs=1)
    assert found["replicas"] == []  # it is used up


def test_other_messages_are_encoded_at_once() -> None:
    assert not is_large(m.GetStatistics(True))
    assert not is_large(None)
    assert not is_large(Encoded(b""))


def test_what_cannot_be_carried_is_said() -> None:
    with pytest.raises(LocalProtocolError, match="StatisticsReply cannot be sent"):
        run(m.StatisticsReply({"replicas": [object()]}))
