"""The handshake: the first message in each direction."""

from __future__ import annotations

from dataclasses import dataclass, field

from vectron_p2p.protocol.registry import message


@message(1)
@dataclass(frozen=True, slots=True)
class Hello:
    """Opens a connection. `role` "client" or "peer"; `cluster` None when the client has not pinned one yet.

    Of a peer, for the detection of restored and copied folders: `boot` its boot number, `counter` the durable counter
    that it began with, `lives` both of its last lives, this one last.
    """

    versions: list[int]
    role: str
    cluster: str | None = None
    node: str | None = None
    counter: int = 0
    boot: int = 0
    generation: int = 0
    epoch: int = 0
    lives: list[int] = field(default_factory=list)


@message(2)
@dataclass(frozen=True, slots=True)
class Welcome:
    """Answers `Hello`: the version chosen, and who answers. To a client, `nodes` are the addresses of other nodes that
    may serve it, and `now` what this one's clock shows (0: not said).
    """

    version: int
    cluster: str
    node: str
    name: str
    generation: int
    epoch: int
    software: str
    nodes: list[str] = field(default_factory=list)
    now: float = 0.0
