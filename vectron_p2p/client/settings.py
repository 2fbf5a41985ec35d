"""The flow of reading settings. Sans-IO like `flows`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vectron_p2p.client.flows import ask
from vectron_p2p.client.results import build
from vectron_p2p.model.errors import InvalidArgument
from vectron_p2p.model.settings import Setting, Settings
from vectron_p2p.protocol import messages

if TYPE_CHECKING:
    from vectron_p2p.client.session import Session
    from vectron_p2p.client.steps import Flow


def settings(session: Session, node: object) -> Flow[Settings]:
    """Of `node` (name or id), or of all nodes that answer."""
    if node is not None and not isinstance(node, str):
        raise InvalidArgument(f"node is a name or id, not {type(node).__name__}", field="node")
    reply = yield from ask(session, messages.GetSettings(node), messages.SettingsReply)
    return Settings((build(Setting, each) for each in reply.settings), reply.silent)
