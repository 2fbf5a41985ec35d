"""The flow of a forced recovery: one node, one request."""

from __future__ import annotations

from dataclasses import asdict
from random import Random

import pytest

from vectron_p2p.client.recovery import recover
from vectron_p2p.client.session import Session
from vectron_p2p.client.steps import Call, LinkLost
from vectron_p2p.model.errors import Internal, InvalidArgument, Unavailable
from vectron_p2p.model.ids import Address
from vectron_p2p.model.recovery import HurtShardInfo, RecoveryInfo
from vectron_p2p.protocol import messages


def session(*ports: int) -> Session:
    return Session(
        [Address("h", port) for port in ports], timeout=9.0, now=lambda: 0.0, rng=Random(1), operation_id=lambda: "o"
    )


def test_the_answer_is_handed_on() -> None:
    info = RecoveryInfo(True, 1, 9, ["n2"], ["n1"], [HurtShardInfo("docs", 0, ["n1", "n2"], ["n1"])])
    flow = recover(session(1), force=True, lost=["n2"])
    step = next(flow)
    assert isinstance(step, Call)
    assert (step.address, step.message) == (Address("h", 1), messages.Recover(True, ["n2"]))
    with pytest.raises(StopIteration) as stop:
        flow.send(messages.RecoverReply(asdict(info)))
    assert stop.value.value == info


@pytest.mark.parametrize("sent", [False, True])
def test_it_is_never_asked_of_another_node_or_again(sent: bool) -> None:
    with pytest.raises(InvalidArgument):
        next(recover(session(1, 2), force=True))
    flow = recover(session(1), force=True)
    next(flow)
    with pytest.raises(Unavailable) as caught:
        flow.throw(LinkLost("reset", sent=sent))
    assert caught.value.retryable is not sent
    assert ("unknown" in caught.value.message) is sent


def test_nonsense_is_a_defect() -> None:
    flow = recover(session(1), force=False)
    next(flow)
    with pytest.raises(Internal):
        flow.send(messages.Done())
