"""Searches that a node answers by itself: which ones, and what is left to the general way."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing

from vectron_p2p.model.errors import DeadlineExceeded, Overloaded, StaleEpoch
from vectron_p2p.model.ids import CollectionId, NodeId
from vectron_p2p.node.coordinator import local_searches, searches
from vectron_p2p.node.coordinator.local_searches import LocalSearches
from vectron_p2p.protocol import messages as m
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

    def route(self, shard: Any) -> Any:
        self.looks += 1
        return SimpleNamespace(read=self.read[shard.index])


@dataclass
class Bench:
    state: State = field(default_factory=lambda: State([(ME,), (OTHER, ME)]))
    refused: list[dict[str, Any] | None] = field(default_factory=lambda: [None, None])
    error: Exception | None = None
    takes: float = 0.0
    asked: list[tuple[m.SearchShards, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.searches = LocalSearches(ME, TrioClock(), SimpleNamespace(state=self.state), self.answer)  # type: ignore[arg-type]

    async def answer(self, message: m.SearchShards, deadline: float) -> m.ShardsReply:
        self.asked.append((message, deadline))
        await trio.sleep(self.takes)
        if self.error is not None:
            raise self.error
        return m.ShardsReply([[HITS]], self.refused, None)

    async def search(self, asked: m.Search = PLAIN, *, timeout: float = 5.0, bounded: bool = False) -> Any:
        collection: Any = SimpleNamespace(id=CollectionId("c"), shards=len(self.state.read))
        return await self.searches.search(collection, asked, timeout=timeout, bounded=bounded)


async def test_a_plain_search_is_one_call(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench()
    now = trio.current_time()
    for _ in range(3):
        reply = await bench.search(replace(PLAIN, ef=50, filter={"a": 1}, score_threshold=0.5, k=3))
        assert (reply.results, reply.missing_shards) == ([HITS], [])
    message, deadline = bench.asked[0]
    assert (message.shards, message.epoch, message.merge) == ([0, 1], 7, True)
    assert (message.ef, message.filter, message.score_threshold, message.k) == (50, {"a": 1}, 0.5, 3)
    assert deadline == now + 5.0
    assert bench.state.looks == 2, "looked up once for a state of the catalog"


@pytest.mark.parametrize(
    "asked",
    [
        replace(PLAIN, consistency="quorum"),
        replace(PLAIN, id=0),
        replace(PLAIN, offset=1),
        replace(PLAIN, explain=True),
    ],
)
async def test_what_is_not_plain_goes_the_general_way(asked: m.Search) -> None:
    bench = Bench()
    assert await bench.search(asked) is None
    assert not bench.asked


async def test_so_does_what_asks_for_something_added_since(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_searches, "LATER", (("ef", None),))
    assert await Bench().search(replace(PLAIN, ef=50)) is None
    assert await Bench().search(PLAIN) is not None


async def test_shards_that_are_read_elsewhere_only() -> None:
    assert await Bench(state=State([(ME,), (OTHER,)])).search() is None


@pytest.mark.parametrize("error", [StaleEpoch("moved", epoch=8, node=ME), Overloaded("much to do")])
async def test_refusals_are_left_to_the_general_way(error: Any) -> None:
    assert await Bench(refused=[None, error.to_wire()]).search() is None
    assert await Bench(error=error).search() is None


async def test_an_answer_too_large_is_refused_by_the_general_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_searches, "MAX_REPLY_BYTES", -1)
    assert searches.MAX_REPLY_BYTES > 0
    assert await Bench().search() is None


async def test_the_time_given_is_kept(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench(takes=60.0)
    with pytest.raises(DeadlineExceeded):
        await bench.search(timeout=5.0)
    assert trio.current_time() - bench.asked[0][1] < 1.0
    with trio.move_on_after(10.0) as scope:
        await bench.search(timeout=5.0, bounded=True)
    assert scope.cancelled_caught, "the caller's own scope, and no other"
