"""Searches that a node answers by itself: which ones, and what is left to the general way."""

from __future__ import annotations

import math
from dataclasses import MISSING, dataclass, field, fields, replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing

from tests.unit.node.beginning import begun
from vectron_p2p.model.collections import CollectionOptions
from vectron_p2p.model.errors import DeadlineExceeded, InvalidArgument, Overloaded, StaleEpoch, VectronError
from vectron_p2p.model.ids import CollectionId, NodeId
from vectron_p2p.node.coordinator import local_searches, searches
from vectron_p2p.node.coordinator.local_searches import PLAIN as PLAIN_FIELDS
from vectron_p2p.node.coordinator.local_searches import LocalSearches
from vectron_p2p.protocol import messages as m
from vectron_p2p.protocol.events import Request
from vectron_p2p.protocol.patterns import Pattern
from vectron_p2p.runtime.callbacks import Done, TakeBack
from vectron_p2p.runtime.real import TrioClock

ME, OTHER = NodeId("me"), NodeId("other")
HITS = m.HitList([1], b"\0\0\x80\x3f", [bytes(40)], [], b"")
PLAIN = m.Search(
    collection="docs", vectors=bytes(8), count=1, dimension=2, id=None, k=10, offset=0, filter=None, ef=None,
    exact=False, score_threshold=None, with_payload=False, with_vector=False, consistency="one", timeout=None,
    explain=False,
)  # fmt: skip


@dataclass
class State:
    """A catalog of one collection; `read`: who is read, shard by shard."""

    read: list[tuple[NodeId, ...]]
    epoch: int = 7
    looks: int = 0
    dimension: int = 2

    def collection(self, name: str) -> Any:
        if name != "docs":
            return None
        options = CollectionOptions(self.dimension, "cosine", len(self.read), 1)
        return SimpleNamespace(id=CollectionId("c"), name=name, options=options, shards=len(self.read))

    def route(self, shard: Any) -> Any:
        self.looks += 1
        return SimpleNamespace(read=self.read[shard.index])


@dataclass
class Bench:
    state: State = field(default_factory=lambda: State([(ME,), (OTHER, ME)]))
    refused: list[dict[str, Any] | None] = field(default_factory=lambda: [None, None])
    error: Exception | None = None
    takes: float = 0.0
    not_now: VectronError | None = None
    messages: list[m.SearchShards] = field(default_factory=list)
    asked: list[tuple[int, float]] = field(default_factory=list)
    patterns: dict[str, Pattern] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.searches = LocalSearches(ME, TrioClock(), SimpleNamespace(state=self.state), self.own)  # type: ignore[arg-type]

    def own(self, message: m.SearchShards) -> Any:
        self.messages.append(message)
        return self

    def begin(self, vector: bytes, deadline: float, done: Done, *, lone: Any = None) -> TakeBack:
        """As an `OwnSearch`."""
        if self.not_now is not None:
            raise self.not_now
        return begun(partial(self.search, vector, 1, deadline), done)

    async def search(self, vectors: bytes, count: int, deadline: float) -> m.ShardsReply:
        """As an `OwnSearch`."""
        self.asked.append((count, deadline))
        await trio.sleep(self.takes)
        if self.error is not None:
            raise self.error
        return m.ShardsReply([[HITS] * count], self.refused, None)

    async def ask(self, asked: m.Search = PLAIN, *, timeout: float = 5.0, bounded: bool = False) -> Any:
        """Both ways, which agree."""
        reply: Any = await self.searches.search(asked, timeout=timeout, bounded=bounded)
        if asked.count == 1:
            for request in (Request(1, asked, timeout), self.alike(asked, timeout), self.alike(asked, timeout)):
                quick = await quickly(self.searches, request, trio.current_time() + timeout)
                assert (quick is None) == (reply is None)
                assert quick is None or quick.results == reply.results
        return reply

    def alike(self, asked: m.Search, timeout: float) -> Request:
        """As one that is equal to an earlier one but for its vector."""
        pattern = self.patterns.setdefault(repr(asked), Pattern(replace(asked, vectors=b""), "vectors", b"", b""))
        return Request(1, None, timeout, pattern=pattern, bulk=asked.vectors)


async def quickly(searches: LocalSearches, request: Request, deadline: float) -> Any:
    given: list[Any] = []
    arrived = trio.Event()

    def done(answer: Any) -> None:
        given.append(answer)
        arrived.set()

    if searches.begin(request, trio.current_time(), deadline, done) is None:
        return None
    await arrived.wait()
    return given[0]


