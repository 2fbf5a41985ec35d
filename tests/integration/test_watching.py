"""A subscription to real processes outlives the one that it is told by."""

from __future__ import annotations

import time

import pytest

from vectron_p2p import connect
from vectron_p2p.testing import ProcessCluster

pytestmark = pytest.mark.processes

LIVE_AGAIN_S = 5.0  # what a console promises


def test_the_node_that_tells_is_killed(cluster: ProcessCluster) -> None:
    with connect(cluster.connect) as db:
        events = db.watch("cluster", "statistics")
        first = next(events)
        assert first.full
        assert all(node.answered and node.rss_bytes > 0 for node in first.view["statistics"].values())
        teller = next(node for node in cluster.nodes if node.id == first.node)
        cluster.kill(teller.index)
        killed = time.monotonic()
        event = next(event for event in events if event.node not in ("", teller.id))
        assert event.full
        assert time.monotonic() - killed < LIVE_AGAIN_S
        absent = next(event for event in events if not event.view["statistics"][teller.id].answered)
        assert not absent.lost
        cluster.start_node(teller.index)
        back = next(event for event in events if event.view["statistics"][teller.id].answered)
        assert {node.liveness for node in back.view["cluster"][""].nodes} <= {"alive", "suspect"}
