"""The states of a connection, and which frames may come in each."""

from __future__ import annotations

import enum
from typing import Literal, TypeAlias

from vectron_p2p.protocol.frames import Kind

Side: TypeAlias = Literal["client", "server"]


class State(enum.Enum):
    GREETING = "greeting"
    """Nothing agreed yet. A client moves on with the Welcome, a server with the Hello."""
    DECIDING = "deciding"
    """A server that has the Hello and owes `accept` or `refuse`."""
    OPEN = "open"
    CLOSED = "closed"


_ANYTIME = frozenset({Kind.PING, Kind.PONG, Kind.GOODBYE})

EXPECTED: dict[tuple[Side, State], frozenset[Kind]] = {
    ("server", State.GREETING): frozenset({Kind.HELLO}),
    ("server", State.DECIDING): frozenset({Kind.GOODBYE}),
    ("server", State.OPEN): _ANYTIME | {Kind.REQUEST, Kind.CANCEL, Kind.NOTE},
    ("client", State.GREETING): frozenset({Kind.HELLO, Kind.ERROR, Kind.GOODBYE}),
    ("client", State.OPEN): _ANYTIME | {Kind.RESPONSE, Kind.ERROR},
}
