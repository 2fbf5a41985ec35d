"""The timeline of a run as an SVG picture, which any browser shows; no library is needed to draw it.

From top to bottom: the faults, a bar per node, operations a second, errors a second, p99. Times that had more than one
node away are shaded through all of it, and violations are red lines from top to bottom. Hovering shows details.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from simulations.nemesis.timeline import CUT_OFF, IMPAIRED, KILLED, PAUSED, STARTING
from simulations.pen import Pen

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from simulations.nemesis.report import Result, Second

LEFT, RIGHT = 92, 24
NARROWEST, WIDEST, PER_SECOND = 1400, 4000, 2.2  # pixels; below two a second nobody can tell faults apart
LANE, BAR = 22, 14
CHART, GAP = 84, 34
UP = "#8cc98f"
COLOURS = {KILLED: "#3b3b44", STARTING: "#7fb2e5", PAUSED: "#f0c643", CUT_OFF: "#e8833a", IMPAIRED: "#c9a6dd"}
FAULT, SHADE, RATE, ERRORS, P99, VIOLATION = "#5d6b82", "#fbe3e1", "#4f8f6b", "#c8402f", "#3c62a8", "#ff0033"
ROWS = 3  # of fault labels, so that those of short steps do not cover each other
TICKS_S = (5, 10, 30, 60, 120, 300, 600, 1800)
CHARACTER = 5.6  # pixels of a letter of a label
P99_LOW, P99_HIGH = 1.0, 30_000.0  # milliseconds: the ends of the logarithmic scale


def draw(result: Result) -> str:
    """The picture of `result`."""
    return _Canvas(result).svg()


class _Canvas:
    def __init__(self, result: Result) -> None:
        self._result = result
        self._seconds = result.seconds()
        self._began = result.timeline.began
        spans = [span.ended for span in result.timeline.faults if math.isfinite(span.ended)]
        self._length = max([float(len(self._seconds)), *(ended - self._began for ended in spans), 1.0])
        self._width = round(min(max(NARROWEST, PER_SECOND * self._length), WIDEST))
        self._nodes = int(result.options["nodes"])
        self._pen = Pen()
        self._top = 64.0

    def svg(self) -> str:
        head = self._top
        faults = self._faults
        start = len(self._pen.parts)
        faults()
        self._node_bars()
        self._bars("operations/s", RATE, lambda second: second.succeeded)
        self._bars("errors/s", ERRORS, lambda second: second.failed.total(), _codes)
        self._p99()
        bottom = self._top - GAP + 6
        self._pen.parts[start:start] = self._shades(head, bottom)
        self._axis(bottom)
        self._violations(head, bottom)
        self._head()
        height = bottom + 40
        return self._pen.svg(self._width, height)

    # --- parts ------------------------------------------------------------------------------------------------------

    def _head(self) -> None:
        result, options = self._result, self._result.options
        verdict = "passed" if not result.failures else f"FAILED: {'; '.join(result.failures)}"
        share = result.shares()["at_most_one_away"]
        title = f"Nemesis: {self._nodes} nodes, seed {options['seed']}, {options['fabric']}, {self._length:.0f} s"
        self._pen.text(LEFT, 20, title, size=16, weight="bold")
        line = (
            f"{len(result.operations)} operations; with at most one node away {100 * share['share']:.2f} % succeeded; "
            f"{len(result.violations)} violations"
        )
        self._pen.text(
            LEFT, 38, f"{line}; {verdict}"[: self._width // 7], fill=VIOLATION if result.failures else "#333"
        )
        x = float(LEFT)
        legend = {"up": UP, **COLOURS, "more than one away": SHADE, "violation": VIOLATION}
        for name, colour in legend.items():
            self._pen.rect(x, 46, 10, 10, colour)
            self._pen.text(x + 14, 55, name, fill="#333")
            x += 26 + CHARACTER * len(name) + 8

    def _faults(self) -> None:
        ends = [0.0] * ROWS
        for span in self._result.timeline.faults:
            x, end = self._x(span.began), self._x(min(span.ended, self._began + self._length))
            row = min(range(ROWS), key=lambda each: (ends[each] > x, ends[each]))
            y = self._top + row * 18
            self._pen.rect(x, y + 11, max(end - x, 1.5), 4, FAULT, f"{span.what}: {span.ended - span.began:.1f} s")
            if ends[row] <= x:  # else there is no room for its name; the bar still tells it when pointed at
                self._pen.text(x, y + 9, span.what, size=10, fill="#222")
                ends[row] = max(end, x + CHARACTER * len(span.what)) + 8
        self._pen.text(8, self._top + 12, "faults", fill="#333")
        self._top += ROWS * 18 + 12

    def _node_bars(self) -> None:
        for node in range(self._nodes):
            y = self._top + node * LANE
            self._pen.text(8, y + 11, f"n{node}", fill="#333")
            self._pen.rect(LEFT, y, self._width - LEFT - RIGHT, BAR, UP)
        for span in self._result.timeline.states:
            for node in span.nodes:
                x, end = self._x(span.began), self._x(min(span.ended, self._began + self._length))
                title = f"n{node} {span.what}: {span.ended - span.began:.1f} s"
                self._pen.rect(x, self._top + node * LANE, max(end - x, 1.0), BAR, COLOURS[span.what], title)
        self._top += self._nodes * LANE + 18

    def _bars(
        self,
        name: str,
        colour: str,
        value: Callable[[Second], int],
        title: Callable[[Second], str] | None = None,
    ) -> None:
        most = max([value(second) for second in self._seconds] + [1])
        self._frame(name, [(0.0, "0"), (1.0, str(most))])
        for index, second in enumerate(self._seconds):
            if amount := value(second):
                height = max(CHART * amount / most, 1.5)
                x, width = self._at(index), max(self._at(1) - self._at(0) - 0.3, 0.8)
                text = f"{index} s: {amount} {title(second) if title is not None else ''}"
                self._pen.rect(x, self._top + CHART - height, width, height, colour, text)
        self._top += CHART + GAP

    def _p99(self) -> None:
        scale = math.log(P99_HIGH / P99_LOW)
        marks = [
            (math.log(ms / P99_LOW) / scale, text) for ms, text in ((1, "1 ms"), (100, "100 ms"), (10_000, "10 s"))
        ]
        self._frame("p99 of all", marks)
        for index, second in enumerate(self._seconds):
            if not math.isnan(second.p99_ms):
                share = math.log(min(max(second.p99_ms, P99_LOW), P99_HIGH) / P99_LOW) / scale
                x, width = self._at(index), max(self._at(1) - self._at(0), 1.0)
                self._pen.rect(
                    x, self._top + CHART * (1 - share) - 1, width, 2.5, P99, f"{index} s: {second.p99_ms:.0f} ms"
                )
        self._top += CHART + GAP

    def _frame(self, name: str, marks: Sequence[tuple[float, str]]) -> None:
        self._pen.text(8, self._top - 8, name, fill="#333")
        for share, text in marks:
            y = self._top + CHART * (1 - share)
            self._pen.line(LEFT, y, self._width - RIGHT, y, "#dddddd")
            self._pen.text(LEFT - 6, y + 4, text, anchor="end", size=10, fill="#777")

    def _shades(self, top: float, bottom: float) -> list[str]:
        before = len(self._pen.parts)
        for span in self._result.timeline.faults:
            if len(span.nodes) > 1:
                x, end = self._x(span.began), self._x(min(span.ended, self._began + self._length))
                self._pen.rect(x, top, max(end - x, 1.0), bottom - top, SHADE)
        shades = self._pen.parts[before:]
        del self._pen.parts[before:]
        return shades

    def _axis(self, bottom: float) -> None:
        step = next((tick for tick in TICKS_S if self._length / tick <= 16), TICKS_S[-1])
        for second in range(0, int(self._length) + 1, step):
            x = self._at(second)
            self._pen.line(x, bottom, x, bottom + 5, "#777")
            label = f"{second} s" if self._length < 300 else f"{second // 60}:{second % 60:02}"
            self._pen.text(x, bottom + 18, label, anchor="middle", size=10, fill="#555")
        if math.isfinite(self._result.timeline.ended):
            x = self._x(self._result.timeline.ended)
            self._pen.line(x, bottom - 20, x, bottom + 5, "#333")
            self._pen.text(x - 4, bottom + 32, "end of the faults", anchor="end", size=10, fill="#333")

    def _violations(self, top: float, bottom: float) -> None:
        for violation in self._result.violations:
            x = min(self._x(violation.at), self._width - RIGHT + 6.0)  # those found at the end are beside the picture
            title = f"{violation.kind}: point {violation.point}: {violation.text}"
            self._pen.line(x, top, x, bottom, VIOLATION, width=1.5, title=title)

    def _x(self, at: float) -> float:
        return self._at(at - self._began)

    def _at(self, seconds: float) -> float:
        return LEFT + (self._width - LEFT - RIGHT) * seconds / self._length


def _codes(second: Second) -> str:
    return ", ".join(f"{code} {count}" for code, count in sorted(second.failed.items()))
