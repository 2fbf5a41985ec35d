from __future__ import annotations

import contextlib
import dataclasses

import anyio
import pytest

from tests.tui.factories import FakeCluster, collection, node, silent, status, taken
from tests.tui.helpers import FAST, FakeClock, until
from tui.connection import Connection, Timing, describe
from tui.store import LinkState, Store
from vectron_p2p.model.errors import Unavailable
from vectron_p2p.model.statistics import History

pytestmark = pytest.mark.anyio

N1, N2, N3 = (f"127.0.0.1:{port}" for port in (7701, 7702, 7703))
THREE = status(node(1), node(2), node(3))


class Rig:
    """A connection on a fake cluster, run in the background."""

    def __init__(self, fake: FakeCluster, seeds: list[str], *, timing: Timing = FAST) -> None:
        self.fake = fake
        self.store = Store()
        self.clock = FakeClock()
        self.changes = 0
        self.connection = Connection(
            seeds, fake.open, self.store, timing=timing, clock=self.clock, changed=self._changed
        )

    def _changed(self) -> None:
        self.changes += 1

    @contextlib.asynccontextmanager
    async def running(self):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.connection.run)
            yield self
            tasks.cancel_scope.cancel()

    def epoch(self) -> int | None:
        return self.store.status.value.epoch if self.store.status.value is not None else None

    def state(self) -> LinkState:
        return self.store.link.state(self.clock.now)


async def test_it_connects_and_keeps_asking():
    patient = dataclasses.replace(FAST, answer=10.0)  # a machine that is busy with other tests is no silent peer
    rig = Rig(FakeCluster(figures=THREE), [N1], timing=patient)
    async with rig.running():
        await until(lambda: rig.fake.refreshes >= 3 and rig.store.collections.value)
        assert rig.state() is LinkState.LIVE
        assert rig.fake.opened == [N1]
        assert rig.changes > 3
        rig.fake.figures = dataclasses.replace(THREE, epoch=43)
        rig.fake.infos = [collection("new")]
        await until(lambda: rig.epoch() == 43 and rig.store.collections.value == rig.fake.infos)


async def test_the_address_shown_is_that_of_the_node_that_answered():
    # A client that was given one address goes on to other members by itself when that one dies; a name may be dialled.
    rig = Rig(FakeCluster(figures=THREE), [N1])
    async with rig.running():
        await until(lambda: rig.store.link.address == N1)
        first = dataclasses.replace(THREE.nodes[0], address="10.0.0.1:7700")
        rig.fake.figures = dataclasses.replace(THREE, nodes=[first, *THREE.nodes[1:]], answered_by=first.id)
        await until(lambda: rig.store.link.address == first.address)


async def test_the_source_is_closed_when_it_ends():
    rig = Rig(FakeCluster(), [N1])
    async with rig.running():
        await until(lambda: rig.store.status.value)
        assert rig.fake.open_now == 1
    assert rig.fake.open_now == 0


async def test_a_dead_seed_is_skipped():
    rig = Rig(FakeCluster(figures=THREE, dead={N1}), [N1, N2])
    async with rig.running():
        await until(lambda: rig.state() is LinkState.LIVE)
        assert rig.store.link.address == N2


async def test_another_peer_is_used_when_the_connected_one_dies():
    rig = Rig(FakeCluster(figures=THREE), [N1])
    async with rig.running():
        await until(lambda: rig.store.link.address == N1)
        rig.fake.dead.add(N1)
        await until(lambda: rig.store.link.address == N2)
        assert rig.state() is LinkState.LIVE
        assert rig.fake.open_now == 1
        assert any("switched to 127.0.0.1:7702" in event.text for event in rig.store.events)


async def test_a_peer_that_hangs_is_left_too():
    rig = Rig(FakeCluster(figures=THREE), [N1])
    async with rig.running():
        await until(lambda: rig.store.link.address == N1)
        rig.fake.hanging.add(N1)
        await until(lambda: rig.store.link.address == N2)


async def test_when_all_are_gone_it_says_so_and_goes_on_trying():
    rig = Rig(FakeCluster(figures=THREE), [N1])
    async with rig.running():
        await until(lambda: rig.store.link.address == N1)
        rig.fake.dead |= {N1, N2, N3}
        await until(lambda: rig.state() is LinkState.LOST)
        assert rig.store.link.error == f"unavailable: no node answers at {rig.store.link.trying}"
        assert rig.store.link.known == 3
        assert rig.store.status.value is not None
        rig.fake.dead.remove(N3)
        await until(lambda: rig.state() is LinkState.LIVE)
        assert rig.store.link.address == N3


