"""Until when a node may begin a change that it was asked for.

Who loses the connection to a node asks another, gets an answer, and goes on: with a later change of the same points,
say. A request that still lies in the buffers of a stopped node or a cut connection must not be done after that, or it
would undo the later change (writes are at-least-once until the call returns, never after). So each carries the time, on
the clock of the node that it is sent to, by which it has to be stamped; and a call that lost an attempt is over no
sooner.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from vectron_p2p.protocol.messages import ChangePayload, Delete, DeleteIf, Upsert, UpsertIf
from vectron_p2p.protocol.silence import SLOWEST_BYTES_PER_S

LEASE_S = 1.0  # four times what a node's loop may ever be blocked; a call that loses its node waits as long
SKEW_S = 1.0  # by which the stamps of two nodes may differ: each clock keeps within 500 ms of the majority's
FRESH_S = 600.0  # a connection tells the node's clock once: in ten minutes two clocks drift apart by some 0.1 s

_CHANGES = (Upsert, Delete, UpsertIf, DeleteIf, ChangePayload)


def leased(message: Any, now: float, ahead: float | None, queued: int) -> tuple[Any, float]:
    """`message` as it is to be sent at `now`, and until when a call that loses it must not be over.

    Args:
        ahead: What the node's clock shows more than ours; None: it did not say.
        queued: Bytes that go out before it.
    """
    if ahead is None or not isinstance(message, _CHANGES):
        return message, 0.0
    until = now + LEASE_S + (queued + _weight(message)) / SLOWEST_BYTES_PER_S
    return replace(message, expires=until + ahead), until + SKEW_S


def unsettled(message: Any, now: float) -> float:
    """Until when a call is not over whose attempt was refused at `now`, though some owner may have taken it."""
    return now + SKEW_S if isinstance(message, _CHANGES) else 0.0


def _weight(message: Any) -> int:
    if isinstance(message, Upsert | UpsertIf):
        return len(message.vectors) + sum(map(len, message.payloads))
    return 0
