"""What an owner still takes, and when it has ended what it took before."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import trio

from vectron_p2p.model.errors import StaleEpoch
from vectron_p2p.model.ids import CollectionId, NodeId, ShardId
from vectron_p2p.node.fences import Fences

ONE, TWO = (ShardId(CollectionId("c"), index) for index in (0, 1))


class Catalog:
    """The steps of two shards."""

    def __init__(self) -> None:
        self.steps: dict[ShardId, int] = {}

    def fences(self) -> Fences:
        return Fences(NodeId("a"), lambda: SimpleNamespace(fence=lambda shard: self.steps.get(shard, 0)))  # type: ignore[arg-type, return-value]


def test_a_request_older_than_the_last_step_of_its_shard_is_refused_with_the_epoch_it_needs() -> None:
    catalog = Catalog()
    fences = catalog.fences()
    catalog.steps[ONE] = 7
    with fences.admit([TWO], 1), fences.admit([ONE], 7), fences.admit([ONE], 8):
        pass
    with pytest.raises(StaleEpoch) as refusal, fences.admit([TWO, ONE], 6):
        raise AssertionError
    assert refusal.value.epoch == 7


async def test_a_fence_has_passed_when_what_was_admitted_before_has_ended(autojump_clock: object) -> None:
    catalog = Catalog()
    fences = catalog.fences()

    async def request(shard: ShardId, seconds: float) -> None:
        with fences.admit([shard], 9):
            await trio.sleep(seconds)

    async with trio.open_nursery() as nursery:
        for shard, seconds in ((ONE, 1.0), (ONE, 2.0), (TWO, 9.0)):
            nursery.start_soon(request, shard, seconds)
        await trio.sleep(0.1)
        catalog.steps[ONE] = 5
        nursery.start_soon(request, ONE, 5.0)  # after the step: nothing waits for it
        await trio.sleep(0.1)
        await fences.passed(ONE, 5)
        assert 1.9 < trio.current_time() < 3.0
        nursery.cancel_scope.cancel()
    await fences.passed(TWO, 100)  # what was cancelled has ended too
