"""Each service with the time that it takes to answer."""

from __future__ import annotations

import dataclasses

import pytest

from tests.tui.factories import FakeCluster, node, node_id, silent, statistics, status
from tests.tui.helpers import console, screen, settle, text, until
from tui.render import services
from tui.render.text import plain
from tui.screens.logs import LogsScreen
from tui.screens.nodes import NodeScreen
from vectron_p2p.model.logs import LogRecord
from vectron_p2p.model.statistics import ConnectionStatistics, OperationStatistics
from vectron_p2p.model.traffic import PeerFigures, RoundTripFigures, TrafficFigures
from vectron_p2p.node.measuring import operation_name
from vectron_p2p.protocol import messages

pytestmark = pytest.mark.anyio


def asked(operation: str, window: int, p50: float, p99: float, kind: str = "peer") -> OperationStatistics:
    return OperationStatistics(operation, kind, window, 10, 1.0, 0, p50, p50, p99, p99, p99)


def times(*operations: OperationStatistics) -> dict[str, str]:
    trip = {"other": RoundTripFigures(17.0, 90.0, 4), "write": RoundTripFigures(400.0, 900.0, 4)}
    peers = [PeerFigures(node_id(2), "closed", False, 0, 0, 0, 0, trip)]
    said = {
        node_id(1): dataclasses.replace(statistics(node(1)), traffic=TrafficFigures(peers), loop_lag_p50_ms=2.0),
        node_id(2): statistics(node(2)),
        node_id(3): statistics(silent(3)),
    }
    lines = services.with_times(status(node(1), node(2), silent(3)), operations, said, 76)
    assert all(len(plain(each)) <= 76 for each in lines)
    return {plain(each)[2:17].strip(): plain(each)[17:] for each in lines}


def test_the_slowest_operation_of_each_in_the_shortest_window_that_has_any():
    found = times(
        asked("apply_rows", 60, 7.0, 135.0),
        asked("prepare", 60, 1.0, 3.0),
        asked("apply_rows", 3600, 9.0, 900.0),
        asked("create_collection", 3600, 16.0, 99.7, "client"),
        asked("search", 300, 2.0, 8.0, "client"),
    )
    assert list(found) == ["Membership", "Catalog quorum", "Replication", "Repair", "Index", "Node health"]
    assert found["Membership"].startswith("round trip ≤ 17.0 ms  n1 → n2")
    assert found["Catalog quorum"].startswith("p50 16.0 ms  p99 99.7 ms  1 h")
    assert found["Replication"].startswith("p50 7.0 ms  p99 135 ms  1 m")
    assert found["Index"].startswith("p50 2.0 ms  p99 8.0 ms  5 m")
    assert found["Repair"].startswith("not asked for an hour")
    assert found["Node health"].startswith("lag p50 2.0 ms")
    assert "dead: n3" in found["Membership"]


def test_what_is_asked_of_services_are_operations_that_there_are():
    known = {operation_name(cls) for cls in vars(messages).values() if isinstance(cls, type)} | {"search_batch"}
    assert set().union(*services.OPERATIONS.values()) <= known


@pytest.mark.parametrize("size", [(80, 24), (160, 48)])
async def test_they_stand_above_the_alerts(size: tuple[int, int]):
    fake = FakeCluster(operations={"": [asked("search", 60, 2.0, 8.0, "client")]})
    async with console(fake, size=size) as (app, pilot):
        await pilot.press("6")
        await settle(app, pilot)
        for part in ("Services", "Catalog quorum", "p50 2.0 ms  p99 8.0 ms", "Nothing is wrong."):
            assert part in text(app)


async def test_the_connections_and_the_log_of_a_node():
    caller = ConnectionStatistics("10.0.0.9:4242", "client", "", 900.0, requests=7)
    fake = FakeCluster(more={node_id(1): {"callers": [caller], "connections": 3, "at": 1000.0}})
    fake.records = [LogRecord(999.0, "info", "joined", "n1", node_id(1))]
    async with console(fake) as (app, pilot):
        await pilot.press("2", "enter")
        await settle(app, pilot)
        assert isinstance(app.screen, NodeScreen)
        assert "Replicas · " in text(app)
        await pilot.press("v")
        await settle(app, pilot)
        for part in ("Connections · 1 of 3", "10.0.0.9:4242"):
            assert part in text(app)
        await pilot.press("v")
        await settle(app, pilot)
        assert "Replicas · " in text(app)
        await pilot.press("l")
        await until(lambda: fake.changes)
        await until(lambda: isinstance(app.screen, LogsScreen))
        await settle(app, pilot)
        assert screen(app).crumbs() == ("n1", "log")
        assert "Nodes › n1 › log" in text(app)
        assert fake.changes == [("logs", "n1", "info", False, None)]


async def test_slow_requests_from_the_traffic():
    fake = FakeCluster()
    async with console(fake) as (app, pilot):
        await pilot.press("5", "s")
        await until(lambda: fake.changes)
        await settle(app, pilot)
        assert "Traffic › slow requests" in text(app)
        assert fake.changes == [("logs", None, "info", True, None)]
        await pilot.press("escape")
        await settle(app, pilot)
        assert "Operations" in text(app)
