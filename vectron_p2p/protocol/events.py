"""What a connection reports to the shell that feeds it bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from vectron_p2p.model.errors import VectronError
    from vectron_p2p.protocol.messages import Hello, Welcome
    from vectron_p2p.protocol.patterns import Pattern


@dataclass(frozen=True, slots=True)
class HandshakeDone:
    """On a client: `peer` is the `Welcome`, requests may go out. On a server: `peer` is the `Hello`, to be answered at
    once by `Connection.accept` or `Connection.refuse`.
    """

    peer: Hello | Welcome


class Request:
    """To be answered by exactly one of `respond`, `respond_error` and `abandon`, also after a `Cancelled`.

    One that is like an earlier one has that one's pattern, and its message is made when it is asked for.
    """

    __match_args__ = ("id", "message")
    __slots__ = ("_message", "bulk", "id", "pattern", "size", "timeout", "trace")

    def __init__(
        self,
        id: int,
        message: Any,
        timeout: float | None,
        size: int = 0,
        trace: int = 0,
        pattern: Pattern | None = None,
        bulk: bytes = b"",
    ) -> None:
        """`message`: None if there is a `pattern`; `bulk` is then what is in its bulk field."""
        self.id = id
        self.timeout = timeout
        """Seconds the caller still waits; None: for ever."""
        self.size = size
        """Bytes of the message."""
        self.trace = trace
        """The call of a client that it is part of; 0: of none, or not told."""
        self.pattern = pattern
        self.bulk = bulk
        self._message = message

    @property
    def message(self) -> Any:
        if self._message is None:
            assert self.pattern is not None
            self._message = self.pattern.message(self.bulk)
        return self._message

    @property
    def like(self) -> Any:
        """The message, or one that differs from it in the bulk field alone."""
        return self._message if self.pattern is None else self.pattern.example

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Request) and self._told() == other._told()

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"Request{self._told()!r}"

    def _told(self) -> tuple[Any, ...]:
        return self.id, self.message, self.timeout, self.size, self.trace


@dataclass(frozen=True, slots=True)
class Response:
    id: int
    message: Any


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    id: int
    error: VectronError


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Nobody waits for the answer to this request any more."""

    id: int


@dataclass(frozen=True, slots=True)
class Note:
    """A one-way message."""

    message: Any


@dataclass(frozen=True, slots=True)
class Goodbye:
    """The other side takes no new requests; those in flight are still answered."""

    reason: str


@dataclass(frozen=True, slots=True)
class Closed:
    """Nothing more comes: write what `data_to_send` still gives, then close. Always the last event.

    `error` is set when the handshake was refused by either side, or the other side broke the protocol.
    """

    reason: str
    error: VectronError | None = None
    corrupted: bool = False
    """A checksum was wrong: as when a connection breaks, nobody knows what became of the calls in flight."""


Event: TypeAlias = HandshakeDone | Request | Response | ErrorResponse | Cancelled | Note | Goodbye | Closed
