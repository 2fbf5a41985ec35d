"""The flow of a forced recovery.

It talks to one node, once: the same request at another node would open a second generation beside the first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vectron_p2p.client.flows import DIAL_S
from vectron_p2p.client.results import build
from vectron_p2p.client.steps import Call, LinkLost
from vectron_p2p.model.errors import Internal, InvalidArgument, Unavailable
from vectron_p2p.model.recovery import HurtShardInfo, RecoveryInfo
from vectron_p2p.protocol import messages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vectron_p2p.client.session import Session
    from vectron_p2p.client.steps import Flow


def recover(session: Session, *, force: bool, lost: Sequence[str] = ()) -> Flow[RecoveryInfo]:
    """Open the next generation of the catalog at the one node of this session; without `force`, say what it would do.

    Raises:
        InvalidArgument: More than one node is named, or the node finds nothing to recover.
        Unavailable: It cannot be reached; if it was sent the request, whether it was done is unknown.
    """
    if len(session.seeds) != 1:
        raise InvalidArgument("name the one node that is to open the recovered cluster", field="connect")
    address = session.seeds[0]
    try:
        reply = yield Call(address, messages.Recover(force, list(lost)), session.timeout, DIAL_S)
    except LinkLost as error:
        unknown = "; whether it was done is unknown: look at `vectron status` there" if error.sent else ""
        raise Unavailable(f"{address} cannot be reached: {error}{unknown}", retryable=not error.sent) from error
    if not isinstance(reply, messages.RecoverReply):
        raise Internal(f"{address} answered with {type(reply).__name__}")
    hurt = [build(HurtShardInfo, each) for each in reply.info.get("hurt", ())]
    return build(RecoveryInfo, {**reply.info, "hurt": hurt})
