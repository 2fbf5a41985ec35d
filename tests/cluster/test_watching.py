"""Subscriptions: everything first, then what changes, from whichever node is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from vectron_p2p.model.errors import InvalidArgument, NotFound, Overloaded, Unavailable
from vectron_p2p.model.nodes import ClusterInfo
from vectron_p2p.model.statistics import NodeStatistics, ReplicaStatistics
from vectron_p2p.model.watching import TOPICS, WatchEvent
from vectron_p2p.node import event_parts
from vectron_p2p.node.watching import FORGET_AFTER_S, MAX_SUBSCRIPTIONS
from vectron_p2p.protocol import messages as m
from vectron_p2p.testing.cluster import Cluster, open_cluster

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


def who(cluster: Cluster, name: str) -> str:
    return cluster.node(name).identity.node


async def until(
    events: AsyncIterator[WatchEvent], condition: Callable[[WatchEvent], bool], *, within: float
) -> WatchEvent:
    with trio.move_on_after(within):
        async for event in events:
            if condition(event):
                return event
    raise AssertionError(f"no such event within {within:g} s")


def liveness(event: WatchEvent) -> dict[str, str]:
    return {node.name: node.liveness for node in event.view["cluster"][""].nodes}


async def test_everything_first_then_what_changes() -> None:
    async with open_cluster(seed=21) as cluster, cluster.client("n1") as db:
        docs = await db.create_collection("docs", dimension=2, shards=2)
        await docs.upsert(ids=[0], vectors=[[1, 1]], consistency="all")
        await trio.sleep(1.0)
        events = db.watch()
        first = await anext(events)
        assert first.full
        assert first.node == who(cluster, "n1")
        assert set(first.view) == set(TOPICS)
        assert isinstance(first.view["cluster"][""], ClusterInfo)
        assert {type(each) for each in first.view["statistics"].values()} == {NodeStatistics}
        assert len(first.view["shards"]) == 6
        assert set(first.view["collections"]) == {"docs"}
        began = trio.current_time()
        second = await anext(events)
        assert not second.full
        assert 0.9 < trio.current_time() - began < 1.5
        assert "totals" not in second.changed  # nothing happened to them
        assert set(second.changed["statistics"]) == set(first.view["statistics"])  # time goes on for every node
        await docs.upsert(ids=[1], vectors=[[1, 2]], consistency="all")
        third = await anext(events)
        assert {type(each) for each in third.changed["shards"].values()} == {ReplicaStatistics}
        assert sum(each.points for each in third.view["shards"].values()) == 6
        assert third.view["totals"]["docs"].points == 2
        assert second.view["totals"]["docs"].points == 1  # what was given out stays as it was
        assert (
            next(
                each.count
                for each in third.view["operations"][""]
                if (each.kind, each.operation, each.window_s) == ("client", "upsert", 60)
            )
            == 2
        )


async def test_a_large_event_comes_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_parts, "PART_CONTAINERS", 5)
    async with open_cluster(seed=29) as cluster, cluster.client("n1") as db:
        await db.create_collection("docs", dimension=2, shards=8)
        await trio.sleep(1.0)
        events = db.watch("shards", "totals", "statistics")
        first, second = await anext(events), await anext(events)
        assert first.full
        assert not second.full
        assert len(first.view["shards"]) == 24
        assert len(first.view["statistics"]) == 3
        handlers = cluster.node("n1").insight.watching.handlers
        ask = messages_of(handlers)
        begun = await ask(m.Watch(["shards"], 1.0))
        assert begun.full
        assert begun.more
        next_part = await ask(m.WatchNext(begun.subscription, begun.sequence))
        assert next_part.more
        assert not next_part.full
        anew = await ask(m.WatchNext(begun.subscription, begun.sequence))  # it never got the part before
        assert anew.full
        assert anew.changed == begun.changed
        parts = [anew]
        while parts[-1].more:
            parts.append(await ask(m.WatchNext(begun.subscription, parts[-1].sequence)))
        assert sum(len(each.changed["shards"]) for each in parts) == 24


def messages_of(handlers: dict[type, Any]) -> Callable[[Any], Any]:
    """Asks a node without a connection."""
    return lambda message: handlers[type(message)](message, 5.0)


async def test_changes_of_the_catalog_and_of_members_do_not_wait() -> None:
    async with open_cluster(seed=22) as cluster, cluster.client("n1") as db, cluster.client("n2") as other:
        events = db.watch("cluster", "collections", interval=60.0)
        first = await anext(events)
        await trio.sleep(1.0)
        began = trio.current_time()
        await other.create_collection("docs", dimension=2)
        event = await until(events, lambda each: "docs" in each.view["collections"], within=5.0)
        assert trio.current_time() - began < 3.0
        assert event.view["cluster"][""].epoch > first.view["cluster"][""].epoch
        cluster.kill("n3")
        await until(events, lambda each: liveness(each)["n3"] == "dead", within=20.0)
        await cluster.start("n3")
        await until(events, lambda each: liveness(each)["n3"] == "alive", within=20.0)
        await other.delete_collection("docs")
        gone = await until(events, lambda each: "docs" not in each.view["collections"], within=5.0)
        assert gone.removed["collections"] == ["docs"]


async def test_a_killed_node_shows_as_absent() -> None:
    async with open_cluster(seed=23) as cluster, cluster.client("n1") as db:
        dead = who(cluster, "n3")
        events = db.watch("statistics")
        assert (await anext(events)).view["statistics"][dead].answered
        cluster.kill("n3")
        await until(events, lambda each: not each.view["statistics"][dead].answered, within=4.0)


@pytest.mark.parametrize("how", ["killed", "stopped", "cut off"])
async def test_another_node_goes_on(how: str) -> None:
    async with open_cluster(seed=24) as cluster, cluster.client("n1", "n2") as db:
        events = db.watch("cluster", "statistics")
        first = await anext(events)
        name = next(host for host in cluster.hosts if who(cluster, host) == first.node)
        lost = first.node
        began = trio.current_time()
        if how == "killed":
            cluster.kill(name)
        elif how == "stopped":
            await cluster.stop(name)
        else:
            cluster.network.partition([[name], [each for each in [*cluster.hosts, "client"] if each != name]])
        event = await until(events, lambda each: each.node not in ("", lost), within=10.0)
        assert event.full
        assert trio.current_time() - began < 5.0
        assert len(event.view["statistics"]) == 3


async def test_without_any_node_it_says_so_and_goes_on_when_one_is_back() -> None:
    async with open_cluster(nodes=1, seed=25) as cluster, cluster.client() as db:
        events = db.watch("cluster")
        first = await anext(events)
        cluster.kill("n1")
        began = trio.current_time()
        event = await until(events, lambda each: bool(each.lost), within=10.0)
        assert trio.current_time() - began < 4.0
        assert event.view == first.view  # old, and said to be
        assert event.node == ""
        await cluster.start("n1", wait=False)
        event = await until(events, lambda each: not each.lost, within=10.0)
        assert event.full


async def test_at_first_an_unreachable_cluster_is_an_error() -> None:
    async with open_cluster(nodes=1, seed=26) as cluster:
        cluster.kill("n1")
        async with cluster.client(timeout=3.0) as db:
            with pytest.raises(Unavailable):
                await anext(db.watch("cluster"))


async def test_a_slow_consumer_gets_the_newest_and_nothing_is_kept_for_it() -> None:
    async with open_cluster(nodes=1, seed=27) as cluster, cluster.client() as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2")
        events = db.watch("totals", interval=0.2)
        await anext(events)
        for number in range(20):
            await docs.upsert(ids=[number], vectors=[[number]])
            await trio.sleep(1.0)
        event = await anext(events)
        assert event.view["totals"]["docs"].points == 20
        assert event.changed["totals"]["docs"].points == 20
        assert cluster.node("n1").insight.watching.count == 1


async def ask(cluster: Cluster, message: Any) -> Any:
    return await cluster.node("n1").answer_client(message)


async def test_an_event_that_was_lost_is_made_good_by_everything() -> None:
    async with open_cluster(nodes=1, seed=28) as cluster:
        first = await ask(cluster, m.Watch(["cluster"], 0.5))
        assert (first.full, first.sequence) == (True, 1)
        second = await ask(cluster, m.WatchNext(first.subscription, 1))
        assert (second.full, second.sequence, second.changed) == (False, 2, {})
        again = await ask(cluster, m.WatchNext(first.subscription, 1))  # number 2 never arrived
        assert (again.full, again.sequence) == (True, 3)
        assert again.changed == first.changed
        with pytest.raises(NotFound):
            await ask(cluster, m.WatchNext("another", 1))


async def test_the_same_request_twice_ends_the_first() -> None:
    async with open_cluster(nodes=1, seed=29) as cluster, trio.open_nursery() as nursery:
        first = await ask(cluster, m.Watch(["cluster"], 5.0))
        ended: list[str] = []

        async def wait() -> None:
            try:
                await ask(cluster, m.WatchNext(first.subscription, 1))
            except Unavailable:
                ended.append("unavailable")
            else:
                ended.append("event")

        nursery.start_soon(wait)
        await trio.sleep(1.0)
        nursery.start_soon(wait)
        await trio.sleep(0.5)
        assert ended == ["unavailable"]
        await trio.sleep(5.0)
        assert ended == ["unavailable", "event"]


async def test_subscriptions_that_nobody_asks_for_are_forgotten_and_their_number_is_bounded() -> None:
    async with open_cluster(nodes=1, seed=30) as cluster:
        for _ in range(MAX_SUBSCRIPTIONS):
            await ask(cluster, m.Watch(["cluster"], 1.0))
        with pytest.raises(Overloaded):
            await ask(cluster, m.Watch(["cluster"], 1.0))
        await trio.sleep(FORGET_AFTER_S + 1.0)
        await ask(cluster, m.Watch(["cluster"], 1.0))
        assert cluster.node("n1").insight.watching.count == 1


@pytest.mark.parametrize(
    ("topics", "interval", "field"),
    [(("weather",), 1.0, "topics"), (("cluster",), 0.01, "interval"), (("cluster",), 1e6, "interval")],
)
async def test_bad_arguments_name_themselves(topics: tuple[str, ...], interval: float, field: str) -> None:
    async with open_cluster(nodes=1, seed=31) as cluster, cluster.client() as db:
        with pytest.raises(InvalidArgument) as caught:
            await anext(db.watch(*topics, interval=interval))
        assert caught.value.field == field
