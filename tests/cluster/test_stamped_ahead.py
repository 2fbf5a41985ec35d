"""A row that a node stamped far ahead while it was alone, when nothing could tell it that its clock was wrong: it takes
newer writes all the same (PROTOCOLS §2.2). The simulation begins with several nodes, whose clocks keep each other in
check; so this is the schedule in which these rules count.
"""

from __future__ import annotations

import pytest
import trio

from vectron_p2p.model.errors import VectronError
from vectron_p2p.testing.cluster import Cluster, open_cluster
from vectron_p2p.testing.mutants import MUTANTS

AHEAD = 300.0  # seconds: far more than the test takes


async def write_over(cluster: Cluster) -> dict[int, object]:
    """What reads find of a point that was upserted, and of one that was deleted, through a node that joined after the
    clock was mended.
    """
    first = cluster.hosts["n1"]
    async with cluster.client("n1") as db:
        docs = await db.create_collection("docs", dimension=1, metric="l2", shards=1, replicas=1)
        first.clock.wall_offset = AHEAD
        await trio.sleep(2.0)
        await docs.upsert(ids=[1, 2], vectors=[[1], [2]], payloads=[{"n": 0}] * 2)
        first.clock.wall_offset = 0.0
    cluster.add_host("n2")
    await cluster.start("n2", join=[first.address])
    await cluster.until(cluster.agreed, within=30.0)
    async with cluster.client("n2", timeout=8.0) as db:
        docs = db.collection("docs")
        await docs.upsert(ids=[1], vectors=[[3]], payloads=[{"n": 1}])
        await docs.delete(ids=[2])
        return {1: (await docs.get([1]))[0].payload, 2: (await docs.get([2]))[0]}  # type: ignore[union-attr]


async def test_what_was_stamped_ahead_takes_newer_writes() -> None:
    async with open_cluster(nodes=1, seed=62) as cluster:
        assert await write_over(cluster) == {1: {"n": 1}, 2: None}


@pytest.mark.parametrize("mutant", ["held_stamp_blocks", "stamp_below_held"])
async def test_without_the_rule_its_id_is_blocked(mutant: str) -> None:
    with MUTANTS[mutant]():
        async with open_cluster(nodes=1, seed=62) as cluster:
            with pytest.raises(VectronError):
                await write_over(cluster)
