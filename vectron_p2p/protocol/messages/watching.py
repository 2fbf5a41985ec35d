"""Subscriptions: each event answers a request that waits for it at the node.

The request for the next event is the consumer's credit of one: a node sends nothing that nobody is ready to take, keeps
no queue, and what is sent is the newest there is. An event that was lost on its way is asked for by its number again,
and then everything is sent.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from vectron_p2p.protocol.registry import message


@message(178)
@dataclass(frozen=True, slots=True)
class Watch:
    """-> WatchReply, at once, with all values of `topics`: the beginning of a subscription at this node."""

    topics: list[str]
    interval: float


@message(179)
@dataclass(frozen=True, slots=True)
class WatchNext:
    """-> WatchReply, when something has changed or `interval` has passed since event number `seen`. NotFound: the node
    knows no such subscription (any more).
    """

    subscription: str
    seen: int


@message(180)
@dataclass(frozen=True, slots=True)
class WatchReply:
    """An event, with number `sequence`. `changed` are plain values by topic and key, `removed` lists of keys by topic.
    `full`: forget all before it. `more`: only a part of the event, the next WatchNext is answered at once with another.
    """

    subscription: str
    sequence: int
    node: str
    at: float
    epoch: int
    full: bool
    changed: dict[str, Any]
    removed: dict[str, Any] = field(default_factory=dict)
    more: bool = False
