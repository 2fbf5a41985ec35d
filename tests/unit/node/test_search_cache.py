"""The search cache: what is kept, for how long, and who waits for whom."""

from __future__ import annotations

import gc
import tracemalloc
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing

from tests.unit.node.beginning import begun
from vectron_p2p.model.errors import Overloaded
from vectron_p2p.node.search_cache import REMEMBERED, SearchCache, options_of
from vectron_p2p.protocol import messages as m
from vectron_p2p.runtime.callbacks import awaited

QUERY = m.SearchShards(
    collection="c", shards=[0], epoch=1, merge=True, vectors=bytes(16), count=1, k=10, filter=None, ef=None,
    exact=False, score_threshold=None, with_payload=False, with_vector=False, explain=False,
)  # fmt: skip


def answer_of(hits: int = 10, payload: int = 0, *, start: int = 0) -> m.ShardsReply:
    ids: list[int | str] = [f"point-{start + n}" for n in range(hits)]
    versions = [(start + n).to_bytes(40, "big") for n in range(hits)]
    payloads = [bytes(payload + n % 2) for n in range(hits)] if payload else []
    return m.ShardsReply([[m.HitList(ids, bytes(4 * hits), versions, payloads, b"")]], [None], None)


class Owner:
    """Of one replica; counts its searches."""

    def __init__(self, max_bytes: int = 1 << 20) -> None:
        self.cache = SearchCache(max_bytes)
        self.replica: Any = SimpleNamespace(index=SimpleNamespace(revision=(1, 0)))
        self.searched = 0
        self.gate = trio.Event()
        self.gate.set()
        self.errors: list[Exception] = []
        self.reply = answer_of()

    def key(self, message: m.SearchShards) -> tuple[bytes, bytes] | None:
        if message.explain or message.count > 1:
            return None
        return options_of(message), message.vectors

    async def ask(self, message: m.SearchShards = QUERY) -> m.ShardsReply:
        async def search() -> m.ShardsReply:
            self.searched += 1
            reply = self.reply
            await self.gate.wait()
            if self.errors:
                raise self.errors.pop()
            return reply

        begin = partial(self.cache.begin, self.key(message), [self.replica], partial(begun, search))
        reply: m.ShardsReply = await awaited(begin)
        return reply

    async def is_kept(self, message: m.SearchShards = QUERY) -> bool:
        before = self.searched
        await self.ask(message)
        return self.searched == before


async def test_what_is_asked_a_second_time_is_kept() -> None:
    owner = Owner()
    assert [await owner.is_kept() for _ in range(4)] == [False, False, True, True]
    assert (owner.cache.hits, owner.cache.misses) == (2, 2)
    assert owner.cache.bytes > 0


async def test_a_write_and_another_life_of_the_replica_end_it() -> None:
    owner = Owner()
    for revision in ((1, 1), (1, 2), (2, 2)):
        owner.replica.index.revision = revision
        assert not await owner.is_kept()
        await owner.ask()
        assert await owner.is_kept()
    owner.replica.index.revision = (3, 0)
    assert not await owner.is_kept()


@pytest.mark.parametrize(
    "change",
    [
        {"collection": "d"}, {"shards": [0, 1]}, {"merge": False}, {"vectors": bytes(15) + b"\1"}, {"k": 11},
        {"filter": {"a": 1}}, {"filter": {"a": True}}, {"filter": {"a": "1"}}, {"ef": 10}, {"exact": True},
        {"score_threshold": 0.5}, {"with_payload": True}, {"with_vector": True},
    ],
)  # fmt: skip
async def test_each_option_makes_another_query(change: dict[str, Any]) -> None:
    owner = Owner()
    for _ in range(3):
        await owner.ask()
    assert not await owner.is_kept(replace(QUERY, **change))
    assert await owner.is_kept(replace(QUERY, epoch=9)), "which node asks, by which catalog, makes none"


