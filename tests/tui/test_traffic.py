"""Traffic: what is asked, by whom, and how nodes get on with each other."""

from __future__ import annotations

import dataclasses

import pytest

from tests.tui.factories import FakeCluster, node, node_id, silent, statistics, status
from tests.tui.helpers import console, first_column, settle, text, until
from tui.render import traffic
from tui.render.text import plain
from tui.store import on_points, traffic_figures
from vectron_p2p.model.statistics import ConnectionStatistics, OperationStatistics
from vectron_p2p.model.traffic import HedgeFigures, LimitFigures, PeerFigures, RoundTripFigures, TrafficFigures

SEARCH = OperationStatistics("search", "client", 60, 600, 10.0, 12, 2.0, 1.5, 8.0, 120.0, 300.0, 60_000, 90_000)
WATCH = OperationStatistics("watch_next", "client", 60, 60, 1.0, 0, 900.0, 900.0, 950.0, 990.0, 999.0)
APPLY = OperationStatistics("apply_rows", "peer", 60, 1200, 20.0, 0, 1.0, 0.8, 2.0, 4.0, 9.0)
HOUR = dataclasses.replace(SEARCH, window_s=3600, count=36_000)
BY_NODE = {"": [SEARCH, WATCH, APPLY, HOUR], node_id(1): [SEARCH, HOUR], node_id(2): [APPLY]}
NAMES = {node_id(number): f"n{number}" for number in range(1, 4)}


def test_looks_at_the_cluster_are_no_requests():
    assert [on_points(each) for each in (SEARCH, WATCH, APPLY)] == [True, False, False]
    assert traffic_figures(BY_NODE[""]) == {"requests": 10.0, "p99": 120.0}


def test_operations_of_all_and_of_each_node():
    table = traffic.operations(BY_NODE, NAMES, 60, per_node=False)
    assert [row.cells["operation"].text for row in table.rows] == ["search", "watch_next", "apply_rows"]
    assert table.rows[0].cells["share"].text == "2.0"
    assert {row.cells["node"].text for row in traffic.operations(BY_NODE, NAMES, 60, per_node=True).rows} == {
        "n1",
        "n2",
    }
    assert traffic.operations(BY_NODE, NAMES, 3600, per_node=False).rows[0].cells["count"].text == "36,000"


def figures(number: int, breaker: str) -> TrafficFigures:
    peer = PeerFigures(
        node_id(3),
        breaker,
        False,
        7,
        1,
        2,
        30,
        {"small": RoundTripFigures(1.5, 9.0, 99), "large": RoundTripFigures(4, 40, 9)},
    )
    return TrafficFigures(
        [peer], HedgeFigures(100, 5, 2, 1), LimitFigures(limited=3, requests_per_second=50.0), 1, breaker != "closed"
    )


def test_of_a_large_cluster_the_worst_peers_are_shown_and_all_are_counted():
    told = dataclasses.replace(figures(1, "open"), peer_count=99, open_breakers=5)
    members = [dataclasses.replace(statistics(node(1)), traffic=told), statistics(silent(3))]
    assert traffic.peers_shown(members) == "1 of 99 peers shown, the worst of each node"
    assert "5 breakers not closed" in "\n".join(plain(each) for each in traffic.summary(BY_NODE, members, 60))
    small = [dataclasses.replace(statistics(node(1)), traffic=figures(1, "open"))]
    assert traffic.peers_shown(small) == "1"


def test_peers_limits_and_hedges():
    members = [
        dataclasses.replace(statistics(node(n)), traffic=figures(n, word)) for n, word in ((1, "open"), (2, "closed"))
    ]
    rows = traffic.peers([*members, statistics(silent(3))], NAMES).rows
    assert [row.cells["breaker"].text for row in rows] == ["✕ open", "● closed"]
    assert rows[0].cells["rtt"].text == "4.0 ms"
    said = "\n".join(plain(each) for each in traffic.summary(BY_NODE, members, 60))
    for part in (
        "10 requests/s",
        "2.00%",
        "120 ms search",
        "limits 50/s a node",
        "6 turned away",
        "cache hits –",
        "hedges 10 (4 won)",
        "1 breaker not",
    ):
        assert part in said


def test_nobody_asks():
    said = "\n".join(plain(each) for each in traffic.summary({}, [], 60))
    assert "0 requests/s" in said
    assert "errors –" in said


@pytest.mark.anyio
@pytest.mark.parametrize("size", [(80, 24), (160, 48)])
async def test_the_screen(size):
    fake = FakeCluster(figures=status(node(1), node(2), node(3)), operations=BY_NODE)
    caller = ConnectionStatistics("10.0.0.9:555", "client", "", 900.0, 42)
    fake.more[node_id(1)] = {"traffic": figures(1, "half_open"), "callers": [caller], "at": 1000.0}
    async with console(fake, size=size) as (app, pilot):
        await pilot.press("5")
        await settle(app, pilot)
        assert first_column(app) == ["apply_rows", "search", "watch_next"]
        assert "Operations · last 1 m · 3" in text(app)
        await pilot.press("u", "u")
        await settle(app, pilot)
        assert "last 1 h · 1" in text(app)
        await pilot.press("v")
        await settle(app, pilot)
        assert "Operations by node" in text(app)
        await pilot.press("v")
        await settle(app, pilot)
        assert "◐ half open" in text(app)
        await pilot.press("v")
        await settle(app, pilot)
        assert first_column(app) == ["10.0.0.9:555"]
        assert "1m 40s" in text(app) or size == (80, 24)
        await pilot.press("v")
        await settle(app, pilot)
        fake.operations = {}
        await until(lambda: app.shared.store.operations.value == {}, app)
        await settle(app, pilot)
        assert "Nothing was asked" in text(app)


def test_settings_of_limits_and_the_cache_of_searches():
    limits = LimitFigures(under_way=3, concurrent_requests=2048)
    member = dataclasses.replace(
        statistics(node(1)), traffic=TrafficFigures(limits=limits), cache_hits=30, cache_misses=10, cache_bytes=4096
    )
    said = [plain(each) for each in traffic.summary({}, [member], 60)]
    assert said[1] == "limits 2,048 at once, no rate limit   3 under way   0 turned away"
    assert said[2].endswith("cache hits 75% of 40, 4.0 KiB")
    other = LimitFigures(requests_per_second=100.0, requests_per_second_per_connection=5.0)
    both = [member, dataclasses.replace(member, traffic=TrafficFigures(limits=other))]
    assert plain(traffic.summary({}, both, 60)[1]).startswith(
        "limits 100 or none/s a node, 5.00 or none/s a connection, 2,048 or none at once"
    )
