"""The measured figures as a table, as JSON, and judged.

Owns what counts as too slow. Up to ten members, a killed process is known to all in 8 s: so the database
promises. Beyond, it may take longer as the suspicion's minimum does, with log10 of the size.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from simulations.swim.measure import Alarms, Death, Result, Size

CRASH_S = 8.0  # until all of up to ten know; times log10 of the size beyond
POWER_S = 12.0  # nobody is told: it has to be somebody's turn to probe it, and others must confirm
REST_BYTES = 2_500.0  # a second and member at rest: two packets, and a thousand members' table each third minute
BEARABLE_LOSS = 0.1  # up to here no living member may be taken for dead


def percentile(values: Iterable[float], percent: float) -> float:
    """The smallest of `values` that so many percent of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)] if ordered else math.nan


def of_kind(size: Size, *, machine: bool) -> list[Death]:
    return [death for death in size.deaths if death.machine is machine]


def known_limit(nodes: int, *, machine: bool) -> float:
    """Seconds within which all of `nodes` members know of a death."""
    return (POWER_S if machine else CRASH_S) * max(1.0, math.log10(nodes))


def failures(result: Result) -> list[str]:
    out = []
    for size in result.sizes:
        for machine, what in ((True, "power cut"), (False, "crash")):
            known = percentile((death.known for death in of_kind(size, machine=machine)), 99)
            if known > known_limit(size.nodes, machine=machine):
                out.append(f"{size.nodes} members: a {what} was known to all after {known:.1f} s")
        if size.false_deaths:
            out.append(f"{size.nodes} members: {size.false_deaths} living ones were taken for dead without any loss")
        if size.rest.bytes > REST_BYTES:
            out.append(f"{size.nodes} members: each sends {size.rest.bytes:.0f} bytes a second at rest")
    out += [
        f"{alarms.nodes} members, {100 * alarms.loss:g} % loss: {alarms.dead} living ones were taken for dead"
        for alarms in result.alarms
        if alarms.dead and alarms.loss <= BEARABLE_LOSS
    ]
    return out


def document(result: Result, options: dict[str, Any]) -> dict[str, Any]:
    return {"options": options, **asdict(result), "failures": failures(result)}


def table(result: Result) -> str:
    """For people."""
    lines = ["Detection, seconds after the kill (p50 / p99); return: seconds after the restart", ""]
    rows: list[Sequence[str]] = [
        ("members", "kills", "first suspicion", "first dead", "all know", "return: all know", "CPU s")
    ]
    for size in result.sizes:
        for machine, what in ((True, "power"), (False, "crash")):
            if deaths := of_kind(size, machine=machine):
                rows.append(
                    (
                        str(size.nodes),
                        f"{len(deaths)} {what}",
                        *(
                            _pair([getattr(death, name) for death in deaths])
                            for name in ("suspected", "dead", "known", "returned")
                        ),
                        f"{size.cpu_s:.1f}" if machine else "",
                    )
                )
    lines += _columns(rows)
    lines += ["", "Load, sent per member and second (mean, and of the member that sends most)", ""]
    rows = [("members", "at rest: messages", "bytes", "around a death: messages", "bytes", "longest packet", "table")]
    rows += [
        (
            str(size.nodes),
            f"{size.rest.messages:.2f} ({size.rest.most_messages:.2f})",
            f"{size.rest.bytes:.0f} ({size.rest.most_bytes:.0f})",
            f"{size.around.messages:.2f} ({size.around.most_messages:.2f})",
            f"{size.around.bytes:.0f} ({size.around.most_bytes:.0f})",
            str(size.longest_packet),
            str(size.longest_stream),
        )
        for size in result.sizes
    ]
    lines += _columns(rows)
    lines += ["", "False alarms: living members suspected, and taken for dead, per member and hour", ""]
    rows = [("members", "loss", "seconds", "suspected", "dead", "(members)", "messages/s", "bytes/s", "CPU s")]
    rows += [_alarm_row(alarms) for alarms in result.alarms]
    return "\n".join([*lines, *_columns(rows), ""])


def _alarm_row(alarms: Alarms) -> tuple[str, ...]:
    return (
        str(alarms.nodes),
        f"{100 * alarms.loss:g} %",
        f"{alarms.seconds:g}",
        f"{alarms.suspected_per_hour:.2f}",
        f"{alarms.dead_per_hour:.2f}",
        str(alarms.dead),
        f"{alarms.load.messages:.1f}",
        f"{alarms.load.bytes:.0f}",
        f"{alarms.cpu_s:.1f}",
    )


def _pair(values: list[float]) -> str:
    return f"{percentile(values, 50):.2f} / {percentile(values, 99):.2f}"


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
