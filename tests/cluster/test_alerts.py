"""Alerts of whole nodes: on every node, once, gone by themselves, told once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from tests.cluster.looking import dead_to_all
from vectron_p2p.model.errors import NotFound, Unavailable
from vectron_p2p.testing.cluster import Cluster, open_cluster

if TYPE_CHECKING:
    from vectron_p2p.model.alerts import Alert, AlertsReport

HOOK = "http://hooks.example/vectron"


def report(cluster: Cluster, name: str) -> AlertsReport:
    return cluster.node(name)._alerting.reports.report()


def down(cluster: Cluster, at: str, who: str) -> list[Alert]:
    """Active alerts at node `at` that say that `who` is down."""
    return [each for each in report(cluster, at).active if (each.rule, each.name) == ("node_down", who)]


def everywhere(cluster: Cluster, who: str) -> bool:
    """Whether every running node has one alert about `who`, the same."""
    found = [down(cluster, host.name, who) for host in cluster.up]
    return all(len(each) == 1 for each in found) and len({each[0].id for each in found}) == 1


def nowhere(cluster: Cluster, who: str) -> bool:
    return not any(down(cluster, host.name, who) for host in cluster.up)


def said(cluster: Cluster, status: str, who: str) -> int:
    """How often the outside was told."""
    bodies = [each.body for each in cluster.outside.delivered if each.body["rule"] == "node_down"]
    return sum(body["status"] == status and body["name"] == who for body in bodies)


async def test_a_dead_node_is_one_alert_on_every_node_and_one_word_outside() -> None:
    async with open_cluster(nodes=5, seed=3) as cluster:
        async with cluster.client() as db:
            await db.set_alert_route("ops", HOOK)
        began = trio.current_time()
        cluster.kill("n4")
        await cluster.until(lambda: everywhere(cluster, "n4"), within=10.0, what="the alert is on every node")
        assert trio.current_time() - began <= 10.0
        ids = {down(cluster, host.name, "n4")[0].id for host in cluster.up}
        await cluster.until(lambda: said(cluster, "firing", "n4") == 1, within=10.0, what="it is told")
        await trio.sleep(120.0)
        assert everywhere(cluster, "n4")
        assert {down(cluster, host.name, "n4")[0].id for host in cluster.up} == ids
        assert said(cluster, "firing", "n4") == 1

        await cluster.start("n4")
        await cluster.until(lambda: nowhere(cluster, "n4"), within=30.0, what="it is resolved by itself")
        await cluster.until(lambda: said(cluster, "resolved", "n4") == 1, within=30.0, what="that is told")
        await trio.sleep(60.0)
        assert [said(cluster, status, "n4") for status in ("firing", "resolved")] == [1, 1]
        histories = [
            [(each.id, each.since, each.ended) for each in report(cluster, host.name).history if each.name == "n4"]
            for host in cluster.up
        ]
        assert len(histories) == 5
        assert all(len(each) == 1 and each == histories[0] for each in histories)


async def test_alerts_need_no_catalog_quorum_and_changes_say_that_they_do() -> None:
    async with open_cluster(nodes=3, seed=4) as cluster:
        cluster.kill("n2")
        cluster.kill("n3")

        def seen() -> bool:
            rules = sorted((each.rule, each.name) for each in report(cluster, "n1").active)
            return {("catalog_quorum", "catalog"), ("node_down", "n2"), ("node_down", "n3")} <= set(rules)

        await cluster.until(seen, within=30.0, what="all three alerts are there")
        async with cluster.client("n1", timeout=5.0) as db:
            alerts = (await db.alerts()).active
            began = trio.current_time()
            with pytest.raises(Unavailable, match="voters are alive"):
                await db.acknowledge_alert(alerts[0].id)
            assert trio.current_time() - began < 5.5
        await cluster.start("n2")
        await cluster.until(
            lambda: (
                [(each.rule, each.name) for each in report(cluster, "n2").active if each.rule != "under_replicated"]
                == [("node_down", "n3")]
                == [(each.rule, each.name) for each in report(cluster, "n1").active if each.rule != "under_replicated"]
            ),
            within=40.0,
            what="one is left",
        )


async def test_both_sides_of_a_partition_find_one_alert_when_it_heals() -> None:
    async with open_cluster(nodes=5, seed=5) as cluster:
        async with cluster.client() as db:
            await db.set_alert_route("ops", HOOK)
        cluster.network.partition([["n1", "n2", "n3"], ["n4", "n5"]])
        await dead_to_all_of(cluster, ["n1", "n2"], "n4")
        cluster.kill("n3")
        await cluster.until(
            lambda: all(len(down(cluster, name, "n3")) == 1 for name in ("n1", "n2", "n4", "n5")),
            within=60.0,
            what="both sides say that n3 is down",
        )
        await trio.sleep(5.0)
        before = said(cluster, "firing", "n3")
        cluster.network.heal()
        await cluster.until(
            lambda: everywhere(cluster, "n3") and all(nowhere(cluster, name) for name in ("n1", "n2", "n4", "n5")),
            within=60.0,
            what="one alert is left, about the dead node",
        )
        await trio.sleep(30.0)
        assert everywhere(cluster, "n3")
        assert said(cluster, "firing", "n3") == before
        past = [[(each.id, each.name) for each in report(cluster, host.name).history] for host in cluster.up]
        assert all(each == past[0] for each in past)
        assert "n3" not in {name for _, name in past[0]}


async def dead_to_all_of(cluster: Cluster, names: list[str], who: str) -> None:
    await cluster.until(
        lambda: all(len(down(cluster, name, who)) == 1 for name in names), within=60.0, what=f"{who} is down to {names}"
    )


async def test_what_one_does_about_an_alert_all_see() -> None:
    async with open_cluster(nodes=3, seed=6) as cluster:
        async with cluster.client("n1") as one, cluster.client("n2") as two:
            await one.set_alert_route("ops", HOOK)
            await one.silence_alerts("n3", 40.0)
            cluster.kill("n3")
            await dead_to_all(cluster, "n3")
            await cluster.until(lambda: everywhere(cluster, "n3"), within=10.0, what="the alert is there")
            alert = next(each for each in (await two.alerts()).active if each.name == "n3")
            assert alert.silenced_until > alert.since
            await trio.sleep(10.0)
            assert said(cluster, "firing", "n3") == 0
            await two.acknowledge_alert(alert.id)
            await cluster.until(
                lambda: all(down(cluster, name, "n3")[0].state == "acknowledged" for name in ("n1", "n2")),
                within=5.0,
                what="all see that somebody is at it",
            )
            await trio.sleep(40.0)
            assert said(cluster, "firing", "n3") == 0
            await one.resolve_alert(alert.id)
            await cluster.until(lambda: nowhere(cluster, "n3"), within=5.0, what="it is closed at all")
            assert next(each for each in report(cluster, "n2").history if each.id == alert.id).state == "resolved"
            with pytest.raises(NotFound):
                await two.acknowledge_alert(alert.id)
            report_after = await one.set_alert_rule("node_down", enabled=False)
            assert not next(rule for rule in report_after.rules if rule.name == "node_down").enabled
