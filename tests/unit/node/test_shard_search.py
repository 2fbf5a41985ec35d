"""A request of many queries on its way to the search threads."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import trio
import trio.testing

from vectron_p2p.node import shard_search

DIMENSION = 2
COUNT = 1_000


async def test_a_large_request_never_fills_the_line_and_keeps_its_order() -> None:
    """All its parts at once would have been refused, again and again, with a beam so wide that they weigh too much."""
    waiting: list[int] = []
    most = 0

    class Batch:
        dimension = DIMENSION

        def ticks(self) -> float:
            return 0.0

        async def submit(self, searcher: Any, part: Any) -> Any:
            nonlocal most
            waiting.append(part.count)
            most = max(most, len(waiting))
            await trio.testing.wait_all_tasks_blocked()
            waiting.remove(part.count)
            return SimpleNamespace(results=part.vectors, count=part.count)

    vectors = b"".join(number.to_bytes(4 * DIMENSION, "little") for number in range(COUNT))
    message: Any = SimpleNamespace(vectors=vectors, count=COUNT)
    batch: Any = Batch()
    nobody: Any = None
    answers: list[Any] = await shard_search._submit(message, batch, nobody)
    assert b"".join(answer.results for answer in answers) == vectors
    assert sum(answer.count for answer in answers) == COUNT
    assert most == shard_search.PARTS_AT_ONCE < len(answers)
