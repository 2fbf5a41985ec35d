"""What changed between two snapshots, in words.

Pure. The cluster keeps no event log that the console could read, so it tells changes from the differences of what it
saw: a change undone between two snapshots is not seen.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vectron_p2p.model.collections import CollectionInfo
    from vectron_p2p.model.nodes import ClusterStatus, NodeStatus


class Severity(enum.StrEnum):
    INFO = "info"
    GOOD = "good"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Event:
    at: float
    severity: Severity
    text: str


_BY_LIVENESS = {"alive": Severity.GOOD, "suspect": Severity.WARN, "dead": Severity.BAD}


def _node_changes(old: NodeStatus, new: NodeStatus) -> Iterator[tuple[Severity, str]]:
    if old.liveness != new.liveness:
        severity = _BY_LIVENESS.get(new.liveness, Severity.INFO)
        yield severity, f"{new.name}: {old.liveness} → {new.liveness}"
    elif new.uptime_s < old.uptime_s and new.liveness == "alive":
        yield Severity.WARN, f"{new.name}: restarted"
    if old.state != new.state:
        yield Severity.INFO, f"{new.name}: {old.state} → {new.state}"
    if old.address != new.address:
        yield Severity.INFO, f"{new.name}: moved to {new.address}"
    if old.read_only != new.read_only and new.liveness == "alive":
        yield (
            (Severity.BAD, f"{new.name}: read-only")
            if new.read_only
            else (Severity.GOOD, f"{new.name}: writable again")
        )


def status_changes(old: ClusterStatus, new: ClusterStatus) -> Iterator[tuple[Severity, str]]:
    """Changes of members, in the order of the newer snapshot."""
    before = {node.id: node for node in old.nodes}
    for node in new.nodes:
        if node.id in before:
            yield from _node_changes(before[node.id], node)
        else:
            yield Severity.INFO, f"{node.name}: new member ({node.state})"
    after = {node.id for node in new.nodes}
    for node in old.nodes:
        if node.id not in after:
            yield Severity.INFO, f"{node.name}: no longer a member"
    if old.under_replicated != new.under_replicated:
        severity = Severity.WARN if new.under_replicated else Severity.GOOD
        yield severity, f"under-replicated shards: {old.under_replicated} → {new.under_replicated}"


def collection_changes(old: Iterable[CollectionInfo], new: Iterable[CollectionInfo]) -> Iterator[tuple[Severity, str]]:
    """Collections that came and went; one dropped and made again under its name is both."""
    before = {(item.name, item.id) for item in old}
    after = {(item.name, item.id) for item in new}
    for name, _ in sorted(before - after):
        yield Severity.INFO, f"collection {name} deleted"
    for name, _ in sorted(after - before):
        yield Severity.INFO, f"collection {name} created"
