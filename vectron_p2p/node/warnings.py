"""What an operator has to know of a node and of the cluster as it sees it, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vectron_p2p.catalog.voters import majority
from vectron_p2p.model.nodes import Liveness

if TYPE_CHECKING:
    from collections.abc import Callable

    from vectron_p2p.model.ids import NodeId
    from vectron_p2p.node.catalog import Catalog
    from vectron_p2p.node.replicas import Replicas
    from vectron_p2p.node.services.learning import Learning


def warnings_of(
    catalog: Catalog, liveness: Callable[[NodeId], Liveness], replicas: Replicas, learning: Learning
) -> list[str]:
    state = catalog.state
    warnings = []
    if catalog.alarm:
        warnings.append(f"the catalog has stopped: {catalog.alarm}")
    if catalog.waiting:
        warnings.append(catalog.waiting)
    alive = sum(liveness(voter) is not Liveness.DEAD for voter in state.voters)
    if alive < majority(state):
        warnings.append(f"{alive} of {len(state.voters)} voters are alive: no catalog change is possible")
    if len(state.voters) == 2:
        warnings.append("two voters: both are needed for catalog changes; a third node removes this")
    if count := state.under_replicated():
        warnings.append(f"{count} shard(s) have fewer owners than their collection asks for")
    for shard, error in sorted(replicas.failed.items()):
        warnings.append(f"shard {shard}: {error.message}")
    warnings += learning.warnings()
    warnings += [f"shard {each.shard}: {each.trouble}" for each in replicas.all() if each.trouble]
    return warnings
