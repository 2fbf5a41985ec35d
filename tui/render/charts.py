"""Charts in block characters: one line (`spark`) or several (`area`).

The newest value is at the right edge; None leaves a gap. `top` is the value of a full column: a chart that scales
itself to its own maximum would draw an idle cluster as a busy one, so callers give the scale a floor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

AIR = 1.15  # a curve that touches the top looks cut off
_BLOCKS = " ▁▂▃▄▅▆▇█"


def scale(values: Sequence[float | None], floor: float) -> float:
    """The top of a chart: `floor`, or the largest value and some air above it if that is more."""
    largest = max((value for value in values if value is not None), default=0.0)
    return floor if largest <= floor else largest * AIR


def area(values: Sequence[float | None], width: int, height: int, top: float) -> list[str]:
    """`height` lines of `width`, highest first; a value above 0 shows at least its lowest block."""
    if width <= 0 or height <= 0:
        return []
    shown = list(values)[-width:]
    columns: list[int | None] = [None] * (width - len(shown))
    steps = height * 8
    for value in shown:
        if value is None:
            columns.append(None)
        else:
            part = 0.0 if top <= 0 else min(1.0, max(0.0, value / top))
            columns.append(max(1, round(part * steps)))
    return [
        "".join(" " if filled is None else _BLOCKS[min(8, max(0, filled - row * 8))] for filled in columns)
        for row in range(height - 1, -1, -1)
    ]


def spark(values: Sequence[float | None], width: int, top: float) -> str:
    lines = area(values, width, 1, top)
    return lines[0] if lines else ""
