"""What several subscribers read together."""

from __future__ import annotations

import trio

from tests.unit.node.large import Large
from vectron_p2p.node.topics import SHARED_S


async def test_what_is_read_is_let_go_only_when_nobody_reads_it() -> None:
    large = Large(nodes=4, collections=1, shards=4)
    gathering = large.topics._whole
    async with gathering.look() as first:
        await trio.sleep(SHARED_S)
        await large.topics.read(["shards"])
        async with gathering.look() as second:
            assert second is not first
        assert len(first.replies) == len(second.replies) == 4
    assert not first.replies
    assert second.replies
    await trio.sleep(SHARED_S)
    async with gathering.look() as third:
        assert not second.replies
        assert len(third.replies) == 4


async def test_replicas_that_are_as_before_are_the_same_objects() -> None:
    large = Large(nodes=4, collections=1, shards=4)
    before = (await large.topics.read(["shards"]))["shards"]
    said = next(iter(large.replies.values())).replicas[0]
    said["points"] += 1
    await trio.sleep(SHARED_S)
    after = (await large.topics.read(["shards"]))["shards"]
    assert after.keys() == before.keys()
    assert [key for key in after if after[key] is not before[key]] == [
        key for key in after if after[key]["points"] == said["points"]
    ]
    assert len({id(each) for each in after.values()} & {id(each) for each in before.values()}) == len(after) - 1
