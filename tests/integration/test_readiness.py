"""Sockets that are read by one task for all of them."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
import trio

from vectron_p2p.model.ids import Address
from vectron_p2p.net.interfaces import ConnectionLost
from vectron_p2p.net.readiness import AT_ONCE, Readiness
from vectron_p2p.net.sockets import SocketStream

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(not Readiness.available, reason="no epoll here: sockets are read one by one")


@pytest.fixture
def readiness() -> Readiness:
    return Readiness()


@pytest.fixture
def pairs() -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    """Connections: the end that is read, and the other."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        pairs = []
        for _ in range(3 * AT_ONCE):
            far = socket.create_connection(server.getsockname())
            pairs.append((server.accept()[0], far))
        yield pairs
    for here, far in pairs:
        here.close()
        far.close()


def stream(readiness: Readiness, sock: socket.socket) -> SocketStream:
    return SocketStream(sock, Address("127.0.0.1", 1), readiness)


async def test_each_gets_its_own_until_the_end(
    readiness: Readiness, pairs: list[tuple[socket.socket, socket.socket]]
) -> None:
    got: list[list[bytes]] = [[] for _ in pairs]

    async def read(number: int) -> None:
        def take(data: bytes) -> bool:
            got[number].append(data)
            return True

        await stream(readiness, pairs[number][0]).receive_each(1000, take)

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            for number in range(len(pairs)):
                nursery.start_soon(read, number)
            for number, (_, far) in enumerate(pairs):
                far.sendall(b"%d" % number * 700)
                far.shutdown(socket.SHUT_WR)
    assert [b"".join(pieces) for pieces in got] == [b"%d" % number * 700 for number in range(len(pairs))]
    assert all(pieces[-1] == b"" for pieces in got)
    assert max(len(piece) for pieces in got for piece in pieces) <= 1000


async def test_who_has_enough_is_not_read(
    readiness: Readiness, pairs: list[tuple[socket.socket, socket.socket]]
) -> None:
    here, far = stream(readiness, pairs[0][0]), pairs[0][1]
    got: list[bytes] = []

    def take(data: bytes) -> bool:
        got.append(data)
        return False

    with trio.fail_after(20):
        far.sendall(b"abcdef")
        for length in (1, 2, 3):
            await here.receive_each(2, take)
            assert len(got) == length
        assert b"".join(got) == b"abcdef"
        far.sendall(b"more")
        assert await here.receive_some(10) == b"more", "and may be read in the other way"


async def test_the_reader_gets_what_goes_wrong(
    readiness: Readiness, pairs: list[tuple[socket.socket, socket.socket]]
) -> None:
    def broken(data: bytes) -> bool:
        raise FileNotFoundError("a defect, which is no fault of the connection")

    (one, far), (other, gone), (closed, _) = pairs[:3]
    with trio.fail_after(20):
        far.sendall(b"x")
        with pytest.raises(FileNotFoundError):
            await stream(readiness, one).receive_each(10, broken)
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset, not an end
        gone.close()
        with pytest.raises(ConnectionLost):
            await stream(readiness, other).receive_each(10, bool)
        async with trio.open_nursery() as nursery:
            reading = stream(readiness, closed)

            async def read() -> None:
                with pytest.raises(ConnectionLost):
                    await reading.receive_each(10, bool)

            nursery.start_soon(read)
            await trio.testing.wait_all_tasks_blocked()
            await reading.aclose()
        with pytest.raises(ConnectionLost):
            await reading.receive_each(10, bool)


async def test_a_reader_that_is_cancelled_takes_nothing_more(
    readiness: Readiness, pairs: list[tuple[socket.socket, socket.socket]]
) -> None:
    here, far = stream(readiness, pairs[0][0]), pairs[0][1]
    got: list[bytes] = []
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(here.receive_each, 10, lambda data: not got.append(data))  # type: ignore[func-returns-value]
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        far.sendall(b"later")
        assert await here.receive_some(10) == b"later"
    assert not got


async def test_others_have_their_turn_while_many_send(
    readiness: Readiness, pairs: list[tuple[socket.socket, socket.socket]]
) -> None:
    """Between two turns of `AT_ONCE` sockets."""
    read: list[int] = []
    at: list[int] = []
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            for number, (here, far) in enumerate(pairs):
                far.sendall(b"x")

                def take(data: bytes, number: int = number) -> bool:
                    read.append(number)
                    return False

                nursery.start_soon(stream(readiness, here).receive_each, 10, take)
            while len(read) < len(pairs):
                at.append(len(read))
                await trio.lowlevel.checkpoint()
    # Who comes first in a round is left to chance, so two turns may come together.
    assert max(b - a for a, b in zip(at, [*at[1:], len(pairs)], strict=True)) <= 2 * AT_ONCE


def test_it_serves_one_run_after_another(readiness: Readiness) -> None:
    async def once() -> None:
        here, far = socket.socketpair()
        with trio.fail_after(20), far:
            reading = SocketStream.__new__(SocketStream)
            here.setblocking(False)
            reading._socket, reading._readiness = here, readiness
            far.sendall(b"x")
            await reading.receive_each(10, lambda data: False)
            await reading.aclose()

    trio.run(once)
    trio.run(once)
