"""What a repair has done: per node and in all."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class NodeRepair:
    """The pass of one node over its replicas, each compared with the same shard's replica on each other owner.

    `left` are rows that differed over several tries; `skipped` says which comparisons were not made, and why.
    """

    node: str
    name: str = ""
    answered: bool = True
    """False: the node gave no figures."""
    running: bool = False
    shards: int = 0
    """Comparisons to make."""
    compared: int = 0
    differing: int = 0
    pulled: int = 0
    """Rows copied to this node."""
    pushed: int = 0
    """Rows copied from this node."""
    bytes: int = 0
    left: int = 0
    skipped: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class RepairReport:
    nodes: list[NodeRepair]

    @property
    def running(self) -> bool:
        return any(node.running for node in self.nodes)

    @property
    def compared(self) -> int:
        return sum(node.compared for node in self.nodes)

    @property
    def copied(self) -> int:
        return sum(node.pulled + node.pushed for node in self.nodes)

    @property
    def left(self) -> int:
        return sum(node.left for node in self.nodes)

    @property
    def complete(self) -> bool:
        """Whether everything was compared and found or made equal."""
        return all(
            node.answered and not node.running and not node.left and not node.skipped and node.compared == node.shards
            for node in self.nodes
        )
