"""The cluster of a run, and what the plan's faults have done to it so far.

Owns who is kept down or frozen, which failures are excused, and the supervisor that starts a process again when nothing
keeps it down, as systemd would. A failure that no fault excuses is a violation.
"""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from vectron_p2p.model.errors import PermissionDenied, Unavailable, VectronError
from vectron_p2p.model.nodes import NodeState
from vectron_p2p.storage.kv import Corrupt
from vectron_p2p.testing.checks.violations import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vectron_p2p.catalog.commands import Command
    from vectron_p2p.model.ids import NodeId
    from vectron_p2p.testing.cluster import Cluster, Host
    from vectron_p2p.testing.simulation.plan import Plan
    from vectron_p2p.testing.simulation.report import Report

SUPERVISION = 0.2  # virtual seconds between looks
RESTART_AFTER = 1.0  # virtual seconds between the end of a process and the next start, as service managers wait
AFTERMATH = 45.0  # virtual seconds in which a disk fault explains a process that ended: a store is given up after 30
PROPOSAL = 3.0  # virtual seconds that a command gets: many times what a healthy cluster takes
CLIENT = "client"  # the host of all clients


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why the node on a host must not be taken back by its peers; `certain`: it must not ever serve."""

    why: str
    certain: bool


class World:
    def __init__(self, plan: Plan, cluster: Cluster, report: Report) -> None:
        self.plan = plan
        self.cluster = cluster
        self.report = report
        self.spent = False
        """The victim's node is lost for good: from now on no disk may be destroyed."""
        self.doubted: dict[str, Doubt] = {}
        self.under_way: set[str] = set()
        """Kinds of faults, of those that come one at a time."""
        self.lost: list[str] = []
        """Names of nodes that will never be back."""
        self.drained: set[NodeId] = set()
        """Nodes that were asked to leave."""
        self._down: Counter[str] = Counter()
        self._frozen: Counter[str] = Counter()
        self._excused: dict[str, float] = {}
        self._not_before: dict[str, float] = {}

    # --- the record ---------------------------------------------------------------------------------------------------

    def note(self, what: str) -> None:
        self.report.schedule.append(f"{trio.current_time():8.3f} {what}")

    def violated(self, invariant: str, text: str) -> None:
        violation = Violation(invariant, text)
        if violation not in self.report.violations:
            self.report.violations.append(violation)
            self.note(f"VIOLATION {violation}")

    # --- for faults ---------------------------------------------------------------------------------------------------

    @property
    def names(self) -> list[str]:
        """All hosts, that of the clients too."""
        return [*self.cluster.hosts, CLIENT]

    def host(self, name: str) -> Host:
        return self.cluster.hosts[name]

    def may_lose_power(self, name: str) -> bool:
        """Whether no more than a minority loses what it acknowledged."""
        return self.plan.shape.durability == "fsync" or (name == self.plan.shape.victim and not self.spent)

    def may_destroy(self) -> bool:
        """Whether the victim has something that may still be destroyed."""
        return not self.spent

    @contextmanager
    def kept_down(self, name: str) -> Iterator[None]:
        """Nothing starts on `name` within the block; the supervisor sees to it afterwards."""
        self._down[name] += 1
        try:
            yield
        finally:
            self._down[name] -= 1

    @contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        self._frozen[name] += 1
        self.cluster.freeze(name)
        try:
            yield
        finally:
            self._frozen[name] -= 1
            if not self._frozen[name]:
                self.cluster.thaw(name)

    def is_frozen(self, name: str) -> bool:
        return self._frozen[name] > 0

    def excuse(self, name: str, seconds: float) -> None:
        """The process on `name` may end by itself for so long."""
        self._excused[name] = max(self._excused.get(name, 0.0), trio.current_time() + seconds)

    def reinstall(self, name: str) -> None:
        """The machine comes back with an empty disk, as another node."""
        self.spent = True
        self.doubted.pop(name, None)
        host = self.host(name)
        self.lost.append(host.node_name or host.name)
        self.cluster.reinstall(name)

    async def administer(self, command: Command) -> VectronError | None:
        """Has a command decided, by any node that serves; why not, if it was not (or is not known to be)."""
        self.note(f"propose {command}")
        refusal: VectronError | None = Unavailable("no node serves")
        for host in self.cluster.up:
            if not host.up or host.node is None:  # not any more
                continue
            with trio.move_on_after(2 * PROPOSAL):
                try:
                    await host.node.catalog.propose(command, timeout=PROPOSAL)
                except VectronError as error:
                    refusal = error
                    if not error.retryable:
                        break
                else:
                    return None
        return refusal

    # --- supervision --------------------------------------------------------------------------------------------------

    async def supervise(self) -> None:
        while True:
            await trio.sleep(SUPERVISION)
            for host in list(self.cluster.hosts.values()):
                while host.failures:
                    self._judge(host, leaves(host.failures.pop(0)))
                    self._not_before[host.name] = trio.current_time() + RESTART_AFTER
                if host.scope is None and host.left:
                    self.note(f"{host.name} was drained, and is set up anew")
                    self.cluster.reinstall(host.name)
                waits = trio.current_time() < self._not_before.get(host.name, 0.0)
                if host.scope is None and not self._down[host.name] and not waits:
                    self.note(f"start {host.name}")
                    await self.cluster.start(host.name, wait=False)
                    if self._frozen[host.name]:
                        self.cluster.freeze(host.name)

    def _judge(self, host: Host, errors: list[BaseException]) -> None:
        said = "; ".join(f"{type(error).__name__}: {error}" for error in errors)
        doubt = self.doubted.get(host.name)
        if doubt is not None and any(isinstance(error, PermissionDenied | Corrupt) for error in errors):
            self.note(f"{host.name} ended, as it must ({doubt.why}): {said}")
            self.reinstall(host.name)
        elif self._is_gone(host) and all(isinstance(error, PermissionDenied) for error in errors):
            self.note(f"{host.name} was killed before it knew that it had left, and is told so: {said}")
            host.left = True
        elif trio.current_time() < self._excused.get(host.name, 0.0):
            self.note(f"{host.name} ended: {said}")
        else:
            self.violated("crash", f"the process on {host.name} ended: {said}")

    def _is_gone(self, host: Host) -> bool:
        """Whether the cluster let the node on `host` go, as it was asked to."""
        name = host.node_name or host.name
        states = [other.node.catalog.state for other in self.cluster.up if other.node is not None]
        newest = max(states, key=lambda state: state.epoch, default=None)
        members = newest.members.items() if newest is not None else ()
        gone = {node for node, member in members if member.name == name and member.state is NodeState.LEFT}
        return bool(gone & self.drained)


def leaves(error: BaseException) -> list[BaseException]:
    """The errors in a group of groups."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for each in error.exceptions for leaf in leaves(each)]
