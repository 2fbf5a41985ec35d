"""Figures of a run, what fell short, and both as text.

The promise about availability: operations that began and ended while at most one node was down or cut off succeed, 99 %
of them at least. An operation counts by all that happened between its call and its answer; those of clients that give
up early do not count.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from simulations.nemesis.checks import Outcome
    from simulations.nemesis.registers import RegisterWorker
    from simulations.nemesis.timeline import Timeline
    from simulations.nemesis.workload import Operation, Violation, Worker

SUCCEED = 0.99
SEARCH_FINDS = 0.98  # the graph is approximate, and a filtered search of few points nearly is not
VIOLATIONS = ("lost", "resurrected", "stale", "mixed", "not linearizable")
TOLD = 20  # violations with their stories; the rest are like them
LOUD = re.compile(r'"level": ?"(error|critical)"')


@dataclass(slots=True)
class Second:
    """One second of the run."""

    succeeded: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    p99_ms: float = float("nan")


@dataclass(slots=True)
class Result:
    """A whole run, as the report and the picture take it."""

    options: dict[str, Any]
    left_out: dict[str, str]
    """Kinds of faults that this machine does not allow, and why."""
    timeline: Timeline
    operations: list[Operation]
    violations: list[Violation]
    searched: int
    missed: int
    outcome: Outcome
    carried: dict[str, Any]
    complaints: dict[str, list[str]]
    """Lines that the nodes logged as errors."""
    failures: list[str] = field(default_factory=list)

    def judge(self) -> None:
        """Fill in `failures`."""
        found = Counter(violation.kind for violation in self.violations)
        self.failures += [f"{found[kind]} {kind}" for kind in VIOLATIONS if found[kind]]
        self.failures += self.outcome.failures
        self.failures += [text for _, text in self.timeline.remarks]
        at_most_one = self.shares()["at_most_one_away"]
        if at_most_one["operations"] and at_most_one["share"] < SUCCEED:
            self.failures.append(f"with at most one node away {at_most_one['share']:.4f} of the operations succeeded")
        if self.searched and self.missed > (1 - SEARCH_FINDS) * self.searched:
            self.failures.append(f"{self.missed} of {self.searched} searches missed the point that they were for")
        self.failures += [
            f"{name} logged {len(lines)} errors: {lines[0][:300]}" for name, lines in self.complaints.items()
        ]

    @property
    def convicted(self) -> bool:
        """Whether the checker of linearizability found something."""
        return any(violation.kind == "not linearizable" for violation in self.violations)

    def shares(self) -> dict[str, dict[str, Any]]:
        """Operations and the share that succeeded, by how many nodes were away."""
        groups: dict[str, list[Operation]] = {"none_away": [], "one_away": [], "more_away": [], "at_most_one_away": []}
        for operation in self.operations:
            if not operation.patient:
                continue
            away = self.timeline.away(operation.began, operation.ended)
            groups[("none_away", "one_away", "more_away")[min(away, 2)]].append(operation)
            if away <= 1:
                groups["at_most_one_away"].append(operation)
        return {name: _share(group) for name, group in groups.items()}

    def by_fault(self) -> dict[str, dict[str, Any]]:
        """Of each kind of fault the operations that it touched, and the longest time in which none succeeded: a share
        of operations alone hides that clients wait for an answer before they ask again.
        """
        touched: dict[str, set[int]] = {}
        silence: dict[str, float] = {}
        for span in self.timeline.faults:
            during = [i for i, each in enumerate(self.operations) if span.overlaps(each.began, each.ended)]
            answers = [self.operations[i].ended for i in during if not self.operations[i].code]
            marks = [span.began, *(min(answer, span.ended) for answer in answers), span.ended]
            longest = max(after - before for before, after in pairwise(marks))
            for kind in _kinds(span.what):
                touched.setdefault(kind, set()).update(during)
                silence[kind] = max(longest, silence.get(kind, 0.0))
        figures = {}
        for kind, indices in sorted(touched.items()):
            operations = [self.operations[index] for index in sorted(indices) if self.operations[index].patient]
            latency = _latency([each.ended - each.began for each in operations])
            figures[kind] = {**_share(operations), **latency, "silence_s": round(silence[kind], 1)}
        return figures

    def seconds(self) -> list[Second]:
        """By the second in which operations ended."""
        began = self.timeline.began
        last = max((operation.ended for operation in self.operations), default=began)
        seconds = [Second() for _ in range(int(last - began) + 1)]
        taken: list[list[float]] = [[] for _ in seconds]
        for operation in self.operations:
            index = int(operation.ended - began)
            if index < 0:
                continue
            taken[index].append(operation.ended - operation.began)
            if operation.code:
                seconds[index].failed[operation.code] += 1
            else:
                seconds[index].succeeded += 1
        for second, times in zip(seconds, taken, strict=True):
            if times:
                second.p99_ms = 1000 * float(np.percentile(times, 99, method="higher"))
        return seconds

    def document(self) -> dict[str, Any]:
        """For JSON."""
        began, outcome = self.timeline.began, self.outcome
        times = [operation.ended - operation.began for operation in self.operations if not operation.code]
        succeeded = Counter(each.kind for each in self.operations if not each.code)
        failed = Counter(f"{each.kind}: {each.code}" for each in self.operations if each.code)
        kinds = Counter(kind for span in self.timeline.faults for kind in _kinds(span.what))
        return {
            **self.options,
            "left_out": self.left_out,
            "passed": not self.failures,
            "failures": self.failures,
            "steps": len(self.timeline.faults),
            "faults": dict(sorted(kinds.items())),
            "operations": len(self.operations),
            "succeeded": dict(sorted(succeeded.items())),
            "failed": dict(sorted(failed.items())),
            "impatient": sum(not each.patient for each in self.operations),
            "shares": self.shares(),
            "by_fault": self.by_fault(),
            "latency_ms": _latency(times),
            "violations": {kind: sum(each.kind == kind for each in self.violations) for kind in VIOLATIONS},
            "searches": self.searched,
            "searches_missed": self.missed,
            "agreed_after_s": round(outcome.agreed_after_s, 1),
            "points_read": outcome.points_read,
            "rows_compared": outcome.rows_compared,
            "rows_different": outcome.rows_different,
            "carried": self.carried,
            "remarks": [f"{at - began:.1f} s: {text}" for at, text in self.timeline.remarks],
            "timeline": [
                {"fault": span.what, "away": sorted(span.nodes), "from_s": round(span.began - began, 2),
                 "to_s": round(span.ended - began, 2)}
                for span in self.timeline.faults
            ],
            "evidence": [self._evidence(violation) for violation in self.violations[:TOLD]],
        }  # fmt: skip

    def _evidence(self, violation: Violation) -> dict[str, Any]:
        began = self.timeline.began
        return {
            "kind": violation.kind,
            "point": violation.point,
            "at_s": round(violation.at - began, 3),
            "text": violation.text,
            "faults": [span.what for span in self.timeline.faults if span.overlaps(violation.at - 30, violation.at)],
            "story": [f"{t.began - began:.3f} to {t.ended - began:.3f} s: {t.what}" for t in violation.story],
        }

    def text(self) -> str:
        """A page for a person."""
        document = self.document()
        lines = []
        for key, value in document.items():
            if key not in {"evidence", "timeline", "failures", "passed", "shares", "by_fault"}:
                lines.append(f"{key:>18}: {_words(value)}")
        for name, share in document["shares"].items():
            lines.append(f"{name:>18}: {share['share']:.4f} of {share['operations']} operations succeeded")
        for kind, figures in document["by_fault"].items():
            lines.append(f"{kind:>18}: {_words(figures)}")
        for evidence in document["evidence"]:
            lines.append(f"VIOLATION {evidence['kind']} of point {evidence['point']} at {evidence['at_s']} s")
            lines.append(f"    {evidence['text']}; faults within 30 s: {', '.join(evidence['faults']) or 'none'}")
            lines += [f"    {line}" for line in evidence["story"]]
        lines += [f"FELL SHORT: {failure}" for failure in self.failures]
        lines.append("failed" if self.failures else "passed")
        return "\n".join(lines) + "\n"


def collect(workers: Iterable[Worker | RegisterWorker]) -> tuple[list[Operation], list[Violation], int, int, list[str]]:
    """Operations in the order they ended, violations in the order seen, searches, misses, and clients that died."""
    workers = list(workers)
    operations = sorted((each for worker in workers for each in worker.operations), key=lambda each: each.ended)
    violations = sorted((each for worker in workers for each in worker.book.violations), key=lambda each: each.at)
    died = [f"{worker.name} died: {worker.crash!r}" for worker in workers if worker.crash is not None]
    return operations, violations, sum(w.searched for w in workers), sum(w.missed for w in workers), died


def complaints(name: str, log: str) -> dict[str, list[str]]:
    """The lines of a node's log that it wrote as errors, under its name; nothing when there are none."""
    lines = [line for line in log.splitlines() if LOUD.search(line) or line.startswith("Traceback")]
    return {name: lines} if lines else {}


def write(result: Result, folder: Path, picture: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(result.document(), indent=1) + "\n", encoding="utf-8")
    (folder / "report.txt").write_text(result.text(), encoding="utf-8")
    (folder / "timeline.svg").write_text(picture, encoding="utf-8")


def _kinds(text: str) -> list[str]:
    """The kinds of faults in the text of a step."""
    return [fault.split()[0] for fault in text.split(" + ")]


def _share(operations: Sequence[Operation]) -> dict[str, Any]:
    succeeded = sum(not operation.code for operation in operations)
    return {"operations": len(operations), "share": round(succeeded / len(operations), 5) if operations else 1.0}


def _latency(seconds: Sequence[float]) -> dict[str, float]:
    if not seconds:
        return {}
    return {f"p{p}": round(1000 * float(np.percentile(seconds, p, method="higher")), 1) for p in (50, 99, 100)}


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {each}" for key, each in value.items()) or "none"
    if isinstance(value, list):
        return "; ".join(map(str, value)) or "none"
    return str(value)
