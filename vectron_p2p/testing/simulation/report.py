"""The outcome of one seed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vectron_p2p.testing.checks.violations import Violation
    from vectron_p2p.testing.simulation.plan import Plan


@dataclass(slots=True)
class Report:
    """`schedule` says what happened when; `trace` is the hash of all traffic; `done` counts operations that succeeded,
    by kind. `actions` is how many faults the seed drew, `kept` those that were done (None: all).
    """

    seed: int
    scenario: str
    seconds: float
    nodes: int
    actions: int
    kept: list[int] | None = None
    operations: int = 0
    acknowledged: int = 0
    failed: int = 0
    done: Counter[str] = field(default_factory=Counter)
    virtual_seconds: float = 0.0
    trace: str = ""
    undecided: int = 0
    """Histories too long for the checker."""
    schedule: list[str] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)

    @classmethod
    def of(cls, plan: Plan) -> Report:
        kept = None if plan.kept is None else list(plan.kept)
        return cls(plan.seed, plan.scenario, plan.seconds, len(plan.shape.hosts), len(plan.actions), kept)

    def replay(self, mutant: str | None = None) -> str:
        """The command that does this run again."""
        parts = [f"vectron simulate --seeds {self.seed}"]
        if self.scenario != "mixed":
            parts.append(f"--scenario {self.scenario}")
        if self.seconds != 60.0:
            parts.append(f"--seconds {self.seconds:g}")
        if self.kept is not None:
            parts.append(f"--keep {','.join(map(str, self.kept)) or 'none'}")
        if mutant:
            parts.append(f"--mutant {mutant}")
        return " ".join([*parts, "--schedule"])
