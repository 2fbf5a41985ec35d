"""Reads many sockets in one task.

Waiting for a socket with trio costs a system call, two tasks' turns and a cancel scope's bookkeeping, which is as much
as a small request takes in all. Sockets that are read for as long as they live are registered once with an epoll object
of our own, and trio waits for that object alone.

Owns which sockets are registered. Must not know what is read. Invariants: what arrives is handed over in the context of
the task that asked for it, which gets whatever goes wrong there; nobody is read while he has said that he has enough;
between two turns of `AT_ONCE` sockets all other tasks have theirs.
"""

from __future__ import annotations

import contextvars
import select
from typing import TYPE_CHECKING, Any

import outcome
import trio

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    Take = Callable[[bytes], bool]
    """Takes what has arrived (b"": the end); whether it takes more."""

AT_ONCE = 16  # sockets: small requests of all of them take the loop about a millisecond


class Broken(Exception):
    """The connection is; `error` says how. No `OSError`: what takes the bytes may raise one for other reasons."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


class _Reading:
    """One socket that is read, and the task that waits for the end of it."""

    __slots__ = ("context", "fd", "max_bytes", "sock", "take", "task")

    def __init__(self, sock: socket.socket, max_bytes: int, take: Take) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.max_bytes = max_bytes
        self.take = take
        self.task = trio.lowlevel.current_task()
        self.context = self.task.context


class Readiness:
    """Of the sockets of one network. Without epoll (elsewhere than on Linux) it is `available` to nobody."""

    available = hasattr(select, "epoll")

    def __init__(self) -> None:
        self._epoll: Any = None
        self._readings: dict[int, _Reading] = {}

    async def read(self, sock: socket.socket, max_bytes: int, take: Take) -> None:
        """Gives `take` what arrives, at most `max_bytes` at a time, until it has enough or the stream has ended.

        Raises:
            Broken: The connection is.
            trio.ClosedResourceError: `closing` was called.
            Exception: Of `take`.
        """
        if sock.fileno() == -1:
            raise trio.ClosedResourceError("closed here")
        reading = _Reading(sock, max_bytes, take)
        if self._epoll is None:
            self._epoll = select.epoll()
            trio.lowlevel.spawn_system_task(self._run, name="readiness", context=contextvars.copy_context())
        self._epoll.register(reading.fd, select.EPOLLIN)
        self._readings[reading.fd] = reading

        def abandon(_raise_cancel: object) -> trio.lowlevel.Abort:
            self._forget(reading)
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abandon)

    def closing(self, sock: socket.socket) -> None:
        """It is about to be closed."""
        reading = self._readings.get(sock.fileno())
        if reading is not None:
            self._end(reading, outcome.Error(trio.ClosedResourceError("closed here")))

    async def _run(self) -> None:
        """For as long as trio runs: its system tasks are cancelled last."""
        epoll, readings = self._epoll, self._readings
        try:
            while True:
                await trio.lowlevel.wait_readable(epoll.fileno())
                for fd, _ in epoll.poll(0, AT_ONCE):
                    reading = readings.get(fd)
                    if reading is not None:
                        self._read(reading)
        finally:
            self._epoll = None
            epoll.close()

    def _read(self, reading: _Reading) -> None:
        try:
            data = reading.sock.recv(reading.max_bytes)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(reading, outcome.Error(Broken(error)))
            return
        try:
            if reading.context.run(reading.take, data) and data:
                return
        except BaseException as error:
            self._end(reading, outcome.Error(error))
        else:
            self._end(reading, outcome.Value(None))

    def _end(self, reading: _Reading, result: outcome.Outcome[None]) -> None:
        if self._forget(reading):
            trio.lowlevel.reschedule(reading.task, result)

    def _forget(self, reading: _Reading) -> bool:
        """Whether it was still being read."""
        if self._readings.get(reading.fd) is not reading:
            return False
        del self._readings[reading.fd]
        self._epoll.unregister(reading.fd)
        return True
