"""What flows ask of a shell, and how a shell reports a broken connection."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

if TYPE_CHECKING:
    from vectron_p2p.model.ids import Address

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """Send `message` to `address`; the flow is resumed with the reply.

    A `VectronError` from the node, or `LinkLost`, is thrown into the flow instead. `timeout` bounds the whole step and
    travels with the request; no answer by then is `DeadlineExceeded`. `dial_timeout` bounds opening a connection.
    """

    address: Address
    message: Any
    timeout: float
    dial_timeout: float


@dataclass(frozen=True, slots=True)
class Sleep:
    """Let `seconds` pass; the flow is resumed with None."""

    seconds: float


Step: TypeAlias = Call | Sleep
Flow: TypeAlias = Generator[Step, Any, T]


class LinkLost(OSError):
    """No connection, or it broke. `sent`: the request may have reached the node."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent
