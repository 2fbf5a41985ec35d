"""The exchange of whole tables: finds what gossip lost, and reunites halves that thought each other dead.

Owns its pace and the rule for the dead of another's table. Whole tables, not digests: a hundred members are ten
kilobytes each half minute.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

from vectron_p2p.model.nodes import Liveness

if TYPE_CHECKING:
    from vectron_p2p.membership.messages import Update
    from vectron_p2p.model.ids import NodeId

FIRST_WAIT = 1.0  # seconds between the exchanges of a node that has had no answer yet; doubled up to the interval
CALM_NODES = 32  # up to here the interval stays; beyond, it grows so that the load of all together does not


def interval(configured: float, nodes: int) -> float:
    """Seconds between two exchanges, in a cluster of `nodes`."""
    if nodes <= CALM_NODES:
        return configured
    return configured * (math.ceil(math.log2(nodes) - math.log2(CALM_NODES)) + 1)


def first_intervals(configured: float, unanswered: int) -> float:
    """Seconds to the next exchange of a node that asked `unanswered` times in vain since it started."""
    return min(configured, FIRST_WAIT * 2.0 ** min(unanswered, 16))


def as_hearsay(update: Update, sender: NodeId) -> Update:
    """`update` of `sender`'s table as we take it in.

    A table may be old: who is dead in it may have come back since, so it is only suspected and can refute. A node that
    stopped by itself said so itself.
    """
    if update.liveness is Liveness.DEAD and not update.left:
        return dataclasses.replace(update, liveness=Liveness.SUSPECT, by=sender)
    return update
