"""What a node sees that a rule speaks of: of itself, and of what all see, if it is one of those that observe it.

A dead member or a lost quorum is seen by all; three live nodes, chosen by hash, claim it: should they die, others are
chosen. Must not know how long anything lasts, nor whom it tells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vectron_p2p.alerts.delivery import ranked
from vectron_p2p.alerts.watch import Sighting
from vectron_p2p.catalog.voters import majority
from vectron_p2p.model.statistics import CLIENT

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from vectron_p2p.alerts.episodes import Cause
    from vectron_p2p.catalog.state import ClusterState
    from vectron_p2p.model.alerts import AlertRule
    from vectron_p2p.model.ids import NodeId
    from vectron_p2p.model.statistics import OperationStatistics
    from vectron_p2p.node.runtime import Runtime

OBSERVERS = 3  # of what all see: two may die in one moment
SLOW_LOOK_S = 10.0  # between looks at what costs some more and does not change within seconds

FEWEST_REQUESTS = 20  # of a minute: of fewer, one that fails or is slow says nothing
ON_POINTS = frozenset(
    ("upsert", "delete", "upsert_if", "delete_if", "change_payload", "get", "search", "recommend", "count", "scroll")
)
"""Operations of clients whose errors and times count: the rest wait on purpose, or move whole shards."""

Seen = tuple[str, str, float, str]
"""Rule, subject, value, and what to say of it."""


class Sightings:
    """Of one node."""

    def __init__(
        self,
        me: NodeId,
        runtime: Runtime,
        *,
        state: Callable[[], ClusterState],
        lag: Callable[[], float],
        operations: Callable[[], Iterable[OperationStatistics]],
        behind: Callable[[], float],
        off_by_ms: Callable[[], float],
        software: Callable[[Collection[str]], set[str]],
    ) -> None:
        self._me = me
        self._runtime = runtime
        self._state = state
        self._lag = lag
        self._operations = operations
        self._behind = behind
        self._off_by_ms = off_by_ms
        self._software = software
        self._slow: list[Seen] = []
        self._slow_at = -SLOW_LOOK_S

    async def look(self, live: Collection[NodeId]) -> dict[Cause, Sighting]:
        """Conditions beyond the threshold of their rule."""
        now = self._runtime.clock.now()
        if now - self._slow_at >= SLOW_LOOK_S:
            self._slow_at = now
            self._slow = [await self._disk(), *self._memory(), *self._requests(), *self._repair()]
        settings = self._state().alerts
        found: dict[Cause, Sighting] = {}
        for name, subject, value, text in (*self._slow, *self._of_itself(), *self._of_all(live)):
            rule: AlertRule = settings.rule(name)
            if rule.enabled and rule.breached(value):
                found[name, subject] = Sighting(text, rule.for_s)
        return found

    async def _disk(self) -> Seen:
        disk = self._runtime.disk
        free, total = await self._runtime.executor.run("read", lambda: (disk.free_bytes(), disk.total_bytes()))
        percent = 100.0 * free / max(total, 1)
        return "disk", self._me, percent, f"{percent:.1f} % of the disk ({free >> 20} MiB) is free"

    def _memory(self) -> Iterator[Seen]:
        used = self._runtime.usage.memory_percent()
        yield "memory", self._me, used, f"{used:.0f} % of the machine's memory is in use"

    def _requests(self) -> Iterator[Seen]:
        """Of the last minute."""
        found = [each for each in self._operations() if each.kind == CLIENT and each.operation in ON_POINTS]
        count, errors = sum(each.count for each in found), sum(each.errors for each in found)
        if count >= FEWEST_REQUESTS:
            percent = 100.0 * errors / count
            yield "error_rate", self._me, percent, f"{percent:.1f} % of the requests of the last minute failed"
        often = [each for each in found if each.count >= FEWEST_REQUESTS]
        for slowest in sorted(often, key=lambda each: each.p99_ms)[-1:]:
            text = f"{slowest.operation} takes {slowest.p99_ms:.0f} ms (p99 of the last minute)"
            yield "p99", self._me, slowest.p99_ms, text

    def _repair(self) -> Iterator[Seen]:
        behind = self._behind()
        yield "repair_behind", self._me, behind, f"replicas were last compared with some live owner {behind:.0f} s ago"

    def _of_itself(self) -> Iterator[Seen]:
        lag = self._lag() * 1000
        yield "loop_lag", self._me, lag, f"the event loop is {lag:.0f} ms late (p99 of the last minute)"
        off = self._off_by_ms()
        word = "ahead of" if off > 0 else "behind"
        yield "clock_skew", self._me, abs(off), f"the clock is {abs(off):.0f} ms {word} the others'"

    def _of_all(self, live: Collection[NodeId]) -> Iterator[Seen]:
        state = self._state()
        for node in state.current():
            if node not in live and self._observes("node_down", node, live):
                member = state.members[node]
                yield "node_down", node, 1.0, f"{member.name} ({member.address}) does not answer"
        alive, needed = sum(voter in live for voter in state.voters), majority(state)
        if alive < needed and self._observes("catalog_quorum", "catalog", live):
            text = f"{alive} of {len(state.voters)} voters are alive: no catalog change is possible"
            yield "catalog_quorum", "catalog", 1.0, text
        for collection in state.collections.values():
            short = collection.under_replicated
            if short and self._observes("under_replicated", collection.id, live):
                have = "has" if short == 1 else "have"
                text = (
                    f"{short} of {collection.shards} shards of {collection.name} {have} fewer owners than it asks for"
                )
                yield "under_replicated", collection.id, float(short), text
        versions = self._software(live)
        if len(versions) > 1 and self._observes("version_skew", "cluster", live):
            yield "version_skew", "cluster", 1.0, f"nodes run versions {', '.join(sorted(versions))}"

    def _observes(self, rule: str, subject: str, live: Collection[NodeId]) -> bool:
        return self._me in ranked(f"{rule}\0{subject}", live)[:OBSERVERS]
