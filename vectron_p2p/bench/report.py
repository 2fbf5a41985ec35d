"""A run as a table and as a JSON document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vectron_p2p.bench.targets import judge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vectron_p2p.bench.figures import Row
    from vectron_p2p.bench.run import Report
    from vectron_p2p.bench.targets import Target

CURVE_COLUMNS = ("ef", "raw q/s", "raw recall", "q/s", "recall", "of raw")
COLUMNS = ("figure", "median", "unit", "low..high", "ratio", "to", "recall", "p50/p99 ms", "loop lag p99/max ms")
NUMBERS = ("median", "ratio", "recall", *CURVE_COLUMNS)
PAIRS = (("p50_ms", "p99_ms"), ("lag_p99_ms", "lag_max_ms"))
SMALL = 0.095  # a ratio below it has a digit more
SAID = ("ef", "vectron_recall")  # by the words of a row: its label, and what its ratio is to


def curve_cells(report: Report) -> list[list[str]]:
    return [
        [
            str(point.ef), number(point.raw_rate), f"{point.raw_recall:.4f}", number(point.rate), f"{point.recall:.4f}",
            f"{point.rate / point.raw_rate:.2f}",
        ]
        for point in report.curve
    ]  # fmt: skip


def lines(row: Row, targets: Sequence[Target] = ()) -> list[list[str]]:
    """The line of a row, and one for each further figure that has no column; with targets, a cell more."""
    spread = row.spread
    pairs = [[row.more.get(name) for name in pair] for pair in PAIRS]
    first = [
        row.label,
        number(spread.median),
        row.unit,
        "" if spread.low == spread.high else f"{number(spread.low)}..{number(spread.high)}",
        "" if row.ratio is None else f"{row.ratio:.2f}" if row.ratio >= SMALL else f"{row.ratio:.3f}",
        row.of,
        "" if row.recall is None else f"{row.recall:.4f}",
        *("/".join(number(value) for value in pair if value is not None) for pair in pairs),
    ]
    blank = [""] * (len(COLUMNS) - 2)
    shown = {*SAID, *(name for pair in PAIRS for name in pair)}
    rest = [[f"  {name}", number(value), *blank] for name, value in row.more.items() if name not in shown]
    if targets:
        met, missed = judge(row, targets)
        first.append(("short" if missed else "ok") if met or missed else "")
        rest = [[*line, ""] for line in rest]
    return [first, *rest]


def number(value: float) -> str:
    """Three digits that count, or all before the point."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def document(report: Report, targets: Sequence[Target] = ()) -> dict[str, Any]:
    """Everything measured, dataclasses included, for JSON."""
    found: dict[str, Any] = {
        **report.about,
        "ef": report.ef,
        "curve": report.curve,
        "engines": report.engines,
        "rows": report.rows,
        "notes": report.notes,
    }
    if targets:
        found["short"] = shortfalls(report, targets)
    return found


def shortfalls(report: Report, targets: Sequence[Target]) -> list[str]:
    """A line for each target that a measured row misses."""
    missed = [(row, target, row.figure(target.figure)) for row in report.rows for target in judge(row, targets)[1]]
    return [
        f"{row.key}: {target}, and is {'not measured' if value is None else number(value)}"
        for row, target, value in missed
    ]
