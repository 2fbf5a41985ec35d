"""The real network: TCP and UDP sockets under trio.

Owns sockets and their errors. Works on plain non-blocking sockets with trio's `wait_readable` and `wait_writable`:
trio's own socket layer yields to the scheduler after each call that succeeds at once, which would add two rounds of it
to every request.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from typing import TYPE_CHECKING, Any

import trio

from vectron_p2p.model.ids import Address
from vectron_p2p.net.interfaces import MAX_PACKET, ConnectionLost, ConnectionRefused
from vectron_p2p.net.readiness import Broken, Readiness
from vectron_p2p.observability.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from vectron_p2p.runtime import Clock

log = get_logger(__name__)

BACKLOG = 1024  # a whole cluster's clients that reconnect at once; the kernel caps it at its own limit
OVERLOAD_PAUSE = 0.1  # out of descriptors or memory: accepting again at once would spin
OVERLOAD_ERRORS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
CLOSED_ERRORS = frozenset({errno.EBADF, errno.ENOTSOCK})
PORT_ATTEMPTS = 100  # a port free for TCP is nearly always free for UDP
PACKET_BUFFER = 1024 * 1024  # a burst of gossip while the loop is busy for some milliseconds
EAGER = 16  # calls that succeed at once before the task yields, so that a flood starves nobody
RESOLVE_TIMEOUT = 1.0  # a packet is not worth more
RESOLVED_FOR = 10.0  # a restarted container gets another address under its old name
MAX_RESOLVED = 1024


class _Fairness:
    """Yields now and then in a loop whose calls need not wait."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = EAGER

    async def did_not_wait(self) -> None:
        self._left -= 1
        if self._left <= 0:
            self._left = EAGER
            await trio.lowlevel.checkpoint()

    async def wait_readable(self, sock: socket.socket) -> None:
        self._left = EAGER
        await _wait(trio.lowlevel.wait_readable, sock)


async def _wait(wait: Any, sock: socket.socket) -> None:
    try:
        await wait(sock)
    except (trio.ClosedResourceError, ValueError, OSError) as error:  # closed while waiting; closed before (fd -1)
        raise ConnectionLost("closed here") from error


