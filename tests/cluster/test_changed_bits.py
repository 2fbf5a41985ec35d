"""Bits that change on the way between nodes and clients reach nobody."""

from __future__ import annotations

from collections import Counter
from itertools import permutations

from tests.cluster.looking import rested
from vectron_p2p.model.errors import InvalidArgument, VectronError
from vectron_p2p.testing.cluster import open_cluster


async def test_rows_are_whole_though_bits_change_on_every_way() -> None:
    happened: Counter[str] = Counter()
    async with open_cluster(seed=4) as cluster:
        network = cluster.network
        network.trace = lambda now, kind, source, target, size: happened.update([kind])
        ways = list(permutations([*cluster.hosts, "client"], 2))
        async with cluster.client() as db:
            docs = await db.create_collection("docs", dimension=64, metric="l2", shards=2)
            network.corrupt(ways, 0.03)
            written, blamed = set(), 0
            for n in range(60):
                try:
                    await docs.upsert(ids=[n], vectors=[[n] * 64], payloads=[{"n": n}])
                    written.add(n)
                except VectronError as error:
                    blamed += isinstance(error, InvalidArgument)
            network.corrupt(ways, 0.0)
            assert happened["corrupt"] > 10
            assert len(written) > 30
            assert blamed == 0, "nobody is at fault for what the network did"
            found = await docs.get(range(60), with_vector=True)
            for n, point in enumerate(found):
                assert point is not None or n not in written
                if point is not None:
                    assert point.payload == {"n": n}
                    assert point.vector is not None
                    assert list(point.vector) == [n] * 64
            network.corrupt(list(permutations(cluster.hosts, 2)), 0.5)
            await cluster.until(
                lambda: any(cluster.node(host.name).gossip.bad_packets for host in cluster.up), within=60.0
            )
            network.corrupt(ways, 0.0)
        await rested(cluster)
