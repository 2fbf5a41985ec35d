"""One cluster of three processes for all tests of the console: they leave the nodes running."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.integration.console.driving import (
    POINTS,
    VECTORS,
    WORDS,
)
from tests.integration.nodes import DIMENSION, wait_healthy
from vectron_p2p import AsyncClient, connect
from vectron_p2p.testing import ProcessCluster


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="package")
def started_cluster() -> Iterator[ProcessCluster]:
    with ProcessCluster(3, arguments=["--slow-ms", "0"]) as cluster:  # all requests are in the log, with their trace
        cluster.start()
        wait_healthy(cluster)
        with connect(cluster.connect) as db:
            points = db.create_collection(WORDS, dimension=DIMENSION, shards=2, replicas=3)
            points.upsert(
                [
                    {"id": at, "vector": VECTORS[at], "payload": {"pos": "noun" if at % 2 else "verb", "rank": at}}
                    for at in range(POINTS)
                ],
                consistency="all",
            )
        yield cluster


@pytest.fixture
def cluster(started_cluster: ProcessCluster) -> ProcessCluster:
    """Its tests leave the three nodes running."""
    return started_cluster


@pytest.fixture
async def other(cluster: ProcessCluster) -> AsyncIterator[AsyncClient]:
    """A client of another node than the console's."""
    async with AsyncClient(cluster[2].address) as db:
        yield db