class SocketStream:
    """A TCP connection."""

    def __init__(self, sock: socket.socket, remote: Address, readiness: Readiness) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = sock
        self._readiness = readiness
        self._remote = remote
        self._drained = True
        self._fairness = _Fairness()

    @property
    def remote(self) -> Address:
        return self._remote

    def send_nowait(self, data: bytes) -> int:
        try:
            return self._socket.send(data)
        except OSError:  # no room, or broken: who sends the rest learns which
            return 0

    async def send_all(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        sent = 0
        with memoryview(data) as view:
            while True:
                try:
                    sent += self._socket.send(view[sent:])
                except BlockingIOError:
                    pass
                except OSError as error:
                    raise self._lost(error) from error
                if sent == len(data):
                    await self._fairness.did_not_wait()
                    return
                await _wait(trio.lowlevel.wait_writable, self._socket)

    async def receive_some(self, max_bytes: int) -> bytes:
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._drained:  # nothing was left after the last read: trying would cost a system call for nothing
            await self._fairness.wait_readable(self._socket)
        while True:
            try:
                data = self._socket.recv(max_bytes)
            except BlockingIOError:
                await self._fairness.wait_readable(self._socket)
            except OSError as error:
                raise self._lost(error) from error
            else:
                self._drained = len(data) < max_bytes
                await self._fairness.did_not_wait()
                return data

    async def receive_each(self, max_bytes: int, take: Callable[[bytes], bool]) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        if not Readiness.available:
            while take(data := await self.receive_some(max_bytes)) and data:
                pass
            return
        self._drained = False
        try:
            await self._readiness.read(self._socket, max_bytes, take)
        except trio.ClosedResourceError as error:
            raise ConnectionLost("closed here") from error
        except Broken as error:
            raise self._lost(error.error) from error

    async def aclose(self) -> None:
        self._readiness.closing(self._socket)
        _close(self._socket)
        await trio.lowlevel.checkpoint()

    def _lost(self, error: OSError) -> ConnectionLost:
        return ConnectionLost(f"{self._remote}: {_words(error)}")


class SocketEndpoint:
    """A TCP and a UDP socket on one port."""

    def __init__(self, streams: socket.socket, packets: socket.socket, clock: Clock, readiness: Readiness) -> None:
        self._streams = streams
        self._readiness = readiness
        self._packets = packets
        self._clock = clock
        self._address = Address(*streams.getsockname()[:2])
        self._fairness = _Fairness()
        self._resolved: dict[Address, tuple[float, Any]] = {}

    @property
    def address(self) -> Address:
        return self._address

    async def accept(self) -> SocketStream:
        await trio.lowlevel.checkpoint_if_cancelled()
        while True:
            try:
                sock, source = self._streams.accept()
            except BlockingIOError:
                await _wait(trio.lowlevel.wait_readable, self._streams)
            except OSError as error:
                if error.errno in OVERLOAD_ERRORS:
                    log.warning("cannot_accept_connections", error=_words(error))
                    await self._clock.sleep(OVERLOAD_PAUSE)
                elif error.errno in CLOSED_ERRORS:
                    raise ConnectionLost("the endpoint is closed") from error
                else:  # the caller went away before we got to it; the queue of callers is finite
                    await trio.lowlevel.checkpoint()
            else:
                try:
                    return SocketStream(sock, Address(*source[:2]), self._readiness)
                except OSError:  # reset between accept and setsockopt
                    sock.close()

    async def receive_packet(self) -> tuple[bytes, Address]:
        await trio.lowlevel.checkpoint_if_cancelled()
        while True:
            try:
                # One byte more than allowed: what is too long shows as such, whatever was cut off behind it.
                data, source = self._packets.recvfrom(MAX_PACKET + 1)
            except BlockingIOError:
                await self._fairness.wait_readable(self._packets)
            except OSError as error:
                if error.errno in CLOSED_ERRORS:
                    raise ConnectionLost("the endpoint is closed") from error
                await self._fairness.did_not_wait()  # an error of an earlier packet, reported late
            else:
                await self._fairness.did_not_wait()
                if len(data) <= MAX_PACKET:
                    return data, Address(*source[:2])

    async def send_packet(self, data: bytes, address: Address) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        target = await self._resolve(address)
        if target is None:
            return
        try:
            self._packets.sendto(data, target)
        except OSError:  # no room, no route, closed: packets may be lost anyway, and membership notices
            await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        _close(self._streams)
        _close(self._packets)
        await trio.lowlevel.checkpoint()

    async def _resolve(self, address: Address) -> Any:
        known = self._resolved.get(address)
        now = self._clock.now()
        if known is not None and now < known[0]:
            return known[1]
        target = None
        with self._clock.move_on_after(RESOLVE_TIMEOUT):
            try:
                found = await trio.socket.getaddrinfo(*address, family=self._packets.family, type=socket.SOCK_DGRAM)
                target = found[0][4]
            except (OSError, UnicodeError):
                pass
        if len(self._resolved) >= MAX_RESOLVED:
            self._resolved.clear()
        self._resolved[address] = now + (float("inf") if _is_numeric(address.host) else RESOLVED_FOR), target
        return target


class RealNetwork:
    """This machine's network."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._readiness = Readiness()

    async def listen(self, address: Address) -> SocketEndpoint:
        family, target = (await _lookup(address))[0]
        for _ in range(PORT_ATTEMPTS):
            streams = socket.socket(family, socket.SOCK_STREAM)
            packets = socket.socket(family, socket.SOCK_DGRAM)
            try:
                for sock in (streams, packets):
                    sock.setblocking(False)
                # A port whose old connections linger in TIME_WAIT can be taken over at once after a restart.
                streams.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                packets.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PACKET_BUFFER)
                streams.bind(target)
                packets.bind((target[0], streams.getsockname()[1], *target[2:]))
                streams.listen(BACKLOG)
            except OSError as error:
                streams.close()
                packets.close()
                if address.port or error.errno != errno.EADDRINUSE:
                    raise OSError(error.errno, f"cannot listen on {address}: {_words(error)}") from error
            else:
                return SocketEndpoint(streams, packets, self._clock, self._readiness)
        raise OSError(errno.EADDRINUSE, f"no port on {address.host} is free for TCP and UDP")

    async def connect(self, address: Address, *, timeout: float) -> SocketStream:
        last: OSError = ConnectionLost(f"{address}: no answer within {timeout:.3g} s")
        with self._clock.move_on_after(timeout):
            try:
                for family, target in await _lookup(address):
                    try:
                        return SocketStream(await _dial(family, target), address, self._readiness)
                    except OSError as error:
                        last = error
            except OSError as error:  # the name cannot be resolved
                last = error
        kind = ConnectionRefused if isinstance(last, ConnectionRefusedError) else ConnectionLost
        raise kind(f"{address}: {_words(last)}") from last


async def _lookup(address: Address) -> list[tuple[int, Any]]:
    try:
        found = await trio.socket.getaddrinfo(*address, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a label too long for a name
        raise OSError(errno.EINVAL, f"{address.host} is no host name") from error
    return [(entry[0], entry[4]) for entry in found]


async def _dial(family: int, target: Any) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        code = sock.connect_ex(target)
        if code == errno.EINPROGRESS:
            await trio.lowlevel.wait_writable(sock)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, errno.errorcode.get(code, "connect"))
        if sock.getsockname() == sock.getpeername():
            # Linux may connect a loopback port in the ephemeral range to itself when nobody listens on it.
            raise OSError(errno.ECONNREFUSED, "connected to itself")
        return sock
    except BaseException:
        _close(sock)
        raise


def _close(sock: socket.socket) -> None:
    if sock.fileno() != -1:
        trio.lowlevel.notify_closing(sock)
        sock.close()


def _words(error: OSError) -> str:
    return error.strerror or str(error)


def _is_numeric(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
