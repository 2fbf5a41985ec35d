"""Toned text: the words of the render layer."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence


class Tone(enum.StrEnum):
    NORMAL = "normal"
    MUTED = "muted"
    STRONG = "strong"
    ACCENT = "accent"
    DIM = "dim"
    """The accent, held back: the body of a chart."""
    OK = "ok"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Span:
    text: str
    tone: Tone = Tone.NORMAL


Line: TypeAlias = tuple[Span, ...]


def line(*parts: str | tuple[str, Tone]) -> Line:
    """`line("n1 ", ("dead", Tone.BAD))`."""
    return tuple(Span(part) if isinstance(part, str) else Span(*part) for part in parts)


def plain(spans: Sequence[Span]) -> str:
    return "".join(span.text for span in spans)


def pad(spans: Line, width: int) -> Line:
    """`spans` filled with blanks to `width`; longer ones are left."""
    missing = width - len(plain(spans))
    return (*spans, Span(" " * missing)) if missing > 0 else spans


def clip(spans: Line, width: int) -> Line:
    """`spans` cut to `width`, the cut marked with an ellipsis."""
    if len(plain(spans)) <= width:
        return spans
    kept: list[Span] = []
    left = max(0, width - 1)
    for span in spans:
        kept.append(Span(span.text[:left], span.tone))
        left -= len(kept[-1].text)
        if left <= 0:
            break
    if width > 0:
        kept.append(Span("…", Tone.MUTED))
    return tuple(kept)
