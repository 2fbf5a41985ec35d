"""One UUID twice: a copied data folder that is started on a second host while the first one runs (PROTOCOLS §1.4)."""

from __future__ import annotations

import pytest

from vectron_p2p.model.errors import PermissionDenied
from vectron_p2p.testing.cluster import Cluster, Host, open_cluster
from vectron_p2p.testing.simulation.world import leaves


async def start_copy(cluster: Cluster, age: float) -> Host:
    """The folder of n2, of `age` seconds ago, on another host."""
    image = cluster.hosts["n2"].disk.image()
    await cluster.clock.sleep(age)
    twin = cluster.add_host("n4")
    twin.disk.restore(image)
    await cluster.start("n4", join=[cluster.hosts["n1"].address], wait=False)
    return twin


def refused(host: Host) -> bool:
    return any(isinstance(error, PermissionDenied) for failure in host.failures for error in leaves(failure))


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_copied_folder_is_turned_away_while_the_first_node_goes_on(seed: int) -> None:
    async with open_cluster(seed=seed) as cluster, cluster.client("n1") as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=2)
        await docs.upsert(ids=range(20), vectors=[[n] for n in range(20)], consistency="all")
        twin = await start_copy(cluster, 5.0)
        await cluster.until(lambda: not twin.up and refused(twin), within=30.0, what="the copy is turned away")
        assert cluster.hosts["n2"].up
        assert not cluster.hosts["n2"].failures
        await docs.upsert(ids=range(40), vectors=[[n] for n in range(40)], consistency="all")
        assert all(row is not None for row in await docs.get(range(40), consistency="all"))


@pytest.mark.parametrize("seed", [1, 2])
async def test_of_a_node_and_its_copy_of_this_moment_one_stays(seed: int) -> None:
    """Nothing tells which is the copy; but two that run as one node are found out by what each shows of itself."""
    async with open_cluster(seed=seed) as cluster, cluster.client("n1") as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=2)
        await docs.upsert(ids=range(20), vectors=[[n] for n in range(20)], consistency="all")
        twins = [await start_copy(cluster, 0.0), cluster.hosts["n2"]]
        await cluster.until(lambda: any(map(refused, twins)), within=60.0, what="one of the two stops")
        assert sum(host.up for host in twins) == 1
        await cluster.until(cluster.agreed, within=60.0, what="the others and the one that is left agree")
        assert all(row is not None for row in await docs.get(range(20), consistency="quorum"))
