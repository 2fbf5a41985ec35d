"""One cluster of three processes per test module: each of its tests uses a collection of its own, and leaves all nodes
running.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.nodes import wait_healthy
from tests.unit.cli.running import Shell
from vectron_p2p.testing import ProcessCluster

NODES = 3


@pytest.fixture(scope="module")
def started_cluster() -> Iterator[ProcessCluster]:
    with ProcessCluster(NODES) as cluster:
        cluster.start()
        yield cluster


@pytest.fixture
def cluster(started_cluster: ProcessCluster) -> ProcessCluster:
    """All of it up, whatever the test before did."""
    for node in started_cluster.nodes:
        if not node.running:
            started_cluster.start_node(node.index)
    wait_healthy(started_cluster)
    return started_cluster


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(monkeypatch, capsys)