@pytest.mark.parametrize("other", [replace(QUERY, explain=True), replace(QUERY, count=2, vectors=bytes(32))])
async def test_what_is_not_kept(other: m.SearchShards) -> None:
    owner = Owner()
    for _ in range(4):
        assert not await owner.is_kept(other)
    owner = Owner(max_bytes=0)
    for _ in range(4):
        assert not await owner.is_kept()


async def test_refused_shards_are_asked_again() -> None:
    owner = Owner()
    owner.reply = replace(answer_of(), refused=[Overloaded("much to do").to_wire()])
    for _ in range(4):
        assert not await owner.is_kept()


async def test_equal_queries_are_searched_once() -> None:
    owner = Owner()
    owner.gate = trio.Event()
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(owner.ask)
        await trio.testing.wait_all_tasks_blocked()
        owner.replica.index.revision = (1, 1)
        nursery.start_soon(owner.ask)  # comes after a write: its own search
        await trio.testing.wait_all_tasks_blocked()
        assert owner.searched == 2
        owner.gate.set()
    assert (owner.cache.shared, owner.cache.misses) == (4, 2)


async def test_whoever_waits_outlives_the_first() -> None:
    owner = Owner()
    owner.gate = trio.Event()
    answered: list[m.ShardsReply] = []

    async def ask(scope: trio.CancelScope) -> None:
        with scope:
            answered.append(await owner.ask())

    async with trio.open_nursery() as nursery:
        scopes = [trio.CancelScope() for _ in range(3)]
        for scope in scopes:
            nursery.start_soon(ask, scope)
            await trio.testing.wait_all_tasks_blocked()
        scopes[0].cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert owner.searched == 2, "one of the two that wait asks for both"
        owner.gate.set()
    assert len(answered) == 2


async def test_an_error_is_that_of_the_one_that_met_it() -> None:
    owner = Owner()
    owner.gate = trio.Event()
    owner.errors = [Overloaded("much to do")]
    outcomes: list[str] = []

    async def ask() -> None:
        try:
            await owner.ask()
            outcomes.append("answered")
        except Overloaded:
            outcomes.append("overloaded")

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        owner.gate.set()
    assert sorted(outcomes) == ["answered", "answered", "overloaded"]


@pytest.mark.parametrize("payload", [0, 300])
async def test_the_room_is_kept_and_is_about_the_memory_taken(payload: int) -> None:
    room = 2 * 1024 * 1024
    owner = Owner(max_bytes=room)

    async def fill(first: int, count: int) -> None:
        for n in range(first, first + count):
            message = replace(QUERY, vectors=n.to_bytes(16, "big"))
            for _ in range(2):
                owner.reply = answer_of(payload=payload, start=10 * n)
                await owner.ask(message)
            assert owner.cache.bytes <= room

    await fill(0, 1)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    await fill(1, 2_000)
    owner.cache._once.clear()
    owner.cache._once_before.clear()
    gc.collect()
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert owner.cache.bytes > 0.9 * room
    assert 0.6 * room < taken < 1.3 * room
    last = replace(QUERY, vectors=(2_000).to_bytes(16, "big"))
    assert await owner.is_kept(last)
    assert not await owner.is_kept(replace(QUERY, vectors=(1).to_bytes(16, "big"))), "used longest ago"


async def test_an_answer_too_large_drives_out_no_others() -> None:
    owner = Owner(max_bytes=64 * 1024)
    for _ in range(3):
        await owner.ask()
    owner.reply = answer_of(payload=1_000)
    for _ in range(3):
        assert not await owner.is_kept(replace(QUERY, with_payload=True))
    assert await owner.is_kept()


async def test_what_is_asked_once_is_forgotten() -> None:
    owner = Owner()
    for n in range(3 * REMEMBERED):
        await owner.ask(replace(QUERY, vectors=n.to_bytes(16, "big")))
    assert len(owner.cache._once) + len(owner.cache._once_before) <= 2 * REMEMBERED
    assert not owner.cache.bytes
