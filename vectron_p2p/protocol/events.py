"""What a connection reports to the shell that feeds it bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from vectron_p2p.model.errors import VectronError
    from vectron_p2p.protocol.messages import Hello, Welcome


@dataclass(frozen=True, slots=True)
class HandshakeDone:
    """On a client: `peer` is the `Welcome`, requests may go out. On a server: `peer` is the `Hello`, to be answered at
    once by `Connection.accept` or `Connection.refuse`.
    """

    peer: Hello | Welcome


@dataclass(frozen=True, slots=True)
class Request:
    """To be answered by exactly one of `respond`, `respond_error` and `abandon`, also after a `Cancelled`."""

    id: int
    message: Any
    timeout: float | None
    """Seconds the caller still waits; None: for ever."""
    size: int = 0
    """Bytes of the message."""
    trace: int = 0
    """The call of a client that it is part of; 0: of none, or not told."""


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
