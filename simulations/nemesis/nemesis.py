"""Does the steps of a schedule to a cluster of processes, and heals it after each.

Owns the processes' lives and the faults in the fabric; must not know the workload. Invariant: after `heal` every node
runs, serves and is reachable, or a remark on the timeline says which is not and why.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

from simulations.nemesis.links import overlay
from simulations.nemesis.schedule import PAUSING, PROCESS, Kind, links_of
from simulations.nemesis.timeline import CUT_OFF, IMPAIRED, KILLED, PAUSED, STARTING, Timeline
from vectron_p2p.testing.processes import ProcessCluster, ProcessFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from simulations.nemesis.fabric import Fabric
    from simulations.nemesis.means import Clocks, SlowDisk
    from simulations.nemesis.schedule import Fault, Step

TICK = 0.25  # seconds between looks at the processes, and between turns of faults that come and go
FLAP_TICKS = 4  # a second cut off, a second not: about the period of membership's probes
RESET_TICKS = 2
CUTTING = frozenset({Kind.CUT_OFF, Kind.CUT_FROM_PEERS, Kind.HALVES, Kind.BRIDGE, Kind.SHATTER, Kind.FLAP})


class Nemesis:
    """Args:
    say: Told of each step.
    """

    def __init__(
        self,
        cluster: ProcessCluster,
        fabric: Fabric,
        *,
        slow_disk: SlowDisk | None,
        clocks: Clocks | None,
        say: Callable[[str], None],
    ) -> None:
        self._cluster = cluster
        self._fabric = fabric
        self._slow_disk = slow_disk
        self._clocks = clocks
        self._say = say
        self.timeline = Timeline()

    def start(self) -> None:
        """All nodes, all reachable."""
        for node in self._cluster.nodes:
            node.host = self._fabric.host(node.index)
            node.wrap = [
                *self._fabric.wrap(node.index),
                *(self._clocks.wrap(node.index) if self._clocks is not None else []),
            ]
        self._start_node(0)
        self._cluster.wait_ready(0)
        for node in self._cluster.nodes[1:]:
            self._start_node(node.index)
        for node in self._cluster.nodes:
            self._cluster.wait_ready(node.index)
            self._fabric.know(node.index, node.id)

    def run(self, steps: Iterator[Step], seconds: float) -> None:
        """Steps until `seconds` are over; the last one is done to its end."""
        self.timeline.began = time.monotonic()
        end = self.timeline.began + seconds
        self._wait(min(2.0, seconds), [])  # a picture begins with how it should be
        for step in steps:
            if time.monotonic() >= end:
                break
            self._step(step)
        self.timeline.ended = time.monotonic()

    def heal(self) -> None:
        """Undo everything."""
        self._fabric.relink({})
        for node in self._cluster.nodes:
            if node.running:
                with contextlib.suppress(ProcessLookupError):
                    self._cluster.thaw(node.index)
            if self._slow_disk is not None:
                self._slow_disk.end(node.index)
            if self._clocks is not None:
                self._clocks.set(node.index, 0.0)
        stopped = [node.index for node in self._cluster.nodes if not node.running]
        for index in stopped:
            self.timeline.enter(index, STARTING)
            self._start_node(index)
        for index in stopped:
            try:
                self._cluster.wait_ready(index)
            except ProcessFailed as error:
                self.timeline.remark(f"n{index} did not start: {error}")
                self.timeline.enter(index, KILLED)
            else:
                self.timeline.leave(index)
        for span in list(self.timeline.open_states()):
            (index,) = span.nodes
            if self._cluster[index].running:
                self.timeline.leave(index)

    def release(self) -> None:
        """Give back what the machine lent, whatever became of the run."""
        if self._slow_disk is not None:
            for node in self._cluster.nodes:
                self._slow_disk.end(node.index)

    # --- one step ---------------------------------------------------------------------------------------------------

    def _step(self, step: Step) -> None:
        text = " + ".join(str(fault) for fault in step.faults)
        began = time.monotonic()
        self._say(f"{began - self.timeline.began:7.1f} s  {text}, {step.seconds:.1f} s")
        span = self.timeline.begin(text, step.away)
        for fault in step.faults:
            self._begin(fault)
        self._relink(step.faults, 0)
        self._wait(step.seconds, step.faults)
        self.heal()
        span.ended = time.monotonic()
        self._wait(step.rest, [])

    def _begin(self, fault: Fault) -> None:
        for index in fault.nodes:
            node = self._cluster[index]
            if fault.kind in PROCESS:
                if node.running:
                    self._cluster.kill(index)
                self._fabric.down(index)
                self.timeline.enter(index, KILLED)
            elif not node.running:
                continue  # the other fault of this step killed it
            elif fault.kind in PAUSING:
                self._cluster.freeze(index)
                self.timeline.enter(index, PAUSED)
            elif fault.kind in CUTTING:
                self.timeline.enter(index, CUT_OFF)
            else:
                self.timeline.enter(index, IMPAIRED)
                if fault.kind is Kind.SLOW_DISK and self._slow_disk is not None:
                    self._slow_disk.begin(index, node.pid, fault.strength)
                elif fault.kind is Kind.CLOCK and self._clocks is not None:
                    self._clocks.set(index, fault.strength)

    def _wait(self, seconds: float, faults: tuple[Fault, ...] | list[Fault]) -> None:
        end, tick = time.monotonic() + seconds, 0
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(TICK, left))
            tick += 1
            self._turn(faults, tick)
            self._look(faults)

    def _turn(self, faults: tuple[Fault, ...] | list[Fault], tick: int) -> None:
        for fault in faults:
            if fault.kind is Kind.RESETS and tick % RESET_TICKS == 0:
                every = [*range(len(self._cluster.nodes)), -1]
                self._fabric.reset([(fault.nodes[0], other) for other in every if other != fault.nodes[0]])
            elif fault.kind is Kind.FLAP and tick % FLAP_TICKS == 0:
                self._relink(faults, tick)

    def _relink(self, faults: tuple[Fault, ...] | list[Fault], tick: int) -> None:
        there = [fault for fault in faults if fault.kind is not Kind.FLAP or tick // FLAP_TICKS % 2 == 0]
        self._fabric.relink(overlay([links_of(fault, len(self._cluster.nodes)) for fault in there]))

    def _look(self, faults: tuple[Fault, ...] | list[Fault]) -> None:
        """Nodes must not end by themselves."""
        killed = {node for fault in faults if fault.kind in PROCESS for node in fault.nodes}
        for node in self._cluster.nodes:
            if not node.running and node.index not in killed and node.process is not None:
                self.timeline.remark(
                    f"n{node.index} ended by itself with {node.process.returncode}: {_tail(node.log())}"
                )
                self.heal()

    def _start_node(self, index: int) -> None:
        self._fabric.up(index)
        self._cluster.start_node(index, wait=False, arguments=self._fabric.arguments(index))


def _tail(log: str) -> str:
    return os.linesep.join(log.splitlines()[-5:])
