"""What is said when the catalog cannot be changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vectron_p2p.catalog.voters import majority
from vectron_p2p.model.errors import Internal, Unavailable

if TYPE_CHECKING:
    from collections.abc import Collection as Several

    from vectron_p2p.catalog.state import ClusterState
    from vectron_p2p.model.ids import NodeId


def stopped(reason: str) -> Internal:
    return Internal(f"the catalog of this node has stopped: {reason}; ask another node for catalog changes")


def not_decided(state: ClusterState, heard: Several[NodeId]) -> Unavailable:
    """A proposal ran out of time, in which `heard` answered (this node among them)."""
    answered, voters, needed = sum(node in heard for node in state.voters), len(state.voters), majority(state)
    unknown = "Whether this one will still be made is unknown: retry with the same operation id"
    if answered >= needed:
        return Unavailable(f"the catalog was too busy to decide this change in time. {unknown}")
    return Unavailable(
        f"no voter majority: {answered} of the catalog's {voters} voters answered and {needed} are needed. Catalog "
        f"changes wait until more voters are up; reads, writes and searches go on. {unknown}"
    )
