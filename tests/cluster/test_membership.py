"""Nodes that come, go, move and come back as somebody else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from tests.cluster.looking import dead_to_all, live, points, rested, sees
from vectron_p2p.model.errors import AlreadyExists, PermissionDenied
from vectron_p2p.model.ids import Address
from vectron_p2p.model.nodes import Liveness
from vectron_p2p.node.joining import WrongCluster
from vectron_p2p.testing.cluster import Cluster, open_cluster

if TYPE_CHECKING:
    from vectron_p2p.client.async_collection import AsyncCollection


async def filled(cluster: Cluster, *, shards: int = 2) -> None:
    async with cluster.client() as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=shards)
        await docs.upsert(ids=range(20), vectors=[[n] for n in range(20)], consistency="all")


async def all_there(docs: AsyncCollection) -> bool:
    return all(point is not None for point in await docs.get(range(20)))


# --- restarts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("power", [False, True])
async def test_all_nodes_at_once_are_killed_and_come_back(power: bool) -> None:
    async with open_cluster(seed=1) as cluster:
        await filled(cluster)
        for name in cluster.hosts:
            cluster.kill(name, power=power)
        await trio.sleep(5.0)
        for name in cluster.hosts:
            await cluster.start(name, wait=False)
        await cluster.until(lambda: len(cluster.up) == 3, within=30.0, what="all serve")
        await rested(cluster)
        async with cluster.client() as db:
            assert await all_there(db.collection("docs"))
            await db.create_collection("after", dimension=1)


async def test_one_node_of_all_that_were_killed_comes_back_much_later() -> None:
    async with open_cluster(seed=2) as cluster:
        await filled(cluster)
        for name in cluster.hosts:
            cluster.kill(name)
        await cluster.start("n2", wait=False)  # its seed n1 is down
        await trio.sleep(60.0)
        assert cluster.node("n2").serving
        async with cluster.client("n2") as db:
            assert len(await db.collection("docs").search([0], k=100)) == 20
        await cluster.start("n3")
        await cluster.start("n1")
        await rested(cluster)


async def test_a_node_restarts_on_another_address() -> None:
    async with open_cluster(seed=3) as cluster:
        await filled(cluster)
        cluster.kill("n3")
        cluster.hosts["n3"].address = Address("n3", 7800)
        node = await cluster.start("n3")
        await rested(cluster)
        await cluster.until(
            lambda: all(
                cluster.node(name).catalog.state.members[node.identity.node].address == Address("n3", 7800)
                for name in cluster.hosts
            ),
            within=30.0,
            what="the catalog knows the new address",
        )
        async with cluster.client("n3") as db:
            await db.collection("docs").upsert(ids=[50], vectors=[[1]], consistency="all")


async def test_a_node_moves_while_another_is_down_that_remembers_the_old_address() -> None:
    async with open_cluster(seed=4) as cluster:
        await filled(cluster)
        cluster.kill("n2")
        cluster.kill("n3")
        cluster.hosts["n3"].address = Address("n3", 7800)
        await cluster.start("n3")
        await trio.sleep(20.0)
        await cluster.start("n2")
        await rested(cluster)


async def test_all_nodes_restart_on_other_addresses_and_find_each_other_by_one_seed() -> None:
    async with open_cluster(nodes=4, seed=5) as cluster:
        await filled(cluster)
        for host in cluster.hosts.values():
            cluster.kill(host.name)
            host.address = Address(host.name, 7900)
        for name in ("n4", "n3", "n2", "n1"):  # the seed last
            await cluster.start(name, wait=False)
        await cluster.until(lambda: len(cluster.up) == 4, within=60.0, what="all serve")
        await rested(cluster, within=120.0)
        state = cluster.node("n1").catalog.state
        await cluster.until(
            lambda: {member.address.port for member in cluster.node("n1").catalog.state.members.values()} == {7900},
            within=60.0,
            what=f"the catalog has the new addresses: {state.members}",
        )
        async with cluster.client() as db:
            assert await all_there(db.collection("docs"))


async def test_two_nodes_swap_their_addresses() -> None:
    async with open_cluster(seed=6) as cluster:
        await filled(cluster)
        two, three = cluster.hosts["n2"], cluster.hosts["n3"]
        cluster.kill("n2")
        cluster.kill("n3")
        two.address, three.address = three.address, two.address
        await cluster.start("n2")
        await cluster.start("n3")
        await rested(cluster)
        async with cluster.client("n1") as db:
            await db.collection("docs").upsert(ids=[1], vectors=[[9]], consistency="all")


# --- isolation --------------------------------------------------------------------------------------------------------


async def test_ten_minutes_of_isolation_heal_members_catalog_and_replicas() -> None:
    async with open_cluster(seed=7) as cluster, cluster.client("n1", "n2") as db:
        await filled(cluster)
        docs = db.collection("docs")
        cluster.network.partition([["n3"]])
        await dead_to_all(cluster, "n3")
        await docs.delete(ids=range(10))
        await docs.upsert(ids=range(20, 40), vectors=[[n] for n in range(20, 40)])
        await db.create_collection("more", dimension=1, shards=2)
        await trio.sleep(600.0)
        cluster.network.heal()
        healed = trio.current_time()
        await rested(cluster, within=35.0)
        assert trio.current_time() - healed <= 35.0
        async with cluster.client("n3") as back:
            found = await back.collection("docs").get(range(40), consistency="one")
            assert [point is not None for point in found] == [False] * 10 + [True] * 30
            await back.collection("more").upsert(ids=[1], vectors=[[1]], consistency="all")


async def test_a_one_way_cut_neither_splits_the_catalog_nor_stalls_writes() -> None:
    async with open_cluster(seed=8) as cluster, cluster.client() as db:
        await filled(cluster)
        cluster.network.block("n3", "n1")
        for n in range(10):
            await db.collection("docs").upsert(ids=[n], vectors=[[n + 1]])
            await trio.sleep(1.0)
        cluster.network.heal()
        await rested(cluster)


# --- stopping ---------------------------------------------------------------------------------------------------------


async def test_a_clean_stop_is_noticed_at_once_and_costs_a_retrying_client_nothing() -> None:
    async with open_cluster(seed=9) as cluster, cluster.client() as db:
        await filled(cluster)
        docs = db.collection("docs")
        seen: list[Liveness] = []
        over = trio.Event()

        async def watch() -> None:
            while not over.is_set():
                seen.append(sees(cluster, "n1", "n2"))
                await trio.sleep(0.02)

        async def work() -> None:
            n = 0
            while not over.is_set():
                await docs.upsert(ids=[n % 20], vectors=[[n]])
                assert (await docs.get([n % 20]))[0] is not None
                assert not (await docs.search([n], k=3)).partial
                n += 1
                await trio.sleep(0.05)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            for _ in range(2):
                nursery.start_soon(work)
            await trio.sleep(1.0)
            began = trio.current_time()
            cluster.node("n2").stop()
            await cluster.until(lambda: sees(cluster, "n1", "n2") is Liveness.DEAD, within=1.0, what="stop is noticed")
            await cluster.until(lambda: cluster.hosts["n2"].node is None, within=10.0, what="it ends")
            assert trio.current_time() - began < 6.0
            await trio.sleep(1.0)
            await cluster.start("n2")
            await trio.sleep(2.0)
            over.set()
        assert Liveness.SUSPECT not in seen
        await rested(cluster)


async def test_stopped_and_started_again_and_again_a_node_keeps_its_data() -> None:
    async with open_cluster(seed=10) as cluster, cluster.client("n1") as db:
        await filled(cluster, shards=1)
        for n in range(4):
            await cluster.stop("n2")
            await db.collection("docs").upsert(ids=[100 + n], vectors=[[n]])
            await cluster.start("n2")
        await rested(cluster)
        assert live(cluster, "n2", range(100, 104)) == [True] * 4
        assert points(cluster, "n2") == 24
        assert not cluster.hosts["n2"].failures


# --- who is let in ----------------------------------------------------------------------------------------------------


async def test_joining_while_nobody_answers_waits_for_ever_and_founds_nothing() -> None:
    async with open_cluster(nodes=1, seed=11) as cluster:
        cluster.kill("n1")
        cluster.add_host("n2")
        node = await cluster.start("n2", wait=False)
        await trio.sleep(300.0)
        assert not node.serving
        assert cluster.hosts["n2"].node is node
        assert not hasattr(node, "catalog")
        await cluster.start("n1")
        await cluster.until(lambda: node.serving, within=30.0)
        await cluster.until(cluster.agreed, within=5.0, what="n1 has the last entry too")


async def test_a_name_in_use_is_refused() -> None:
    async with open_cluster(seed=12) as cluster:
        cluster.add_host("n4").node_name = "n2"
        before = cluster.node("n1").catalog.state.epoch
        with pytest.raises(BaseExceptionGroup) as caught:
            await cluster.start("n4")
        assert caught.group_contains(AlreadyExists, match="n2")
        assert len(cluster.node("n1").catalog.state.members) == 3
        assert cluster.node("n1").catalog.state.epoch <= before + 1


async def test_a_node_of_another_cluster_is_refused() -> None:
    async with open_cluster(seed=13) as cluster:
        cluster.add_host("x")
        await cluster.start("x", join=[])  # founds a cluster of its own
        other = cluster.node("x").catalog.state.cluster
        assert other != cluster.node("n1").catalog.state.cluster
        await cluster.stop("x")
        with pytest.raises(BaseExceptionGroup) as caught:
            await cluster.start("x", join=[cluster.hosts["n1"].address])
        assert caught.group_contains(WrongCluster)
        assert len(cluster.node("n1").catalog.state.members) == 3


async def test_a_node_whose_address_another_cluster_took_is_not_mistaken_for_it() -> None:
    async with open_cluster(seed=14) as cluster, cluster.client("n1") as db:
        await filled(cluster)
        cluster.kill("n3")
        stranger = cluster.add_host("x")
        stranger.address = cluster.hosts["n3"].address
        await cluster.start("x", join=[])
        await trio.sleep(30.0)
        assert sees(cluster, "n1", "n3") is Liveness.DEAD
        await db.collection("docs").upsert(ids=[1], vectors=[[5]])
        assert len(cluster.node("x").catalog.state.members) == 1
        cluster.kill("x")
        await cluster.start("n3")
        del cluster.hosts["x"]
        await rested(cluster)


# --- restored disks ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("boots", [0, 1, 2])
@pytest.mark.parametrize("stopped", [False, True])
async def test_a_restored_disk_is_refused(boots: int, stopped: bool) -> None:
    """Copied, used on for `boots` more starts, and put back: to others it would be an owner that forgot its acks."""
    async with open_cluster(seed=15) as cluster, cluster.client("n1", "n2") as db:
        await filled(cluster, shards=1)
        host = cluster.hosts["n3"]
        docs = db.collection("docs")
        if stopped:
            await cluster.stop("n3")
        saved = stores(cluster, "n3")
        if stopped:
            await cluster.start("n3")
        for _ in range(boots):
            await trio.sleep(3.0)
            cluster.kill("n3")
            await cluster.start("n3")
        await docs.upsert(ids=range(20, 30), vectors=[[n] for n in range(10)], consistency="all")
        await trio.sleep(3.0)
        cluster.kill("n3")
        restore(cluster, "n3", saved)
        await cluster.start("n3", wait=False)
        await trio.sleep(120.0)  # its counter grows as it runs, which is no evidence of anything
        assert host.node is None or sees(cluster, "n1", "n3") is Liveness.DEAD
        assert sees(cluster, "n2", "n3") is Liveness.DEAD
        assert host.node is None, "the node that was refused ends"
        assert PermissionDenied in kinds(host.failures)
        assert (await docs.get(range(20, 30)))[0] is not None


def kinds(failures: list[BaseException]) -> set[type[BaseException]]:
    found: set[type[BaseException]] = set()
    for failure in failures:
        found |= kinds(list(failure.exceptions)) if isinstance(failure, BaseExceptionGroup) else {type(failure)}
    return found


Stores = dict[str, dict[bytes, bytes]]


def stores(cluster: Cluster, name: str) -> Stores:
    """A copy of a disk."""
    disk = cluster.hosts[name].disk
    return {each: dict(store.table.pairs) for each, store in disk._stores.items()}


def restore(cluster: Cluster, name: str, saved: Stores) -> None:
    """The copy put back, while no process runs."""
    disk = cluster.hosts[name].disk
    disk._stores.clear()
    for each, pairs in saved.items():
        handle = disk.open(each)
        handle.write(list(pairs.items()), sync=True)
        handle.close()


async def test_a_restored_disk_that_met_nobody_at_its_start_is_refused_when_it_does() -> None:
    async with open_cluster(seed=18) as cluster:
        await filled(cluster, shards=1)
        host = cluster.hosts["n3"]
        await cluster.stop("n3")
        saved = stores(cluster, "n3")
        await cluster.start("n3")
        await trio.sleep(10.0)
        cluster.kill("n3")
        restore(cluster, "n3", saved)
        cluster.network.partition([["n3"]])
        await cluster.start("n3")
        await trio.sleep(120.0)  # its counter is by now above all that was seen of it
        assert host.node is not None
        cluster.network.heal()
        await cluster.until(lambda: host.node is None, within=40.0, what="it ends")
        assert kinds(host.failures) == {PermissionDenied}


async def test_a_restored_disk_may_come_back_in_its_true_state() -> None:
    async with open_cluster(seed=16) as cluster:
        await filled(cluster, shards=1)
        saved = stores(cluster, "n3")
        await trio.sleep(20.0)
        cluster.kill("n3")
        true = stores(cluster, "n3")
        restore(cluster, "n3", saved)
        with pytest.raises(BaseExceptionGroup):
            await cluster.start("n3")
        cluster.hosts["n3"].failures.clear()
        restore(cluster, "n3", true)
        await cluster.start("n3")
        await rested(cluster)


async def test_an_honest_node_is_not_taken_for_a_restored_one() -> None:
    async with open_cluster(seed=17) as cluster:
        await filled(cluster)
        cluster.network.set_delay(0.001, 0.2)
        for n in range(6):
            cluster.kill("n3", power=n % 2 == 0)
            await cluster.start("n3")
            await trio.sleep(0.3 * n)
        await rested(cluster)
        assert not cluster.hosts["n3"].failures


async def test_a_restored_disk_that_ran_by_itself_and_was_started_again_is_refused() -> None:
    """By then it has more starts and a higher counter than was ever seen of it."""
    async with open_cluster(seed=19) as cluster:
        await filled(cluster, shards=1)
        host = cluster.hosts["n3"]
        saved = stores(cluster, "n3")
        await trio.sleep(5.0)
        cluster.kill("n3")
        await cluster.start("n3")
        await trio.sleep(10.0)
        cluster.kill("n3")
        restore(cluster, "n3", saved)
        cluster.network.partition([["n3"]])
        for _ in range(3):
            await cluster.start("n3")
            await trio.sleep(60.0)
            cluster.kill("n3")
        cluster.network.heal()
        await cluster.start("n3", wait=False)
        await cluster.until(lambda: host.node is None, within=40.0, what="it ends")
        assert kinds(host.failures) == {PermissionDenied}


@pytest.mark.parametrize("apart", [False, True])
async def test_two_processes_on_copies_of_one_folder_are_noticed(apart: bool) -> None:
    async with open_cluster(nodes=4, seed=20) as cluster:
        await filled(cluster, shards=1)
        await cluster.stop("n4")
        saved = stores(cluster, "n4")
        twin = cluster.add_host("twin")
        restore(cluster, "twin", saved)
        true = cluster.hosts["n4"]
        if apart:  # each is taken for the true one by those who meet it first
            cluster.network.partition([["n1", "n4"], ["n2", "n3", "twin"]])
        await cluster.start("n4", wait=False)
        await cluster.start("twin", wait=False, join=[cluster.hosts["n2"].address])
        await trio.sleep(20.0)
        cluster.network.heal()
        await cluster.until(lambda: None in (true.node, twin.node), within=60.0, what="at least one of them ends")
        for host in (true, twin):
            assert host.node is not None or kinds(host.failures) == {PermissionDenied}
        if apart:
            await cluster.until(lambda: (true.node, twin.node) == (None, None), within=60.0, what="both end")
        await cluster.until(cluster.agreed, within=60.0)
