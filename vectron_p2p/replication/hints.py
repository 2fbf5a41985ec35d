"""Hints: writes that an owner missed, kept for it until it answers again.

Owns which hints are kept, for how long, and which replicas need repair because one was dropped. The item of a hint
(rows to send) is opaque. Hints only shorten the time until a replica has what it missed: they never count as
acknowledgements, and losing all of them loses nothing, for repair finds the same rows. Hence they live in memory.

Invariant: a hint leaves the book by delivery, or with its replica marked as needing repair.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from vectron_p2p.model.ids import NodeId, ShardId

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class HintLimits:
    """Bounds of a book."""

    target_bytes: int = 32 * 1024 * 1024
    """Per target: some 20,000 rows of 384-d, a restart of half a minute under load; beyond that repair is as cheap."""
    total_bytes: int = 64 * 1024 * 1024
    """Over all targets: what a node can spare while several peers are down."""
    age_s: float = 600.0
    """Older ones are dropped: a node that was away so long has missed more than hints can hold."""


@dataclass(frozen=True, slots=True)
class Hint(Generic[Item]):
    sequence: int
    target: NodeId
    shard: ShardId
    item: Item
    size: int
    at: float


class HintBook(Generic[Item]):
    """The hints that one node keeps, oldest first per target."""

    def __init__(self, limits: HintLimits | None = None) -> None:
        self._limits = limits or HintLimits()
        self._queues: dict[NodeId, deque[Hint[Item]]] = {}
        self._bytes: dict[NodeId, int] = {}
        self._sequence = 0
        self._repair: set[tuple[NodeId, ShardId]] = set()

    @property
    def count(self) -> int:
        return sum(len(queue) for queue in self._queues.values())

    @property
    def bytes(self) -> int:
        return sum(self._bytes.values())

    @property
    def targets(self) -> list[NodeId]:
        """Who has hints waiting, sorted."""
        return sorted(self._queues)

    @property
    def needs_repair(self) -> list[tuple[NodeId, ShardId]]:
        """Replicas that missed a write for which no hint is left, sorted."""
        return sorted(self._repair)

    def count_for(self, target: NodeId) -> int:
        return len(self._queues.get(target, ()))

    def add(self, target: NodeId, shard: ShardId, item: Item, size: int, now: float) -> bool:
        """Keeps a hint; False when it is larger than a target may have, so that only the mark is left of it.

        What is over the limits goes oldest first: of this target, then of the target with most.
        """
        if size > min(self._limits.target_bytes, self._limits.total_bytes):
            self._repair.add((target, shard))
            return False
        self._sequence += 1
        self._queues.setdefault(target, deque()).append(Hint(self._sequence, target, shard, item, size, now))
        self._bytes[target] = self._bytes.get(target, 0) + size
        while self._bytes[target] > self._limits.target_bytes:
            self._drop_oldest(target)
        while self.bytes > self._limits.total_bytes:
            self._drop_oldest(max(self.targets, key=lambda node: self._bytes[node]))
        return True

    def peek(self, target: NodeId, *, max_bytes: int) -> list[Hint[Item]]:
        """The oldest hints for `target`, together at most `max_bytes` but at least one if there is any.

        They stay in the book until `delivered`.
        """
        taken: list[Hint[Item]] = []
        total = 0
        for hint in self._queues.get(target, ()):
            total += hint.size
            if taken and total > max_bytes:
                break
            taken.append(hint)
        return taken

    def delivered(self, target: NodeId, sequence: int) -> None:
        """`target` has applied all its hints up to `sequence`."""
        queue = self._queues.get(target)
        while queue and queue[0].sequence <= sequence:
            self._remove_oldest(target)
            queue = self._queues.get(target)

    def expire(self, now: float) -> int:
        """Drops what is too old; returns how many."""
        dropped = 0
        for target in self.targets:
            while target in self._queues and now - self._queues[target][0].at > self._limits.age_s:
                self._drop_oldest(target)
                dropped += 1
        return dropped

    def forget(self, target: NodeId) -> None:
        """`target` owns nothing any more: nothing is owed to it."""
        self._queues.pop(target, None)
        self._bytes.pop(target, None)
        self._repair = {entry for entry in self._repair if entry[0] != target}

    def forget_collection(self, collection: str) -> None:
        """The collection was dropped, and what was owed in it."""
        for target in self.targets:
            kept = deque(hint for hint in self._queues[target] if hint.shard.collection != collection)
            self._bytes[target] = sum(hint.size for hint in kept)
            self._queues[target] = kept
            if not kept:
                del self._queues[target], self._bytes[target]
        self._repair = {entry for entry in self._repair if entry[1].collection != collection}

    def repaired(self, target: NodeId, shard: ShardId) -> None:
        """That replica was compared and found equal."""
        self._repair.discard((target, shard))

    def _remove_oldest(self, target: NodeId) -> Hint[Item]:
        queue = self._queues[target]
        hint = queue.popleft()
        self._bytes[target] -= hint.size
        if not queue:
            del self._queues[target], self._bytes[target]
        return hint

    def _drop_oldest(self, target: NodeId) -> None:
        hint = self._remove_oldest(target)
        self._repair.add((target, hint.shard))
