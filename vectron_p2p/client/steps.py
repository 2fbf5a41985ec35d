"""What flows ask of a shell, and how a shell reports a broken connection."""

from __future__ import annotations

import enum
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

if TYPE_CHECKING:
    from vectron_p2p.model.ids import Address

T = TypeVar("T")

SILENCE_S = 8.0  # of the only node there is: leaving it brings nothing but the end of a connection that is half open


@dataclass(frozen=True, slots=True)
class Call:
    """Send `message` to `address`; the flow is resumed with the reply.

    A `VectronError` from the node, or `LinkLost`, is thrown into the flow instead. `timeout` bounds the whole step and
    travels with the request; no answer by then is `DeadlineExceeded`. `dial_timeout` bounds opening a connection,
    `silence_timeout` the answer to a ping: a node that owes one for longer is lost. `trace` goes with the request.
    """

    address: Address
    message: Any
    timeout: float
    dial_timeout: float
    silence_timeout: float = SILENCE_S
    trace: int = 0


@dataclass(frozen=True, slots=True)
class Sleep:
    """Let `seconds` pass; the flow is resumed with None."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Together:
    """Drive `flows` side by side, begun in their order, at most `width` at once.

    The flow is resumed with an outcome for each: its result, or the exception that it ended with. After an exception no
    other is begun and those under way may be given up; the outcome of these is `UNDONE`.
    """

    flows: Sequence[Flow[Any]]
    width: int


class Undone(enum.Enum):
    UNDONE = enum.auto()


UNDONE = Undone.UNDONE

Step: TypeAlias = Call | Sleep | Together
Flow: TypeAlias = Generator[Step, Any, T]


class LinkLost(OSError):
    """No connection, or it broke. `sent`: the request may have reached the node, which may begin it `until` then."""

    def __init__(self, message: str, *, sent: bool, until: float = 0.0) -> None:
        super().__init__(message)
        self.sent = sent
        self.until = until
