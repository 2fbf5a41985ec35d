"""Requests on their way to the search threads, and queries that are wrong."""

from __future__ import annotations

import contextlib
import math
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import trio
import trio.testing

from tests.unit.index.doubles import SteppedExecutor, TrioClock, clustered, make, rows
from vectron_p2p.index.executor import SearchExecutor
from vectron_p2p.index.layer import IndexOptions
from vectron_p2p.index.locality import like_by_like
from vectron_p2p.index.shard_index import ShardIndex
from vectron_p2p.model.errors import InvalidArgument, Learning
from vectron_p2p.node import search_job
from vectron_p2p.node.search_cache import SearchCache
from vectron_p2p.node.search_job import ON_LOOP_S, Answer, Part, SearchJob
from vectron_p2p.node.shard_search import OwnSearch
from vectron_p2p.protocol import messages as m
from vectron_p2p.query import planner
from vectron_p2p.runtime.callbacks import awaited
from vectron_p2p.runtime.crew import ThreadCrew

DIMENSION = 8
COUNT = 1_000
MATRIX = clustered(300, DIMENSION)
ASKED = m.SearchShards(
    collection="c", shards=[0], epoch=1, merge=True, vectors=b"", count=1, k=3, filter=None, ef=None, exact=False,
    score_threshold=None, with_payload=False, with_vector=False, explain=False,
)  # fmt: skip


class Replica:
    """What a search needs of one."""

    def __init__(self) -> None:
        self.index = make(DIMENSION)
        self.index.apply(rows(MATRIX))
        self.options = SimpleNamespace(dimension=DIMENSION, metric="cosine", shards=1)
        self.store: Any = None
        self.keep: Any = None


class Owner:
    def __init__(self, searcher: Any, cache_bytes: int = 0) -> None:
        self.searcher = searcher
        self.cache = SearchCache(cache_bytes)

    def ticks(self) -> float:
        return 0.0


def job_of(owner: Any, one: Any = None) -> SearchJob:
    return SearchJob(ASKED, {0: one or Replica()}, owner)  # type: ignore[dict-item]


async def test_a_large_request_never_fills_the_line_and_keeps_its_order() -> None:
    """All its parts at once would have been refused, again and again, with a beam so wide that they weigh too much."""
    waiting: list[int] = []
    sizes: list[int] = []
    most = 0

    class Searcher:
        def share(self, weight: int) -> int:
            return weight // 4

        async def submit(self, name: Any, key: Any, job: Any, part: Any, weight: int, deadline: float) -> Any:
            nonlocal most
            sizes.append(part.count)
            waiting.append(part.count)
            most = max(most, len(waiting))
            await trio.testing.wait_all_tasks_blocked()
            waiting.remove(part.count)
            row = 4 * DIMENSION
            return Answer([[part.vectors[at : at + row] for at in range(0, len(part.vectors), row)]])

    vectors = clustered(COUNT, DIMENSION)
    assert like_by_like(vectors) is not None, "which is how they are searched"
    reply = await job_of(Owner(Searcher())).reply(vectors.tobytes(), math.inf, {})
    assert b"".join(reply.results[0]) == vectors.tobytes()  # type: ignore[arg-type]
    assert sum(sizes) == COUNT
    assert most == search_job.PARTS_AT_ONCE < len(sizes)
    assert sizes == sorted(sizes, reverse=True), "smaller ones towards the end"
    assert sizes[0] == search_job.SLICE
    assert sizes[-2] == search_job.LEAST_SLICE


@pytest.mark.parametrize(("weight", "most"), [(1, 64), (16, 4), (100, 1), (500, 1)])
async def test_parts_of_heavy_queries_have_fewer_of_them(
    monkeypatch: pytest.MonkeyPatch, weight: int, most: int
) -> None:
    """Others get between them as soon; a client has two requests under way, which together must never be too much."""
    monkeypatch.setattr(planner, "weight", lambda **_: weight)
    executor = SteppedExecutor()
    searcher = SearchExecutor(executor, TrioClock(), workers=2)
    job = job_of(Owner(searcher))
    executor.gate.set()
    counts: list[int] = []
    run = job.run

    def counted(parts: list[Part]) -> Any:
        counts.extend(part.count for part in parts)
        return run(parts)

    monkeypatch.setattr(job, "run", counted)

    async def ask() -> None:
        await job.reply(MATRIX.tobytes(), math.inf, {})

    async with trio.open_nursery() as nursery:
        await nursery.start(searcher.run)
        async with trio.open_nursery() as callers:
            callers.start_soon(ask)
            callers.start_soon(ask)
        nursery.cancel_scope.cancel()
    assert sum(counts) == 2 * len(MATRIX)
    assert max(counts) == most
    assert searcher.refused == 0


