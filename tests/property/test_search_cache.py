"""Answers of the search cache are those of the rows at some moment of the search, whatever is written meanwhile."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.index.doubles import brute, make, row
from tests.unit.node.beginning import begun
from vectron_p2p.model.ids import PointId
from vectron_p2p.node.search_cache import SearchCache, options_of
from vectron_p2p.protocol import messages as m
from vectron_p2p.query.scoring import Matrix
from vectron_p2p.runtime.callbacks import awaited
from vectron_p2p.testing.mutants import caches

GRID = np.array([[x, y] for x in range(3) for y in range(3)], dtype=np.float32)
K = 3

upsert = st.tuples(st.just("upsert"), st.integers(0, 5), st.integers(0, len(GRID) - 1))
delete = st.tuples(st.just("delete"), st.integers(0, 5))
begin = st.tuples(st.just("begin"), st.integers(0, 1))
go_on = st.tuples(st.just("go on"), st.integers(0, 20))
cancel = st.tuples(st.just("cancel"), st.integers(0, 20))
histories = st.lists(st.one_of(upsert, delete, begin, begin, go_on, go_on, go_on, cancel), max_size=40)


def asking(query: int) -> m.SearchShards:
    return m.SearchShards(
        "c", [0], 0, True, GRID[query].tobytes(), 1, K, None, None, True, None, False, False, False
    )  # fmt: skip


class World:
    """One replica, and searches that stop before and after they look at its rows."""

    def __init__(self) -> None:
        self.index = make(2, "l2")
        self.cache = SearchCache(1 << 20)
        self.states: list[dict[PointId, Matrix]] = [{}]
        self.running: list[tuple[list[trio.Event], trio.CancelScope]] = []

    def write(self, point: int, vector: Matrix | None) -> None:
        state = dict(self.states[-1])
        if vector is None:
            state.pop(point, None)
        else:
            state[point] = vector
        self.states.append(state)
        self.index.apply([row(point, len(self.states), vector)])

    async def search(self, query: int, gates: list[trio.Event], scope: trio.CancelScope) -> None:
        async def look() -> m.ShardsReply:
            await gates[0].wait()
            hits, _ = self.index.search(GRID[query : query + 1], k=K, exact=True)
            await gates[1].wait()
            return m.ShardsReply([[m.HitList(hits[0].ids, b"", hits[0].versions, [], b"")]], [None], None)

        began = len(self.states) - 1
        replica: Any = SimpleNamespace(index=self.index)
        with scope:
            message = asking(query)
            key = options_of(message), message.vectors
            reply = await awaited(partial(self.cache.begin, key, [replica], partial(begun, look)))
            found = reply.results[0][0].ids
            possible = [brute(state, GRID[query], K, "l2") for state in self.states[began:]]
            assert found in possible, f"{found} was the answer at no moment of the search: {possible}"


@settings(max_examples=150, deadline=None)
@given(history=histories)
def test_answers_are_those_of_some_moment_of_the_search(history: list[Any]) -> None:
    async def main() -> None:
        world = World()
        async with trio.open_nursery() as nursery:
            for what, *rest in history:
                if what == "upsert":
                    world.write(rest[0], GRID[rest[1]])
                elif what == "delete":
                    world.write(rest[0], None)
                elif what == "begin":
                    gates, scope = [trio.Event(), trio.Event()], trio.CancelScope()
                    world.running.append((gates, scope))
                    nursery.start_soon(world.search, rest[0], gates, scope)
                elif world.running:
                    gates, scope = world.running[rest[0] % len(world.running)]
                    if what == "cancel":
                        scope.cancel()
                    elif not gates[0].is_set():
                        gates[0].set()
                    else:
                        gates[1].set()
                await trio.testing.wait_all_tasks_blocked()
            for gates, _ in world.running:
                gates[0].set()
                gates[1].set()
        cache = world.cache
        assert not cache._flights
        assert cache.bytes == sum(kept.size for kept in cache._kept.values())

    trio.run(main)


def test_the_test_finds_a_cache_that_forgets_the_revision() -> None:
    """Three searches, as only what is asked a second time is kept."""

    async def main() -> None:
        world = World()
        async with trio.open_nursery() as nursery:
            for point in range(3):
                world.write(point, GRID[point])
                gates = [trio.Event(), trio.Event()]
                gates[0].set()
                gates[1].set()
                nursery.start_soon(world.search, 0, gates, trio.CancelScope())
                await trio.testing.wait_all_tasks_blocked()

    trio.run(main)
    (mutant,) = (each for each in caches.MUTANTS if each.name == "cached_past_a_write")
    with mutant(), pytest.raises(ExceptionGroup) as caught:
        trio.run(main)
    assert "at no moment of the search" in str(caught.value.exceptions[0])