async def test_a_plain_search_is_one_call(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench()
    now = trio.current_time()
    for _ in range(3):
        reply = await bench.ask(replace(PLAIN, ef=50, filter={"a": 1}, score_threshold=0.5, k=3))
        assert (reply.results, reply.missing_shards) == ([HITS], [])
    (message,), (_, deadline) = bench.messages, bench.asked[0]
    assert (message.shards, message.epoch, message.merge) == ([0, 1], 7, True)
    assert (message.ef, message.filter, message.score_threshold, message.k) == (50, {"a": 1}, 0.5, 3)
    assert deadline == now + 5.0
    assert bench.state.looks == 2, "looked up once for a state of the catalog"
    routes: Any = bench.searches._routes
    routes.state = replace(bench.state)
    await bench.ask()
    assert len(bench.messages) == 2


async def test_so_are_many_queries() -> None:
    bench = Bench()
    reply = await bench.ask(replace(PLAIN, count=3, vectors=bytes(24)))
    assert (reply.results, bench.asked[0][0]) == ([HITS] * 3, 3)


@pytest.mark.parametrize(
    "asked",
    [
        replace(PLAIN, consistency="quorum"),
        replace(PLAIN, id=0),
        replace(PLAIN, offset=1),
        replace(PLAIN, explain=True),
        replace(PLAIN, positive=[1]),
        replace(PLAIN, group_by="kind"),
        replace(PLAIN, collection="none"),
        replace(PLAIN, k=0),
        replace(PLAIN, dimension=3),
        replace(PLAIN, vectors=bytes(12)),
        replace(PLAIN, filter={"a": {"$wrong": 1}}),
        replace(PLAIN, score_threshold=float("nan")),
    ],
)
async def test_what_is_not_plain_goes_the_general_way(asked: m.Search) -> None:
    bench = Bench()
    assert await bench.ask(asked) is None
    assert not bench.asked


def test_fields_that_are_added_later_are_plain_by_default() -> None:
    later = {entry.name for entry in fields(m.Search) if entry.default is not MISSING}
    assert later
    assert later <= set(PLAIN_FIELDS) | {"together"}, "which is of no account to who finds the hits"


async def test_shards_that_are_read_elsewhere_only() -> None:
    assert await Bench(state=State([(ME,), (OTHER,)])).ask() is None


@pytest.mark.parametrize("error", [StaleEpoch("moved", epoch=8, node=ME), Overloaded("much to do")])
async def test_refusals_are_left_to_the_general_way(error: Any) -> None:
    assert await Bench(refused=[None, error.to_wire()]).ask() is None
    assert await Bench(error=error).ask() is None
    assert await Bench(not_now=error).ask() is None


async def test_an_answer_too_large_is_refused_by_the_general_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_searches, "MAX_REPLY_BYTES", -1)
    assert searches.MAX_REPLY_BYTES > 0
    assert await Bench().ask(replace(PLAIN, with_payload=True)) is None
    assert await Bench().ask(replace(PLAIN, with_vector=True)) is None
    assert await Bench().ask() is not None, "hits without rows are bounded by k"


async def test_the_time_given_is_kept(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench(takes=60.0)
    with pytest.raises(DeadlineExceeded):
        await bench.ask(timeout=5.0)
    assert trio.current_time() - bench.asked[0][1] < 1.0
    with trio.move_on_after(10.0) as scope:
        await bench.ask(timeout=5.0, bounded=True)
    assert scope.cancelled_caught, "the caller's own scope, and no other"


async def test_the_time_of_the_call_is_the_deadline_if_it_is_less(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench()
    now = trio.current_time()
    await quickly(bench.searches, Request(1, replace(PLAIN, timeout=2.0), None), now + 5.0)
    await quickly(bench.searches, Request(1, replace(PLAIN, timeout=9.0), None), now + 5.0)
    assert [deadline for _, deadline in bench.asked] == [now + 2.0, now + 5.0]


@pytest.mark.parametrize("error", [DeadlineExceeded("late"), InvalidArgument("NaN", field="vector")])
async def test_what_the_general_way_would_say_too_is_said(error: VectronError) -> None:
    bench = Bench(error=error)
    assert await quickly(bench.searches, Request(1, PLAIN, None), math.inf) is error
    with pytest.raises(type(error)):
        await bench.searches.search(PLAIN, timeout=5.0, bounded=False)
