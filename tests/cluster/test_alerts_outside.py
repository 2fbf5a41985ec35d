"""What the outside is told when senders, answers or the figures of a node are bad."""

from __future__ import annotations

import pytest
import trio

from tests.cluster.looking import dead_to_all
from tests.cluster.test_alerts import HOOK, down, everywhere, report, said
from vectron_p2p.alerts.delivery import ranked
from vectron_p2p.model.errors import ConsistencyError, InvalidArgument
from vectron_p2p.testing.cluster import Cluster, open_cluster


def order(cluster: Cluster, who: str) -> list[str]:
    """Names of running nodes, as they are ranked to tell of `who`."""
    names: dict[str, str] = {cluster.node(host.name).identity.node: host.name for host in cluster.up}
    members = cluster.node(cluster.up[0].name).catalog.state.members
    subject = next(node for node, member in members.items() if member.name == who)
    return [names[node] for node in ranked("\0".join(("ops", "node_down", subject)), names)]


async def routed(cluster: Cluster) -> None:
    async with cluster.client() as db:
        await db.set_alert_route("ops", HOOK)


async def test_another_node_tells_when_the_first_is_cut_off_from_the_receiver() -> None:
    async with open_cluster(nodes=4, seed=21) as cluster:
        await routed(cluster)
        cluster.kill("n4")
        first, second, _ = order(cluster, "n4")
        cluster.outside.cut_off.add(first)
        await cluster.until(lambda: said(cluster, "firing", "n4") == 1, within=90.0, what="it is told")
        assert [each.host for each in cluster.outside.delivered] == [second]
        cluster.outside.cut_off.clear()
        await cluster.start("n4")
        await cluster.until(lambda: said(cluster, "resolved", "n4") == 1, within=90.0, what="its end is told")
        assert said(cluster, "firing", "n4") == 1


async def test_another_node_tells_when_the_first_dies() -> None:
    async with open_cluster(nodes=5, seed=22) as cluster:
        await routed(cluster)
        cluster.kill("n5")
        first = order(cluster, "n5")[0]
        cluster.outside.cut_off.add(first)
        await cluster.until(lambda: everywhere(cluster, "n5"), within=10.0)
        cluster.kill(first)
        await cluster.until(lambda: said(cluster, "firing", "n5") == 1, within=60.0, what="it is told")
        await cluster.until(lambda: said(cluster, "firing", first) == 1, within=60.0, what="that too")


async def test_a_lost_answer_repeats_the_word_under_the_same_key() -> None:
    async with open_cluster(nodes=3, seed=23) as cluster:
        await routed(cluster)
        cluster.outside.lost = 1
        cluster.kill("n3")
        await cluster.until(lambda: said(cluster, "firing", "n3") == 2, within=60.0, what="it is told again")
        keys = {each.headers["Idempotency-Key"] for each in cluster.outside.delivered if each.body["name"] == "n3"}
        assert len(keys) == 1


async def test_a_program_of_one_machine_is_run_there_alone() -> None:
    async with open_cluster(nodes=3, seed=24) as cluster:
        cluster.kill("n2")
        cluster.hosts["n2"].alert_command = "/opt/page"
        await cluster.start("n2")
        await cluster.until(lambda: not report(cluster, "n1").active, within=60.0)
        cluster.outside.delivered.clear()
        cluster.kill("n3")
        await cluster.until(lambda: said(cluster, "firing", "n3") == 1, within=60.0, what="the program is run")
        assert {(each.host, each.where) for each in cluster.outside.delivered} == {("n2", "/opt/page")}


async def test_least_severity_of_a_route_and_a_route_that_is_taken_away() -> None:
    async with open_cluster(nodes=3, seed=25) as cluster, cluster.client() as db:
        await db.set_alert_route("ops", HOOK, severity="critical")
        cluster.hosts["n2"].usage.memory = 97.0
        await cluster.until(
            lambda: all(
                [(each.rule, each.name) for each in report(cluster, host.name).active] == [("memory", "n2")]
                for host in cluster.up
            ),
            within=120.0,
            what="all know that n2 is short of memory",
        )
        await db.remove_alert_route("ops")
        assert (await db.alerts()).routes == []
        cluster.kill("n3")
        await cluster.until(lambda: everywhere(cluster, "n3"), within=10.0)
        await db.set_alert_route("all", HOOK)
        await cluster.until(lambda: said(cluster, "firing", "n3") == 1, within=60.0)
        rules = {each.body["rule"] for each in cluster.outside.delivered}
        assert rules <= {"memory", "node_down"}
        cluster.hosts["n2"].usage.memory = 20.0
        await cluster.until(
            lambda: [each.rule for each in report(cluster, "n1").active] == ["node_down"],
            within=60.0,
            what="it is over",
        )


async def test_requests_that_fail_are_an_alert_of_the_node_that_took_them() -> None:
    async with open_cluster(nodes=3, seed=26) as cluster, cluster.client("n1") as db:
        docs = await db.create_collection("docs", dimension=2, metric="l2", shards=1)
        await db.set_alert_rule("error_rate", for_s=10.0)
        for rule in ("under_replicated", "node_down"):
            await db.set_alert_rule(rule, enabled=False)

        for number in range(30):
            with pytest.raises(InvalidArgument):  # its own fault: nothing that an operator has to look after
                await docs.search([float(number)], k=1)
        await trio.sleep(30.0)
        assert not report(cluster, "n2").active

        cluster.kill("n3")
        await dead_to_all(cluster, "n3")
        for number in range(30):
            await docs.get([number])
            with pytest.raises(ConsistencyError):
                await docs.upsert(ids=[number], vectors=[[1.0, 2.0]], consistency="all")
        await cluster.until(
            lambda: [(each.rule, each.name) for each in report(cluster, "n2").active] == [("error_rate", "n1")],
            within=40.0,
            what="n2 knows it of n1",
        )
        await cluster.until(lambda: not report(cluster, "n2").active, within=120.0, what="a minute later it is over")
        assert not down(cluster, "n1", "n2")


async def test_subscribers_see_alerts_come_and_go() -> None:
    async with open_cluster(nodes=3, seed=27) as cluster, cluster.client("n1") as db:
        states: list[str] = []
        async for event in db.watch("alerts", interval=5.0):
            states += [each.state for each in event.view["alerts"].values() if each.name == "n3"][:1]
            if not states and cluster.hosts["n3"].up:
                cluster.kill("n3")
            elif states and states[-1] == "firing" and not cluster.hosts["n3"].up:
                await cluster.start("n3")
            elif states and states[-1] == "resolved":
                break
        assert "firing" in states
