"""L1: once a majority has healed, all that waits comes to its end, queues drain, and a cluster that has nothing to do
does next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from vectron_p2p.model.nodes import Liveness

if TYPE_CHECKING:
    from vectron_p2p.node.node import Node

STEPS_PER_NODE = 400.0
"""Of tasks, per node and second at rest. Five nodes with four shards each take some 100: the loop's own health ten
times a second, probes, gossip, counters. A loop that waits for nothing takes thousands."""


class Steps(trio.abc.Instrument):
    """Counts what tasks do."""

    def __init__(self) -> None:
        self.count = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.count += 1


def waiting(nodes: list[Node]) -> list[str]:
    """What is not done yet: hints for nodes that are there, rounds left open, rows on their way."""
    found: list[str] = []
    for node in nodes:
        name = node.identity.name
        book = node.hints.book
        found += [
            f"{name} has {book.count_for(target)} hints for {target}, which is alive"
            for target in book.targets
            if node.gossip.liveness(target) is Liveness.ALIVE
        ]
        for replica in node.replicas.all():
            promises = replica.store.open_promises()
            if promises:
                found.append(f"{name} has open promises in shard {replica.shard.index}: {promises[:3]}")
    return found


async def busy(nodes: int, seconds: float) -> str:
    """Why a cluster at rest is not; "" when it is. Takes `seconds`."""
    steps = Steps()
    trio.lowlevel.add_instrument(steps)
    await trio.sleep(seconds)
    trio.lowlevel.remove_instrument(steps)
    rate = steps.count / seconds / nodes
    return f"{rate:.0f} task steps per node and second at rest" if rate > STEPS_PER_NODE else ""
