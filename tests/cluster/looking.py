"""What scenarios look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vectron_p2p.model.ids import ShardId
from vectron_p2p.model.nodes import Liveness

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vectron_p2p.catalog.state import Collection
    from vectron_p2p.model.ids import PointId
    from vectron_p2p.storage.records import Row
    from vectron_p2p.testing.cluster import Cluster


def sees(cluster: Cluster, name: str, other: str) -> Liveness:
    """What `name` thinks of `other`."""
    node = cluster.node(name)
    member = next(each for each in node.catalog.state.members.values() if each.name == other)
    return node.gossip.liveness(member.node)


async def dead_to_all(cluster: Cluster, *dead: str) -> None:
    """Until every running node believes `dead` to be so."""
    names = [host.name for host in cluster.up if host.name not in dead]
    await cluster.until(
        lambda: all(sees(cluster, name, other) is Liveness.DEAD for name in names for other in dead),
        within=60.0,
        what=f"{dead} are dead to {names}",
    )


async def rested(cluster: Cluster, *, within: float = 60.0) -> None:
    """Until all agree on members and catalog, and all replicas are equal."""
    await cluster.until(cluster.agreed, within=within, what="all nodes agree")
    await cluster.until(cluster.replicas_equal, within=within, what="all replicas are equal")


def collection(cluster: Cluster, name: str = "docs") -> Collection:
    """As some running node knows it."""
    found = cluster.node(cluster.up[0].name).catalog.state.collection(name)
    assert found is not None
    return found


def rows(cluster: Cluster, node: str, ids: Iterable[PointId], name: str = "docs") -> list[Row | None]:
    """Rows as stored on `node`, of a collection of one shard."""
    return cluster.node(node).replicas.get(ShardId(collection(cluster, name).id, 0)).store.get(list(ids))


def live(cluster: Cluster, node: str, ids: Iterable[PointId]) -> list[bool]:
    """Which of `ids` `node` holds, and not as deleted."""
    return [row is not None and row.vector is not None for row in rows(cluster, node, ids)]


def points(cluster: Cluster, node: str) -> int:
    """Live points in all replicas of `node`."""
    return sum(replica.store.live for replica in cluster.node(node).replicas.all())


def pushes_nothing(cluster: Cluster) -> None:
    """The nodes running now do not repair when a peer comes back."""
    for host in cluster.up:
        cluster.node(host.name).repair.soon = lambda: None  # type: ignore[method-assign]


def forget_hints(cluster: Cluster) -> None:
    """The nodes running now owe nothing to anybody."""
    for host in cluster.up:
        book = cluster.node(host.name).hints.book
        for target in book.targets:
            book.forget(target)
