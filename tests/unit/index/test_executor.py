"""Searches on their way to threads: batched, bounded, cancellable."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import trio

from tests.unit.index.doubles import InlineExecutor, SteppedExecutor, ThreadExecutor, TrioClock, clustered, make, rows
from vectron_p2p.index.executor import (
    ANSWERED_AT_ONCE,
    BATCH_COST,
    LEAST_BATCH,
    LEAST_SHARE,
    LONE_S,
    MAX_BATCH,
    MOST_HELD,
    MOST_SHARE,
    OVERDUE_EVERY,
    SearchExecutor,
)
from vectron_p2p.index.shard_index import ShardIndex
from vectron_p2p.model.errors import DeadlineExceeded, Internal, Overloaded, ReadOnly, Unavailable
from vectron_p2p.model.ids import PointId
from vectron_p2p.query.scoring import Matrix
from vectron_p2p.runtime.real import Lane, open_executor

MATRIX = clustered(300, 8)


def index() -> ShardIndex:
    one = make(8)
    one.apply(rows(MATRIX))
    return one


def job_of(target: ShardIndex, k: int) -> Callable[[list[Matrix]], list[list[PointId]]]:
    """Answers queries with the ids found."""

    def job(requests: list[Matrix]) -> list[list[PointId]]:
        hits, _ = target.search(np.concatenate(requests), k=k)
        ids = iter([one.ids[0] for one in hits])
        return [[next(ids) for _ in request] for request in requests]

    return job


async def ask_for(searches: SearchExecutor, target: ShardIndex, queries: Matrix, k: int = 1) -> list[PointId]:
    found: list[PointId] = await searches.submit("a", (target, k), job_of(target, k), queries, len(queries), math.inf)
    return found


async def test_one_search() -> None:
    async with trio.open_nursery() as nursery:
        searches = SearchExecutor(InlineExecutor(), TrioClock())
        await nursery.start(searches.run)
        assert await ask_for(searches, index(), MATRIX[:2], k=3) == [0, 1]
        assert searches.waiting == 0
        nursery.cancel_scope.cancel()


async def test_who_waits_for_the_same_goes_together() -> None:
    executor, one, other = SteppedExecutor(), index(), index()
    searches = SearchExecutor(executor, TrioClock(), workers=1)
    results: dict[str, list[PointId]] = {}

    async def ask(name: str, target: ShardIndex, at: int, k: int) -> None:
        results[name] = await ask_for(searches, target, MATRIX[at : at + 1], k)

    async with trio.open_nursery() as nursery:
        await nursery.start(searches.run)
        async with trio.open_nursery() as callers:
            callers.start_soon(lambda: ask("first", one, 0, k=1))
            await trio.testing.wait_all_tasks_blocked()
            for i in range(1, 6):
                callers.start_soon(partial(ask, f"same {i}", one, i, k=1))
            callers.start_soon(lambda: ask("other k", one, 7, k=2))
            callers.start_soon(lambda: ask("other index", other, 8, k=1))
            await trio.testing.wait_all_tasks_blocked()
            assert searches.waiting == 7
            executor.gate.set()
        nursery.cancel_scope.cancel()
    assert sorted(len(args[0]) for _, args in executor.jobs) == [1, 1, 1, 5]
    assert results == {
        "first": [0],
        **{f"same {i}": [i] for i in range(1, 6)},
        "other k": [7],
        "other index": [8],
    }


async def test_a_batch_is_bounded_and_what_is_left_waits_its_turn() -> None:
    executor = SteppedExecutor()
    searches = SearchExecutor(executor, TrioClock(), workers=1)
    one = index()
    async with trio.open_nursery() as nursery:
        await nursery.start(searches.run)
        async with trio.open_nursery() as callers:
            for _ in range(7):
                callers.start_soon(lambda: ask_for(searches, one, MATRIX[:60]))
                await trio.testing.wait_all_tasks_blocked()
            executor.gate.set()
        nursery.cancel_scope.cancel()
    assert [len(args[0]) for _, args in executor.jobs] == [1, 2, 2, 1, 1], "the last ones are smaller"


async def test_waiting_is_bounded() -> None:
    searches = SearchExecutor(SteppedExecutor(), TrioClock(), workers=1, max_waiting=3)
    one = index()
    async with trio.open_nursery() as nursery:
        await nursery.start(searches.run)
        for _ in range(4):
            nursery.start_soon(lambda: ask_for(searches, one, MATRIX[:1]))
            await trio.testing.wait_all_tasks_blocked()
        assert searches.waiting == 3
        with pytest.raises(Overloaded) as caught:
            await ask_for(searches, one, MATRIX[:1])
        assert caught.value.retryable
        assert caught.value.retry_after > 0
        nursery.cancel_scope.cancel()


async def test_who_gives_up_is_not_searched_for() -> None:
    executor = SteppedExecutor()
    searches = SearchExecutor(executor, TrioClock(), workers=1)
    one = index()
    async with trio.open_nursery() as nursery:
        await nursery.start(searches.run)
        nursery.start_soon(lambda: ask_for(searches, one, MATRIX[:1]))
        await trio.testing.wait_all_tasks_blocked()
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as callers:
                callers.start_soon(lambda: ask_for(searches, one, MATRIX[:5]))
                await trio.testing.wait_all_tasks_blocked()
                assert searches.waiting == 5
                scope.cancel()
        assert searches.waiting == 0
        executor.gate.set()
        assert await ask_for(searches, one, MATRIX[3:4]) == [3]
        nursery.cancel_scope.cancel()
    assert [len(args[0]) for _, args in executor.jobs] == [1, 1]


async def recorded(searches: SearchExecutor, order: list[str], name: str, weight: int = 1) -> None:
    """A request that notes when it is searched."""

    def job(requests: list[str]) -> list[None]:
        order.extend(requests)
        return [None] * len(requests)

    await searches.submit(name[0], "key", job, name, weight, math.inf)


async def test_collections_take_turns() -> None:
    executor = SteppedExecutor()
    searches = SearchExecutor(executor, TrioClock(), workers=1)
    order: list[str] = []
    async with trio.open_nursery() as nursery:
        await nursery.start(searches.run)
        async with trio.open_nursery() as callers:
            for name in ("a0", "a1", "a2", "a3", "b1", "c1", "b2"):  # "a" was there first and asks the most
                callers.start_soon(recorded, searches, order, name, MAX_BATCH)
                await trio.testing.wait_all_tasks_blocked()
            executor.gate.set()
        nursery.cancel_scope.cancel()
    assert order == ["a0", "a1", "b1", "c1", "a2", "b2", "a3"]


async def test_a_collection_that_fills_its_line_leaves_room_for_others() -> None:
    searches = SearchExecutor(SteppedExecutor(), TrioClock(), workers=1, max_waiting=10)
    order: list[str] = []
    async with trio.open_nursery() as nursery:
        await nursery.start(searches.run)
        nursery.start_soon(recorded, searches, order, "a0")
        await trio.testing.wait_all_tasks_blocked()
        for weight in (5, 5):
            nursery.start_soon(recorded, searches, order, "a1", weight)
            await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(Overloaded):
            await recorded(searches, order, "a2")
        nursery.start_soon(recorded, searches, order, "b1", 5)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(Overloaded):  # an equal share is half, with two
            await recorded(searches, order, "b2")
        assert searches.waiting == 15
        assert searches.refused == 2
        nursery.cancel_scope.cancel()


async def begun(asked: list[tuple[str, int]], crowd: int = 0) -> list[int]:
    """How many of the requests (name, weight) each batch has that two workers begin before any is through, after
    `crowd` requests were asked at once. Time stands still, so that none waits for too long.
    """
    executor = SteppedExecutor()
    searches = SearchExecutor(executor, TrioClock(), workers=2)
    async with trio.open_nursery() as nursery:
        await nursery.start(searches.run)
        async with trio.open_nursery() as callers:
            for _ in range(crowd):
                callers.start_soon(recorded, searches, [], "a")
            await trio.testing.wait_all_tasks_blocked()
            executor.gate.set()
        executor.gate = trio.Event()
        executor.jobs.clear()
        for name, weight in asked:
            nursery.start_soon(recorded, searches, [], name, weight)
            await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    return [len(args[0]) for _, args in executor.jobs]


async def test_a_few_wait_for_the_batch_of_their_likes_though_a_worker_is_free(
    mock_clock: trio.testing.MockClock,
) -> None:
    few = [("a", 1)] * LEAST_SHARE
    assert await begun(few) == [1]
    assert await begun([*few, ("a", 1)]) == [1, LEAST_SHARE], "enough for another worker"
    assert await begun([("a", 1), ("a", LEAST_SHARE)]) == [1, 1], "what counts is the weight"
    assert await begun([("a", 1), ("a", LEAST_SHARE - 1)]) == [1]
    assert await begun([("a", 1), ("b", 1)]) == [1, 1], "of another collection"
    assert await begun([("a", LEAST_BATCH + 1), ("a", 1)]) == [1, 1], "a large batch takes long"


async def test_the_more_ask_the_more_are_enough_for_another_worker(mock_clock: trio.testing.MockClock) -> None:
    some = [("a", 1)] * 10
    assert await begun([*some, ("a", 1)], crowd=20) == [1, 10], "half of all"
    assert await begun(some, crowd=20) == [1]
    many = [("a", 1)] * MOST_SHARE
    assert await begun([*many, ("a", 1)], crowd=10 * MOST_SHARE) == [1, MOST_SHARE], "bounded"
    assert await begun(many, crowd=10 * MOST_SHARE) == [1]
    assert await begun([("a", 1), ("a", BATCH_COST)], crowd=20) == [1, 1], "one that costs as much as a batch"
    assert await begun([("a", 1), ("a", BATCH_COST - 1)], crowd=20) == [1]


async def test_a_few_that_waited_go_together() -> None:
    executor = SteppedExecutor()
    searches = SearchExecutor(executor, TrioClock(), workers=2)
    order: list[str] = []
    async with trio.open_nursery() as nursery:
        await nursery.start(searches.run)
        async with trio.open_nursery() as callers:
            for name in ("a0", "a1", "a2", "a3"):
                callers.start_soon(recorded, searches, order, name)
                await trio.testing.wait_all_tasks_blocked()
            executor.gate.set()
        assert [len(args[0]) for _, args in executor.jobs] == [1, 3]
        assert order == ["a0", "a1", "a2", "a3"]
        assert searches.waiting == 0
        nursery.cancel_scope.cancel()


async def test_a_few_do_not_wait_for_a_disk_that_holds_up_their_likes(autojump_clock: trio.testing.MockClock) -> None:
    executor = SteppedExecutor()
    searches = SearchExecutor(executor, TrioClock(), workers=2)
    async with trio.open_nursery() as nursery:
        await nursery.start(searches.run)
        for name in ("a0", "a1"):
            nursery.start_soon(recorded, searches, [], name)
            await trio.testing.wait_all_tasks_blocked()
        assert len(executor.jobs) == 1
        await trio.sleep(MOST_HELD + OVERDUE_EVERY)
        assert len(executor.jobs) == 2
        nursery.cancel_scope.cancel()


async def test_who_gives_up_does_not_make_enough_for_another_worker() -> None:
    executor = SteppedExecutor()
    searches = SearchExecutor(executor, TrioClock(), workers=2)
    async with trio.open_nursery() as nursery:
        await nursery.start(searches.run)
        nursery.start_soon(recorded, searches, [], "a0")
        await trio.testing.wait_all_tasks_blocked()
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as callers:
                callers.start_soon(recorded, searches, [], "a1", LEAST_SHARE - 1)
                await trio.testing.wait_all_tasks_blocked()
                scope.cancel()
        nursery.start_soon(recorded, searches, [], "a2", LEAST_SHARE - 1)
        await trio.testing.wait_all_tasks_blocked()
        assert len(executor.jobs) == 1
        nursery.cancel_scope.cancel()


async def test_what_is_too_late_is_not_searched(autojump_clock: trio.testing.MockClock) -> None:
    executor = SteppedExecutor()
    searches = SearchExecutor(executor, TrioClock(), workers=1)
    order: list[str] = []
    refused: list[str] = []

    def job(requests: list[str]) -> list[None]:
        order.extend(requests)
        return [None] * len(requests)

    async def ask(name: str, deadline: float) -> None:
        try:
            await searches.submit("a", "key", job, name, 1, deadline)
        except DeadlineExceeded:
            refused.append(name)

    async with trio.open_nursery() as nursery:
        await nursery.start(searches.run)
        async with trio.open_nursery() as callers:
            now = trio.current_time()
            for name, deadline in (("busy", math.inf), ("late", now + 1), ("in time", now + 10), ("late too", now + 2)):
                callers.start_soon(ask, name, deadline)
                await trio.testing.wait_all_tasks_blocked()
            await trio.sleep(5)
            executor.gate.set()
        nursery.cancel_scope.cancel()
    assert order == ["busy", "in time"]
    assert sorted(refused) == ["late", "late too"]
    assert (searches.late, searches.waiting) == (2, 0)


async def test_errors_reach_the_callers_and_the_service_goes_on() -> None:
    def broken(requests: list[Matrix]) -> list[object]:
        raise OSError("disk")

    def refusing(requests: list[Matrix]) -> list[object]:
        return [ReadOnly("no") for _ in requests]

    async with trio.open_nursery() as nursery:
        searches = SearchExecutor(ThreadExecutor(), TrioClock())
        await nursery.start(searches.run)
        with pytest.raises(Internal, match="disk"):
            await searches.submit("c", "a", broken, MATRIX[:1], 1, math.inf)
        with pytest.raises(ReadOnly):
            await searches.submit("c", "b", refusing, MATRIX[:1], 1, math.inf)
        assert await ask_for(searches, index(), MATRIX[:1]) == [0]
        nursery.cancel_scope.cancel()


async def test_a_lone_callers_small_query_is_answered_at_once(autojump_clock: trio.testing.MockClock) -> None:
    executor, one = SteppedExecutor(), index()
    searches = SearchExecutor(executor, TrioClock(), workers=1, on_loop=True)

    def ask(lone: str | None) -> list[list[PointId]]:
        """What is answered before the call returns."""
        answers: list[list[PointId]] = []
        searches.begin("a", "key", job_of(one, 1), MATRIX[2:3], 1, math.inf, answers.append, lone=lone)
        return answers

    async with trio.open_nursery() as nursery:
        await nursery.start(searches.run)
        executor.gate.set()

        async def settle() -> None:
            await trio.sleep(2 * LONE_S)

        assert not ask("me"), "others may be about to ask"
        await settle()
        assert ask("me") == [[2]]
        assert ask("me") == [[2]]
        assert not ask(None), "not small, or not the only one"
        assert not ask("me"), "somebody is searched for"
        await settle()
        assert not ask("you"), "not alone"
        await trio.testing.wait_all_tasks_blocked()
        assert not ask("me")
        await settle()
        assert ask("me") == [[2]]
        nursery.cancel_scope.cancel()
    assert len(executor.jobs) == 5


async def test_a_defect_reaches_a_lone_caller_too(autojump_clock: trio.testing.MockClock) -> None:
    searches = SearchExecutor(SteppedExecutor(), TrioClock(), on_loop=True)
    answers: list[object] = []

    def broken(requests: list[Matrix]) -> list[object]:
        raise OSError("disk")

    async with trio.open_nursery() as nursery:
        await nursery.start(searches.run)
        searches._caller = "me"
        await trio.sleep(LONE_S)
        searches.begin("a", "key", broken, MATRIX[:1], 1, math.inf, answers.append, lone="me")
        nursery.cancel_scope.cancel()
    assert isinstance(answers[0], Internal)


async def test_whoever_a_thread_keeps_too_long_is_told(autojump_clock: trio.testing.MockClock) -> None:
    executor = SteppedExecutor()
    searches = SearchExecutor(executor, TrioClock(), workers=1)
    answers: list[object] = []
    one = index()
    async with trio.open_nursery() as nursery:
        await nursery.start(searches.run)
        deadline = trio.current_time() + 1
        for key in ("searched", "waiting"):
            searches.begin("a", key, job_of(one, 1), MATRIX[:1], 1, deadline, answers.append)
        await trio.sleep(0.9)
        assert not answers
        await trio.sleep(0.2)
        assert [type(answer) for answer in answers] == [DeadlineExceeded, DeadlineExceeded]
        executor.gate.set()
        await trio.testing.wait_all_tasks_blocked(0.01)
        nursery.cancel_scope.cancel()
    assert len(answers) == 2, "nobody is answered twice"
    assert searches.waiting == 0


async def test_a_large_batch_is_answered_in_parts() -> None:
    executor, one = SteppedExecutor(), index()
    searches = SearchExecutor(executor, TrioClock(), workers=1)
    answers: list[object] = []
    count, at_once = 3 * ANSWERED_AT_ONCE + 1, 0
    async with trio.open_nursery() as nursery:
        await nursery.start(searches.run)
        begin = partial(searches.begin, "a", "key", job_of(one, 1), MATRIX[:1], 1, math.inf)
        begin(answers.append)  # keeps the thread, so that the others go together
        for _ in range(count):
            begin(answers.append)
        executor.gate.set()
        while len(answers) < count + 1:
            before = len(answers)
            await trio.lowlevel.checkpoint()
            at_once = max(at_once, len(answers) - before)
        nursery.cancel_scope.cancel()
    assert at_once <= 2 * ANSWERED_AT_ONCE, "two turns of who answers may lie between two of this task"
    assert answers == [[0]] * (count + 1)


async def test_a_stop_in_the_middle_of_a_batchs_answers_leaves_nobody_waiting() -> None:
    executor, one = SteppedExecutor(), index()
    searches = SearchExecutor(executor, TrioClock(), workers=1)
    answers: list[object] = []
    async with trio.open_nursery() as nursery:
        await nursery.start(searches.run)

        def stop(answer: object) -> None:
            answers.append(answer)
            nursery.cancel_scope.cancel()

        begin = partial(searches.begin, "a", "key", job_of(one, 1), MATRIX[:1], 1, math.inf)
        begin(answers.append)
        begin(stop)
        for _ in range(2 * ANSWERED_AT_ONCE):
            begin(answers.append)
        executor.gate.set()
        await trio.sleep_forever()
    assert len(answers) == 2 * ANSWERED_AT_ONCE + 2
    assert sum(isinstance(answer, Unavailable) for answer in answers) == ANSWERED_AT_ONCE + 1


async def test_an_answer_may_lead_to_another_question(autojump_clock: trio.testing.MockClock) -> None:
    """Late, failed or answered: whoever is told may ask again at once."""
    executor = SteppedExecutor()
    searches = SearchExecutor(executor, TrioClock(), workers=1)
    one = index()
    answers: list[object] = []

    def again(answer: object) -> None:
        answers.append(answer)
        searches.begin("a", "again", job_of(one, 1), MATRIX[:1], 1, math.inf, answers.append)

    async with trio.open_nursery() as nursery:
        await nursery.start(searches.run)
        now = trio.current_time()
        for deadline in (math.inf, now + 0.01, now + 0.01):
            searches.begin("a", "key", job_of(one, 1), MATRIX[:1], 1, deadline, again)
        await trio.sleep(0.02)
        executor.gate.set()
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert sorted(type(answer).__name__ for answer in answers) == ["DeadlineExceeded"] * 2 + ["list"] * 4
    assert (searches.waiting, searches.late) == (0, 2)


async def test_a_stop_leaves_nobody_waiting() -> None:
    searches = SearchExecutor(SteppedExecutor(), TrioClock(), workers=1)
    one, refused = index(), []

    async def ask(queries: Matrix) -> None:
        try:
            await ask_for(searches, one, queries)
        except Unavailable:
            refused.append(1)

    async with trio.open_nursery() as callers:
        async with trio.open_nursery() as nursery:
            await nursery.start(searches.run)
            for i in range(3):
                callers.start_soon(ask, MATRIX[i : i + 1])
                await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
    assert len(refused) == 3


async def test_on_real_threads_with_many_callers() -> None:
    one = make(16)
    matrix = clustered(2_500, 16)
    one.apply(rows(matrix))
    while one.link_turn(500):
        pass
    found = [0]

    async def ask(searches: SearchExecutor, at: int) -> None:
        ids = await ask_for(searches, one, matrix[at : at + 1])
        found[0] += ids == [at]

    with open_executor({"search": Lane(2)}) as executor:
        searches = SearchExecutor(executor, TrioClock())
        async with trio.open_nursery() as nursery:
            await nursery.start(searches.run)
            async with trio.open_nursery() as callers:
                for i in range(200):
                    callers.start_soon(ask, searches, i)
            nursery.cancel_scope.cancel()
    assert found[0] >= 198
