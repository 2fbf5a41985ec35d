"""Subscriptions as a flow: what is asked after which answer, and what the subscriber holds."""

from __future__ import annotations

import threading
import time
from dataclasses import asdict, replace
from typing import Any

import anyio
import pytest

from tests.unit.client.fake_node import HANG_UP, NODE, FakeNode, cluster_info, collection_info
from tests.unit.client.test_flows import A, World, script
from vectron_p2p.client.async_client import AsyncClient
from vectron_p2p.client.steps import LinkLost
from vectron_p2p.client.sync_client import connect
from vectron_p2p.client.watching import AGAIN_S, GATHER_S, Watch
from vectron_p2p.model.collections import CollectionInfo
from vectron_p2p.model.errors import InvalidArgument, NotFound, Overloaded, Unavailable
from vectron_p2p.model.watching import TOPICS
from vectron_p2p.protocol import messages

DOCS, MORE = asdict(collection_info("docs")), asdict(collection_info("more"))
GONE = NotFound("this node knows no such subscription", field="subscription")


def event(sequence: int, changed: dict[str, Any], *, full: bool = False, **removed: Any) -> messages.WatchReply:
    return messages.WatchReply("s1", sequence, NODE, 12.0, 3, full, changed, removed)


def test_the_view_follows_the_events() -> None:
    world = World(
        script(
            event(1, {"collections": {"docs": DOCS}, "weather": {"here": "rain"}}, full=True),
            event(2, {"collections": {"more": MORE}}),
            event(3, {}),
            event(4, {"collections": {"more": {**MORE, "count": 9}}}, collections=["docs"]),
        )
    )
    watch = Watch(world.session, ("collections", "weather"), 1.0)
    first, second, third, fourth = (world.run(watch.next()) for _ in range(4))
    assert first.full
    assert isinstance(first.view["collections"]["docs"], CollectionInfo)
    assert first.view["weather"] == {"here": "rain"}  # a topic that this version does not know stays plain
    assert set(second.view["collections"]) == {"docs", "more"}
    assert third.view == second.view
    assert not third.changed
    assert {name: each.count for name, each in fourth.view["collections"].items()} == {"more": 9}
    assert set(second.view["collections"]) == {"docs", "more"}  # what was given out stays as it was
    assert world.calls[0].message == messages.Watch(["collections", "weather"], 1.0)
    assert [call.message for call in world.calls[1:]] == [messages.WatchNext("s1", seen) for seen in (1, 2, 3)]
    assert world.session.epoch == 3


def part(sequence: int, changed: dict[str, Any], *, full: bool = False, **removed: Any) -> messages.WatchReply:
    return replace(event(sequence, changed, full=full, **removed), more=True)


def test_a_large_event_is_given_out_when_all_its_parts_are_there() -> None:
    world = World(
        script(
            part(1, {"collections": {"a": DOCS}}, full=True),
            part(2, {"collections": {"b": DOCS}}),
            event(3, {"weather": {"here": "rain"}}),
            part(4, {"collections": {"c": DOCS}}, collections=["a"]),
            event(5, {}),
        )
    )
    watch = Watch(world.session, ("collections", "weather"), 1.0)
    first, second = world.run(watch.next()), world.run(watch.next())
    assert first.full
    assert not second.full
    assert (set(first.view["collections"]), first.view["weather"]) == ({"a", "b"}, {"here": "rain"})
    assert set(first.changed["collections"]) == {"a", "b"}
    assert set(second.view["collections"]) == {"b", "c"}
    assert [call.message for call in world.calls[1:]] == [messages.WatchNext("s1", seen) for seen in (1, 2, 3, 4)]


def test_parts_of_an_event_that_was_lost_half_way_do_not_count() -> None:
    world = World(
        script(
            part(1, {"collections": {"a": DOCS}}, full=True),
            GONE,
            part(1, {"collections": {"b": DOCS}}, full=True),
            event(2, {"collections": {"c": DOCS}}),
        )
    )
    found = world.run(Watch(world.session, ("collections",), 1.0).next())
    assert found.full
    assert set(found.view["collections"]) == set(found.changed["collections"]) == {"b", "c"}


