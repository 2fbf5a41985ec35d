"""A write that some owners applied and others had outdone: why it is finished by a round, and not stamped anew
(PROTOCOLS §3.2).
"""

from __future__ import annotations

import trio

from vectron_p2p.model.errors import ConsistencyError, VectronError
from vectron_p2p.model.ids import ShardId
from vectron_p2p.testing.cluster import Cluster, open_cluster
from vectron_p2p.testing.mutants import MUTANTS

FAR = 0.3  # seconds on the way: long enough for others to write meanwhile
OFTEN = 0.02  # seconds between two writes of those others


async def attempt(cluster: Cluster) -> tuple[bool, VectronError | None]:
    """One write through a node that has one of three owners near and two far, while another client writes the same
    point through the two. Whether a reader saw that write, and what its client was told.
    """
    seen, over = trio.Event(), trio.Event()
    told: list[VectronError | None] = []
    async with cluster.client() as setup:
        await setup.create_collection("docs", dimension=1, metric="l2", shards=1, replicas=3)
        await cluster.until(cluster.agreed, within=30.0)
        node = cluster.hosts["n1"].node
        assert node is not None
        state = node.catalog.state
        key = next(key for key, each in state.collections.items() if each.name == "docs")
        owners = [state.members[owner].name for owner in state.owners(ShardId(key, 0))]
        far = next(name for name in cluster.hosts if name not in owners)
        near, *others = owners
        cluster.network.slow([(far, other) for other in others], FAR)
        async with cluster.client(far) as late, cluster.client(near) as beside, cluster.client(others[0]) as busy:

            async def write() -> None:
                try:
                    await late.collection("docs").upsert(ids=[1], vectors=[[7]], payloads=[{"who": "late"}])
                    told.append(None)
                except VectronError as error:
                    told.append(error)
                over.set()

            async def read() -> None:
                while not over.is_set():
                    (row,) = await beside.collection("docs").get([1], consistency="quorum")
                    if row is not None and row.payload == {"who": "late"}:
                        seen.set()
                        return

            async def outdo() -> None:
                await seen.wait()
                while not over.is_set():
                    await busy.collection("docs").upsert(ids=[1], vectors=[[8]], payloads=[{"who": "busy"}])
                    await trio.sleep(OFTEN)

            with trio.fail_after(60.0):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(write)
                    nursery.start_soon(read)
                    nursery.start_soon(outdo)
    return seen.is_set(), told[0]


def unwritten(error: VectronError | None) -> bool:
    return isinstance(error, ConsistencyError) and not error.acked


async def test_what_was_seen_is_never_called_unwritten() -> None:
    async with open_cluster(nodes=4, seed=61) as cluster:
        seen, told = await attempt(cluster)
    assert seen
    assert not unwritten(told)


async def test_stamped_anew_until_it_gives_up_it_would_be() -> None:
    """The schedule that the rule is there for: each stamp is applied by the near owner and outdone at the far ones, and
    the last time nothing reminds of the first.
    """
    with MUTANTS["restamp_after_mixed_outcome"]():
        async with open_cluster(nodes=4, seed=61) as cluster:
            seen, told = await attempt(cluster)
    assert seen
    assert unwritten(told)