async def test_it_starts_lost_and_recovers():
    rig = Rig(FakeCluster(dead={N1}), [N1])
    async with rig.running():
        await until(lambda: rig.state() is LinkState.LOST)
        rig.fake.dead.clear()
        await until(lambda: rig.state() is LinkState.LIVE)


async def test_wake_ends_a_long_pause():
    slow = Timing(refresh=3600, answer=5, retry_low=3600, retry_high=3600)
    rig = Rig(FakeCluster(dead={N1}), [N1], timing=slow)
    async with rig.running():
        await until(lambda: rig.state() is LinkState.LOST)
        rig.fake.dead.clear()
        rig.connection.wake()
        await until(lambda: rig.state() is LinkState.LIVE)
        seen = rig.fake.refreshes
        rig.connection.wake()
        await until(lambda: rig.fake.refreshes > seen)


async def test_a_peer_of_another_cluster_is_refused():
    rig = Rig(FakeCluster(figures=THREE), [N1])
    async with rig.running():
        await until(lambda: rig.store.status.value)
        rig.fake.figures = dataclasses.replace(THREE, cluster_id="dddddddd-0000", epoch=99)
        await until(lambda: rig.state() is LinkState.LOST)
        assert "belongs to another cluster, dddddddd" in rig.store.link.error
        assert rig.epoch() == 42


async def test_the_charts_begin_with_what_the_nodes_remember():
    past = History("", 1, 1000.0, {"cpu_percent": [1.0, None, 3.0], "points": [5.0, 5.0, 6.0]})
    rig = Rig(FakeCluster(figures=THREE, past=past), [N1])
    async with rig.running():
        await until(lambda: len(rig.store.totals["cpu"].values) > 3)
        assert list(rig.store.totals["cpu"].values)[:3] == [1.0, None, 3.0]
        assert list(rig.store.totals["points"].values)[:3] == [5.0, 5.0, 6.0]


async def test_any_exception_of_a_peer_ends_on_the_screen():
    rig = Rig(FakeCluster(figures=THREE, broken=KeyError("defect")), [N1])
    async with rig.running():
        await until(lambda: rig.state() is LinkState.LOST)
        assert rig.store.link.error == "KeyError: 'defect'"


async def test_a_node_that_falls_silent_between_events_is_left():
    rig = Rig(FakeCluster(figures=THREE), [N1])
    async with rig.running():
        await until(lambda: rig.store.link.address == N1)
        rig.fake.hanging.add(N1)
        await until(lambda: rig.store.link.address == N2)


async def test_calls_of_a_person_go_to_the_node_that_answers_or_fail():
    rig = Rig(FakeCluster(figures=THREE, dead={N1}), [N1])
    with pytest.raises(Unavailable):
        await rig.connection.perform(lambda source: source.repair("n2"))
    async with rig.running():
        rig.fake.dead.clear()
        await until(lambda: rig.state() is LinkState.LIVE)
        await rig.connection.perform(lambda source: source.repair("n2"))
        assert rig.fake.changes == [("repair", "n2")]


class TestCandidates:
    def _after(self, *nodes, last: str, seeds: list[str]) -> list[str]:
        rig = Rig(FakeCluster(), seeds)
        rig.store.answered(last, taken(status(*nodes)), 1.0)
        return rig.connection.candidates()

    async def test_only_the_seeds_at_first(self):
        assert Rig(FakeCluster(), [N2, N1, N2]).connection.candidates() == [N2, N1]

    async def test_the_living_first_and_the_last_one_last_of_them(self):
        assert self._after(node(1), node(2), node(3), last=N2, seeds=["seed:1"]) == [N3, N1, N2, "seed:1"]

    async def test_the_dead_last_and_those_that_left_not_at_all(self):
        nodes = (node(1), silent(2), dataclasses.replace(silent(3), state="removed"))
        assert self._after(*nodes, last=N1, seeds=["seed:1"]) == [N1, "seed:1", N2]

    async def test_an_address_that_no_member_has(self):
        assert self._after(node(1), last="proxy:1", seeds=["proxy:1"]) == [N1, "proxy:1"]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (Unavailable("nobody there"), "unavailable: nobody there"),
        (TimeoutError(), "no answer in time"),
        (ConnectionRefusedError(111, "refused"), "ConnectionRefusedError: [Errno 111] refused"),
        (ValueError(), "ValueError"),
        (ExceptionGroup("group", [ExceptionGroup("inner", [OSError("x")]), ValueError()]), "OSError: x"),
    ],
)
async def test_errors_in_one_line(error, text):
    assert describe(error) == text
