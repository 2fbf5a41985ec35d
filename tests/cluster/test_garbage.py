"""What answers a search leaves nothing that only a search for cycles finds: that stops all threads of a busy node."""

from __future__ import annotations

import gc
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest
import trio
import trio.lowlevel

from vectron_p2p.testing.cluster import open_cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

COUNT = 40


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Garbage stays where it is, until it is asked for."""
    gc.collect()
    gc.disable()
    yield
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()


def left() -> Counter[str]:
    """The objects of ours that are garbage, by their class."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    found = Counter(type(each).__qualname__ for each in gc.garbage if type(each).__module__.startswith("vectron_p2p"))
    gc.set_debug(0)
    gc.garbage.clear()
    return found


@pytest.mark.usefixtures("uncollected")
async def test_searches_leave_no_cycles() -> None:
    vectors = np.random.default_rng(3).normal(size=(COUNT, 8)).astype(np.float32)
    async with open_cluster(nodes=1, seed=11) as cluster, cluster.client() as db:
        docs = await db.create_collection("docs", dimension=8, shards=1, replicas=1)
        await docs.upsert(ids=range(COUNT), vectors=vectors)
        await docs.search(vectors[0])
        left()
        for vector in vectors:
            await docs.search(vector)
            await docs.search(vectors[0])  # kept
        async with trio.open_nursery() as nursery:  # together, equal ones too, and some that nobody waits for
            for vector in vectors.repeat(2, axis=0):
                nursery.start_soon(docs.search, vector)
            await trio.lowlevel.checkpoint()
            with trio.move_on_after(0):
                await docs.search(vectors[0] + 1)
        assert not {name: many for name, many in left().items() if many >= COUNT // 2}
