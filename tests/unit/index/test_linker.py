"""Upkeep of many indexes: fair, complete, and not stopped by an error."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from tests.unit.index.doubles import (
    InlineExecutor,
    ThreadExecutor,
    TrioClock,
    clustered,
    link_all,
    make,
    row,
    rows,
    spoil,
)
from vectron_p2p.index import linker as module
from vectron_p2p.index import rebuild, subgraphs
from vectron_p2p.index.linker import Linker
from vectron_p2p.index.shard_index import ShardIndex
from vectron_p2p.query import planner
from vectron_p2p.query.filters import parse_filter

MATRIX = clustered(2_400, 8)


def linker(executor=None, **options) -> tuple[Linker[str], list[tuple[str, Exception]]]:
    errors: list[tuple[str, Exception]] = []
    options.setdefault("on_lost", lambda key: pytest.fail(f"{key} has lost nothing"))
    made: Linker[str] = Linker(
        executor or InlineExecutor(), TrioClock(), on_error=lambda key, error: errors.append((key, error)), **options
    )
    return made, errors


def test_a_portion_is_a_few_turns_also_when_they_are_long() -> None:
    index = make(8)
    index.apply(rows(clustered(5_000, 8)))
    module.link_some(index)
    assert module.PORTION <= index.linked < 3 * module.PORTION


async def test_every_shard_gets_a_portion_in_every_round() -> None:
    one, _ = linker()
    indexes = [make(8) for _ in range(3)]
    for i, index in enumerate(indexes):
        index.apply(rows(MATRIX))
        one.add(f"shard {i}", index)
    before = [index.unlinked for index in indexes]
    assert before == [2_400] * 3
    assert one.unlinked == 7_200
    assert await one.run_once()
    after = [index.unlinked for index in indexes]
    assert len(set(after)) == 1
    assert after[0] < 2_400
    while await one.run_once():
        pass
    assert one.unlinked == 0
    assert [index.linked for index in indexes] == [2_400] * 3


async def test_back_pressure() -> None:
    one, _ = linker(max_unlinked=2_000)
    index = make(8)
    one.add("a", index)
    assert not one.overloaded
    index.apply(rows(MATRIX))
    assert one.overloaded
    while await one.run_once():
        pass
    assert not one.overloaded


async def test_a_removed_index_is_left_alone() -> None:
    one, _ = linker()
    index = make(8)
    index.apply(rows(MATRIX))
    one.add("a", index)
    one.remove("a")
    one.remove("never there")
    assert not await one.run_once()
    assert one.unlinked == 0


async def test_garbage_is_rebuilt_one_shard_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuild, "COPY_STEP", 32)  # more than one portion
    monkeypatch.setattr(module, "CALM", 0.0)
    one, _ = linker()
    indexes = [make(8), make(8)]
    for i, index in enumerate(indexes):
        index.apply(rows(MATRIX))
        one.add(str(i), index)
    while await one.run_once():
        pass
    for index in indexes:
        index.apply([row(i, 2, None) for i in range(1_100)])
    await one.run_once()
    assert [index._rebuild is not None or not index.needs_rebuild for index in indexes] == [True, False]
    while await one.run_once():
        pass
    assert [(index.live, index.garbage) for index in indexes] == [(1_300, 0)] * 2


async def test_snapshots_come_when_linking_is_done_and_not_too_often(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    one, errors = linker()
    index = make(8, folder=tmp_path)
    index.apply(rows(MATRIX))
    one.add("a", index)
    while await one.run_once():
        pass
    assert index.unsaved == 0
    index.apply(rows(clustered(1_500, 8, seed=1), first=10_000))
    while await one.run_once():
        pass
    assert index.unsaved == 1_500
    await trio.sleep(module.SAVE_PAUSE)
    assert await one.run_once()
    assert index.unsaved == 0
    index.apply(rows(clustered(10, 8, seed=2), first=20_000))
    while await one.run_once():
        pass
    await one.save_all()
    assert index.unsaved == 0
    assert errors == []


async def test_an_error_pauses_that_shard_only(autojump_clock: trio.testing.MockClock) -> None:
    class Broken(InlineExecutor):
        fail = True

        async def run(self, lane, fn, *args):
            if self.fail and bad in args:
                raise OSError("no space")
            return await super().run(lane, fn, *args)

    executor = Broken()
    one, errors = linker(executor)
    bad, good = make(8), make(8)
    for key, index in (("bad", bad), ("good", good)):
        index.apply(rows(MATRIX))
        one.add(key, index)
    while await one.run_once():
        pass
    assert (good.unlinked, bad.unlinked) == (0, 2_400)
    assert [(key, type(error)) for key, error in errors] == [("bad", OSError)]
    executor.fail = False
    assert not await one.run_once()
    await trio.sleep(module.ERROR_PAUSE)
    while await one.run_once():
        pass
    assert bad.unlinked == 0
    assert set(executor.lanes) == {"index"}


async def test_it_wakes_for_new_rows(autojump_clock: trio.testing.MockClock) -> None:
    one, _ = linker()
    index = make(8)
    one.add("a", index)
    async with trio.open_nursery() as nursery:
        await nursery.start(one.run)
        await trio.testing.wait_all_tasks_blocked()
        index.apply(rows(MATRIX))
        one.wake()
        await trio.sleep(module.IDLE_POLL / 2)
        assert index.unlinked == 0
        index.apply(rows(clustered(5, 8, seed=3), first=9_000))  # nobody says so
        await trio.sleep(2 * module.IDLE_POLL)
        assert index.unlinked == 0
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("run", range(2))
async def test_on_real_threads(run: int) -> None:
    one, errors = linker(ThreadExecutor())
    index = make(8)
    index.apply(rows(MATRIX))
    one.add("a", index)
    async with trio.open_nursery() as nursery:
        await nursery.start(one.run)
        with trio.fail_after(60):
            while index.unlinked:
                assert index.search(MATRIX[:1], k=1)[0][0].ids == [0]
                await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert index.linked == 2_400
    assert errors == []


async def test_a_shard_that_is_being_filled_takes_time_and_others_do_not_wait_for_it(autojump_clock) -> None:
    one, errors = linker()
    filled, other = make(8), make(8)
    for key, index in (("filled", filled), ("other", other)):
        index.apply(rows(MATRIX))
        one.add(key, index)
    one.gently("filled", filling=True)
    assert await one.run_once()
    assert 0 < filled.linked < other.linked  # one turn, where the other one has several
    one._shards["filled"].not_before = trio.current_time() + 5.0  # it rests
    before = filled.linked
    while await one.run_once():
        pass
    assert (filled.linked, other.unlinked) == (before, 0)
    assert 0.0 < one._idle() <= module.IDLE_POLL
    one.gently("filled", filling=False)
    with trio.move_on_after(60):
        await one.run()
    assert filled.unlinked == 0
    assert not one._gentle
    assert errors == []


class Searched(InlineExecutor):
    """Each job takes a while, in which somebody may search."""

    SECONDS = 0.1

    def __init__(self, index: ShardIndex) -> None:
        super().__init__()
        self.index = index
        self.searches = 0

    async def run(self, lane, fn, *args):
        await trio.sleep(self.SECONDS)
        for _ in range(self.searches):
            self.index.search(MATRIX[:1], k=1)
        return await super().run(lane, fn, *args)


@pytest.mark.parametrize("searches", [1, 10])
async def test_a_filters_own_graph_rests_while_somebody_searches(
    searches: int, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planner, "SUBGRAPH_EARLY", 0.0)
    monkeypatch.setattr(planner, "crossover", lambda *_, **__: 0)
    monkeypatch.setattr(subgraphs, "SHARE", 0.01)
    index = make(8)
    executor = Searched(index)
    one, errors = linker(executor)
    index.apply([row(i, 1, vector, {"half": i % 2}) for i, vector in enumerate(MATRIX)])
    one.add("a", index)
    while await one.run_once():
        pass
    index.search(MATRIX[:1], k=1, filter=parse_filter({"half": 1}))
    assert index.subgraphs_due
    executor.searches = searches
    assert await one.run_once()
    if searches > module.QUIET * executor.SECONDS:
        assert not await one.run_once()
        assert one._idle() == pytest.approx(module.SUBGRAPH_REST * executor.SECONDS)
        await trio.sleep(module.SUBGRAPH_REST * executor.SECONDS)
    else:
        assert await one.run_once()
    with trio.move_on_after(10):
        await one.run()
    assert not index.subgraphs_due
    plan = index.search(MATRIX[:1], k=1, filter=parse_filter({"half": 1}))[1]
    assert plan["subgraph"] == len(MATRIX) // 2
    assert errors == []


async def test_a_rebuild_waits_for_calm_unless_it_is_urgent(autojump_clock: trio.testing.MockClock) -> None:
    """What came during a rebuild waited to be linked after it: under steady writes a tail of many seconds."""
    one, _ = linker()
    index = make(8)
    index.apply(rows(MATRIX))
    one.add("a", index)
    while await one.run_once():
        pass
    index.apply([row(i, 2, MATRIX[i] + 1) for i in range(1_100)])
    while await one.run_once():
        pass
    assert (index.unlinked, index.needs_rebuild, index.rebuild_urgent) == (0, True, False)
    assert index.garbage == 1_100
    async with trio.open_nursery() as nursery:
        await nursery.start(one.run)
        await trio.sleep(module.CALM / 2)
        assert index.garbage == 1_100
        await trio.sleep(module.CALM)
        assert (index.garbage, index.needs_rebuild) == (0, False)
        nursery.cancel_scope.cancel()


async def test_an_urgent_rebuild_does_not_wait(autojump_clock: trio.testing.MockClock) -> None:
    one, _ = linker()
    index = make(8)
    index.apply(rows(MATRIX))
    one.add("a", index)
    while await one.run_once():
        pass
    for stamp in (2, 3):
        index.apply([row(i, stamp, MATRIX[i] + stamp) for i in range(2_400)])
        while await one.run_once():
            pass
    assert (index.unlinked, index.garbage) == (0, 0)


async def test_payloads_that_a_start_left_are_indexed(tmp_path: Path) -> None:
    held = [row(i, 1, vector, {"n": i}) for i, vector in enumerate(MATRIX)]
    index = make(8, folder=tmp_path)
    index.apply(held)
    link_all(index)
    assert index.save()
    index.close()
    again = make(8, folder=tmp_path)
    again.load(held)
    assert again.payloads_wait
    one, errors = linker()
    one.add("a", again)
    while await one.run_once():
        pass
    assert not errors
    assert not again.payloads_wait
    assert again.matches(parse_filter({"n": {"$gte": 100}})).sure == len(MATRIX) - 100


async def test_an_import_that_nobody_searches_comes_before_linking(autojump_clock: trio.testing.MockClock) -> None:
    one, _ = linker()
    index = make(8)
    index.apply(rows(MATRIX))
    one.add("a", index)
    assert await one.run_once(), "these were there before"
    lot = 2 * int(module.IMPORT_RATE * module.LOOK)
    matrix = clustered(8 * lot, 8, seed=2)

    async def arrive(part: int, share: float = 1.0) -> bool:
        await trio.sleep(1.1 * module.LOOK)
        index.apply(rows(matrix[part * lot : part * lot + int(share * lot)], first=10_000 + part * lot))
        return await one.run_once()

    linked = index.linked
    assert not await arrive(0)
    assert not await one.run_once(), "it rests"
    assert index.linked == linked
    assert one._idle() <= module.LOOK, "and looks again soon"
    index.search(MATRIX[:1], k=1)
    assert await arrive(1), "somebody searches"
    assert not await arrive(2)
    assert await arrive(3, share=0.4), "points come slowly"
    assert not await arrive(4)
    await trio.sleep(1.1 * module.LOOK)
    while await one.run_once():
        pass
    assert one.unlinked == 0


async def test_an_import_does_not_delay_linking_until_writes_are_refused(
    autojump_clock: trio.testing.MockClock,
) -> None:
    index = make(8)
    lot = 2 * int(module.IMPORT_RATE * module.LOOK)
    one, _ = linker(max_unlinked=6 * lot)
    index.apply(rows(MATRIX))
    one.add("a", index)
    while await one.run_once():
        pass
    matrix = clustered(4 * lot, 8, seed=2)
    worked = []
    for part in range(4):
        await trio.sleep(1.1 * module.LOOK)
        index.apply(rows(matrix[part * lot : (part + 1) * lot], first=10_000 + part * lot))
        worked.append(await one.run_once())
    assert worked == [False, False, False, True]


async def test_a_graph_that_loses_points_is_noticed_and_built_anew(autojump_clock: trio.testing.MockClock) -> None:
    lost: list[str] = []
    one, errors = linker(on_lost=lost.append)
    sound, spoilt = make(8), make(8)
    for key, index in (("sound", sound), ("spoilt", spoilt)):
        index.apply(rows(MATRIX))
        one.add(key, index)
    async with trio.open_nursery() as nursery:
        await nursery.start(one.run)
        await trio.sleep(module.CANARY_PAUSE / 2)
        assert sound.look_due, "a start has better things to do"
        await trio.sleep(module.CANARY_PAUSE)
        assert not sound.look_due
        spoil(spoilt, 0.1)
        for index in (sound, spoilt):  # it has grown since
            index.apply(rows(clustered(1_500, 8, seed=9), first=2_400))
        await trio.sleep(2 * module.CANARY_PAUSE)
        assert lost == ["spoilt"]
        assert (spoilt.linked, spoilt.needs_rebuild, spoilt.look()) == (3_900, False, False)
        assert [spoilt.search(vector[None], k=1)[0][0].ids for vector in MATRIX[:100]] == [[i] for i in range(100)]
        nursery.cancel_scope.cancel()
    assert errors == []
