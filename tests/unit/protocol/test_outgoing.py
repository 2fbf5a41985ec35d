from __future__ import annotations

from vectron_p2p.protocol.frames import MAX_BODY, MAX_REASSEMBLY, Frame, FrameReader, Kind
from vectron_p2p.protocol.outgoing import BATCH, Outgoing


def frames(data: bytes) -> list[Frame]:
    reader = FrameReader()
    reader.limit = MAX_BODY
    reader.feed(data)
    found = []
    while (frame := reader.next_frame()) is not None:
        found.append(frame)
    assert reader.held == 0
    return found


def everything(out: Outgoing) -> list[Frame]:
    found = []
    while data := out.take():
        found += frames(data)
    return found


def test_small_messages_leave_together_in_order() -> None:
    out = Outgoing()
    for number in range(50):
        out.add(Kind.REQUEST, number, b"x" * number)
    taken = frames(out.take())
    assert [frame.id for frame in taken] == list(range(50))
    assert out.take() == b""
    assert out.pending == 0


def test_a_write_is_bounded() -> None:
    out = Outgoing()
    for number in range(10):
        out.add(Kind.RESPONSE, number, bytes(100_000))
    first = out.take()
    assert len(first) < BATCH + 110_000
    assert [frame.id for frame in frames(first)] + [frame.id for frame in everything(out)] == list(range(10))


def test_small_messages_overtake_large_ones_which_take_turns() -> None:
    out = Outgoing()
    out.add(Kind.REQUEST, 1, bytes(3 * MAX_BODY))
    out.add(Kind.REQUEST, 2, bytes(2 * MAX_BODY + 1))
    out.add(Kind.REQUEST, 3, b"small")
    order = [(frame.id, frame.more) for frame in everything(out)]
    assert order == [(3, False), (1, True), (2, True), (1, True), (2, True), (1, False), (2, False)]
    assert out.pending == 0


def test_no_more_is_begun_than_the_other_side_puts_together() -> None:
    out = Outgoing()
    size = MAX_REASSEMBLY // 2
    for number in range(3):
        out.add(Kind.REQUEST, number, bytes(size))
    begun: set[int] = set()
    finished: set[int] = set()
    while data := out.take():
        for frame in frames(data):
            begun.add(frame.id)
            if not frame.more:
                finished.add(frame.id)
            assert len(begun - finished) <= 2
    assert finished == {0, 1, 2}


def test_withdrawing_says_whether_anything_was_sent() -> None:
    out = Outgoing()
    out.add(Kind.REQUEST, 1, bytes(3 * MAX_BODY))
    out.add(Kind.REQUEST, 2, bytes(3 * MAX_BODY))
    out.take()
    assert out.withdraw(1) is False
    assert out.withdraw(2) is True
    assert out.withdraw(3) is False
    assert out.pending == 0
    assert out.take() == b""
    out.add(Kind.REQUEST, 4, bytes(MAX_REASSEMBLY // 2))
    out.add(Kind.REQUEST, 5, bytes(MAX_REASSEMBLY // 2))
    assert {frame.id for frame in everything(out)} == {4, 5}


def test_cleared_means_empty() -> None:
    out = Outgoing()
    out.add(Kind.PING, 0)
    out.add(Kind.NOTE, 1, bytes(2 * MAX_BODY))
    out.take()
    out.clear()
    assert out.pending == 0
    assert out.take() == b""