@pytest.mark.parametrize("wrong", [np.zeros(DIMENSION), np.full(DIMENSION, np.nan), np.full(DIMENSION, np.inf)])
async def test_a_wrong_query_is_refused_and_spoils_none_of_those_it_is_searched_with(wrong: Any) -> None:
    executor = SteppedExecutor()
    searcher = SearchExecutor(executor, TrioClock(), workers=1)
    job = job_of(Owner(searcher))
    outcomes: dict[int, Any] = {}

    async def ask(number: int, vector: Any) -> None:
        try:
            reply = await awaited(partial(job.begin, vector.astype(np.float32).tobytes(), math.inf))
            outcomes[number] = reply.results[0][0].ids[0]
        except InvalidArgument as error:
            outcomes[number] = error.field

    async with trio.open_nursery() as nursery:
        await nursery.start(searcher.run)
        async with trio.open_nursery() as callers:
            for number in range(5):
                callers.start_soon(ask, number, wrong if number == 3 else MATRIX[number])
                await trio.testing.wait_all_tasks_blocked()
            executor.gate.set()
        nursery.cancel_scope.cancel()
    assert outcomes == {0: 0, 1: 1, 2: 2, 3: "vector", 4: 4}
    assert len(executor.jobs) == 2, "four of them together"


async def test_a_defect_on_the_way_back_costs_one_answer(caplog: pytest.LogCaptureFixture) -> None:
    executor = SteppedExecutor()
    searcher = SearchExecutor(executor, TrioClock(), workers=1)
    job = job_of(Owner(searcher))
    answers: list[Any] = []

    def broken(_: Any) -> None:
        raise ZeroDivisionError

    async with trio.open_nursery() as nursery:
        await nursery.start(searcher.run)
        for done in (broken, broken, answers.append):
            job.begin(MATRIX[0].tobytes(), math.inf, done)
        executor.gate.set()
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert [answer.results[0][0].ids[0] for answer in answers] == [0]
    assert "answer_lost" in caplog.text


async def test_an_owner_is_asked_each_time_whether_it_may_answer() -> None:
    found: list[Any] = [Replica()]
    own = OwnSearch(ASKED, lambda shard: found[shard], Owner(SearchExecutor(SteppedExecutor(), TrioClock())))  # type: ignore[arg-type]
    before = own._now()
    assert own._now() is before
    found[0] = Replica()  # closed, and opened anew
    assert own._now() is not before

    def learning(_: int) -> Any:
        raise Learning("it learns")

    own._find = learning
    with pytest.raises(Learning):
        own.begin(bytes(4 * DIMENSION), math.inf, found.append)


@pytest.mark.parametrize("why", [None, "first", "linking", "slow", "payload", "undecided"])
async def test_only_short_searches_that_wait_for_nothing_may_be_answered_on_the_loop(why: str | None) -> None:
    asked: list[Any] = []
    ticks = 0.0

    class Searcher:
        def begin(self, *request: Any, lone: Any = None, calm: Any) -> Any:
            asked.append(lone if calm() else None)

    class Slow(Owner):
        def ticks(self) -> float:
            nonlocal ticks
            ticks += ON_LOOP_S if why == "slow" else 0.0
            return ticks

    one, message = Replica(), ASKED
    if why == "payload":
        message = replace(ASKED, with_payload=True)
        one.store = SimpleNamespace(get=lambda ids: [None] * len(ids))
    elif why == "undecided":
        message = replace(ASKED, filter={"a": {"$exists": True}})
        one.index = ShardIndex(IndexOptions(DIMENSION, "cosine"), None, link_threads=ThreadCrew(1), payload_index=False)
        one.index.apply(rows(MATRIX))
        one.keep = lambda filter: lambda ids: [True] * len(ids)
    job = SearchJob(message, {0: one}, Slow(Searcher()))  # type: ignore[arg-type, dict-item]
    if why != "first":
        [answer] = job.run([Part(MATRIX[0].tobytes(), 1, 0.0)])
        assert isinstance(answer, Answer)
    with one.index._layer.gate.alone() if why == "linking" else contextlib.nullcontext():
        job.begin(MATRIX[0].tobytes(), math.inf, asked.append, lone="somebody")
    assert asked == ["somebody" if why is None else None]
