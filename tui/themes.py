"""The two themes, and what each tone looks like in them.

Black and neutral greys with purple for what is chosen or leads on; green, amber and red only for states. With NO_COLOR
Textual itself takes the colours out; the signs of `render.marks` carry the states then.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from rich.style import Style
from rich.text import Text
from textual.theme import Theme

from tui.render.text import Line, Span, Tone

if TYPE_CHECKING:
    from collections.abc import Sequence

DARK = Theme(
    name="vectron-dark",
    primary="#a78bfa",
    secondary="#7c6bb0",
    accent="#a78bfa",
    foreground="#d4d4d8",
    background="#0b0b0c",
    surface="#111113",
    panel="#1b1b1f",
    success="#4ade80",
    warning="#fbbf24",
    error="#f87171",
    dark=True,
    variables={
        "block-cursor-background": "#352a5c",
        "block-cursor-foreground": "#f4f4f5",
        "block-cursor-blurred-background": "#242031",
        "border": "#7c6bb0",
        "border-blurred": "#2e2e33",
        "footer-background": "#111113",
        "footer-key-foreground": "#a78bfa",
        "footer-description-foreground": "#8b8b94",
        "scrollbar": "#2e2e33",
        "scrollbar-background": "#0b0b0c",
        "input-selection-background": "#a78bfa 35%",
    },
)
LIGHT = Theme(
    name="vectron-light",
    primary="#6d28d9",
    secondary="#8b6fc9",
    accent="#6d28d9",
    foreground="#27272a",
    background="#fafafa",
    surface="#f4f4f5",
    panel="#e9e9ec",
    success="#15803d",
    warning="#a16207",
    error="#b91c1c",
    dark=False,
    variables={
        "block-cursor-background": "#ddd3f7",
        "block-cursor-foreground": "#18181b",
        "block-cursor-blurred-background": "#ece8f6",
        "border": "#8b6fc9",
        "border-blurred": "#d4d4d8",
        "footer-background": "#f4f4f5",
        "footer-key-foreground": "#6d28d9",
        "footer-description-foreground": "#71717a",
        "scrollbar": "#d4d4d8",
        "scrollbar-background": "#fafafa",
    },
)

_TONES = {
    DARK.name: {
        Tone.NORMAL: "#d4d4d8",
        Tone.MUTED: "#8b8b94",
        Tone.STRONG: "bold #fafafa",
        Tone.ACCENT: "#a78bfa",
        Tone.DIM: "#3b3160",
        Tone.OK: "#4ade80",
        Tone.WARN: "#fbbf24",
        Tone.BAD: "#f87171",
    },
    LIGHT.name: {
        Tone.NORMAL: "#27272a",
        Tone.MUTED: "#71717a",
        Tone.STRONG: "bold #09090b",
        Tone.ACCENT: "#6d28d9",
        Tone.DIM: "#d9cdf3",
        Tone.OK: "#15803d",
        Tone.WARN: "#a16207",
        Tone.BAD: "#b91c1c",
    },
}


@cache
def tone_style(theme: str, tone: Tone) -> Style:
    return Style.parse(_TONES[theme][tone])


def styled(spans: Sequence[Span], theme: str) -> Text:
    """`spans` as terminal text in the colours of `theme`."""
    tones = _TONES[theme]
    text = Text(no_wrap=True, overflow="ellipsis", end="")
    for span in spans:
        text.append(span.text, tones[span.tone])
    return text


def block(lines: Sequence[Line], theme: str) -> Text:
    """Several lines as one text."""
    return Text("\n", no_wrap=True, overflow="ellipsis").join([styled(item, theme) for item in lines])


def prose(lines: Sequence[Line], theme: str) -> Text:
    """Several lines as one text that is wrapped where they are too long."""
    text = block(lines, theme)
    text.no_wrap, text.overflow = False, "fold"
    return text
