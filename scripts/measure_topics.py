"""How long subscriptions hold the event loop of a node in a large cluster.

What 100 nodes with 5,000 shards of three replicas say of themselves is read by topics, compared with what was before
and packed, part by part, as `node.watching` does it, and gathered and encoded for `statistics(replicas=True)`; each
step of the event loop is timed by the processor time of its thread. Garbage collections are left out: they are those
of the whole node, not of this.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from pathlib import Path
from typing import Any

import trio
from _data import add_common_arguments, finish

sys.path.insert(0, str(Path(__file__).parent.parent))  # the cluster is that of the tests

from tests.unit.node.large import Large
from vectron_p2p.model.watching import TOPICS
from vectron_p2p.net.serving import encoded_in_steps
from vectron_p2p.node.event_parts import parts
from vectron_p2p.protocol import messages as m
from vectron_p2p.protocol import registry

MAX_STEP_MS = 5.0
APART_S = 0.5  # longer than what is gathered once serves


class Steps(trio.abc.Instrument):
    """Processor time of each step of a task, in milliseconds."""

    def __init__(self) -> None:
        self.took: list[float] = []
        self._began = 0.0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._began = time.thread_time()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self.took.append(1000 * (time.thread_time() - self._began))


async def measure(events: int) -> tuple[list[float], list[float]]:
    """Steps of the topics, and of the answers to `statistics(replicas=True)`."""
    large, steps = Large(), Steps()
    names = [name for name in TOPICS if name != "alerts"]
    gc.collect()
    gc.disable()
    await trio.lowlevel.checkpoint()
    trio.lowlevel.add_instrument(steps)
    await trio.lowlevel.checkpoint()
    steps.took.clear()
    before: dict[str, dict[str, Any]] = {}
    for _ in range(events):
        contents = await large.topics.read(names)
        for part in parts(before, contents):
            if part is not None:
                registry.encode(m.WatchReply("s", 1, "n", 0.0, 1, True, part.changed, more=not part.last))
            await trio.lowlevel.checkpoint()
        before = contents
        await trio.sleep(APART_S)
    topics, steps.took = steps.took, []
    for _ in range(events):
        registry.encode(await encoded_in_steps(m.StatisticsReply(await large.statistics.cluster(replicas=True))))
        await trio.lowlevel.checkpoint()
    trio.lowlevel.remove_instrument(steps)
    return topics, steps.took


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10)
    add_common_arguments(parser)
    options = parser.parse_args()
    took, answers = map(sorted, trio.run(measure, options.events))
    longest = max(took[-1], answers[-1])
    result = {
        "steps": len(took),
        "event_ms": round(sum(took) / options.events, 1),
        "longest_ms": [round(each, 1) for each in took[:-6:-1]],
        "statistics_ms": round(sum(answers) / options.events, 1),
        "statistics_longest_ms": [round(each, 1) for each in answers[:-6:-1]],
    }
    short = [f"a step held the loop for {longest:.1f} ms, at most {MAX_STEP_MS:g}"] if longest > MAX_STEP_MS else []
    return finish(options, result, short)


if __name__ == "__main__":
    sys.exit(main())