def test_all_topics_by_default() -> None:
    world = World(script(event(1, {}, full=True)))
    assert set(world.run(Watch(world.session, (), 1.0).next()).view) == set(TOPICS)


def test_a_node_that_forgot_is_asked_to_begin_anew() -> None:
    world = World(script(event(1, {"collections": {"docs": DOCS}}, full=True), GONE, event(1, {}, full=True)))
    watch = Watch(world.session, ("collections",), 1.0)
    world.run(watch.next())
    again = world.run(watch.next())
    assert again.full
    assert again.view == {"collections": {}}
    assert [type(call.message) for call in world.calls] == [messages.Watch, messages.WatchNext, messages.Watch]


def test_while_nobody_answers_each_attempt_says_so() -> None:
    lost = LinkLost("refused", sent=False)
    answers = [event(1, {"collections": {"docs": DOCS}}, full=True)]

    def answer(call: Any) -> Any:
        if answers:
            return answers.pop()
        raise lost

    world = World(answer)
    watch = Watch(world.session, ("collections",), 1.0)
    first, began = world.run(watch.next()), world.now
    for _ in range(3):
        found = world.run(watch.next())
        assert "no node can be reached" in found.lost
        assert (found.node, found.at, found.view) == ("", 0.0, first.view)
    assert world.now - began <= 3 * (1.0 + GATHER_S) + 2 * AGAIN_S
    answers.append(event(7, {}, full=True))
    assert not world.run(watch.next()).lost


@pytest.mark.parametrize("error", [Unavailable("no"), InvalidArgument("no", field="topics"), Overloaded("no")])
def test_at_first_errors_are_raised(error: Exception) -> None:
    world = World(script(error), A, timeout=3.0)
    with pytest.raises(type(error)):
        world.run(Watch(world.session, (), 1.0).next())


def test_bad_arguments() -> None:
    world = World(script(event(1, {})))
    with pytest.raises(InvalidArgument, match="topic"):
        Watch(world.session, (1,), 1.0)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="interval"):
        Watch(world.session, (), -1.0)


class Watched:
    """A node with subscriptions: an event every 50 ms."""

    def __init__(self) -> None:
        self.sequence = 0
        self.lock = threading.Lock()

    def __call__(self, message: Any) -> Any:
        if isinstance(message, messages.WatchNext) and message.subscription != str(id(self)):
            raise GONE
        with self.lock:
            self.sequence += 1
        if isinstance(message, messages.WatchNext):
            time.sleep(0.05)  # the node's thread: it holds the request, as a node does
        full = isinstance(message, messages.Watch)
        fields = asdict(cluster_info())
        return messages.WatchReply(
            str(id(self)), self.sequence, NODE, 1.0, 1, full, {"cluster": {"": fields}} if full else {}
        )


def test_the_blocking_client_goes_on_at_another_node() -> None:
    with FakeNode(Watched()) as one, FakeNode(Watched()) as other:
        with connect(f"{one.target},{other.target}", timeout=5.0) as db:
            events = db.watch("cluster")
            first = next(events)
            assert first.full
            assert first.view["cluster"][""] == cluster_info()
            assert not next(events).full
            used = one if one.requests else other
            used.stop()
            assert next(event for event in events if event.full).full


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_the_asynchronous_client_goes_on_at_another_node(anyio_backend: str) -> None:
    with FakeNode(Watched()) as one, FakeNode(Watched()) as other:
        async with AsyncClient(f"{one.target},{other.target}", timeout=5.0) as db:
            fulls = 0
            with anyio.fail_after(10.0):
                async for found in db.watch("cluster"):
                    fulls += found.full
                    if fulls == 2:
                        break
                    used = one if one.requests else other
                    await anyio.to_thread.run_sync(used.stop)


def test_a_connection_that_breaks_costs_nothing_but_a_snapshot() -> None:
    replies = iter([event(1, {}, full=True), HANG_UP, event(2, {})])
    with FakeNode(lambda _: next(replies)) as node, connect(node.target, timeout=5.0) as db:
        events = db.watch("collections")
        assert next(events).full
        assert not next(events).lost
        assert node.requests[1:] == [messages.WatchNext("s1", 1)] * 2  # the node sends everything if it had sent more
