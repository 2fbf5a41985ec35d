"""What this node says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vectron_p2p.membership.messages import Incarnation, Update
from vectron_p2p.model.nodes import Liveness

if TYPE_CHECKING:
    from vectron_p2p.model.ids import Address, NodeId


@dataclass(slots=True)
class Local:
    """This node. `incarnation` only grows; `leaving` is for ever."""

    node: NodeId
    address: Address
    incarnation: Incarnation
    leaving: bool = False

    def word(self) -> Update:
        liveness = Liveness.DEAD if self.leaving else Liveness.ALIVE
        return Update(self.node, self.address, self.incarnation, liveness, self.node)
