"""Dialogs over a screen that steps back, dimmed once a style and not once a cell."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from rich.segment import Segment
from textual.renderables.background_screen import BackgroundScreen
from textual.screen import ModalScreen, ScreenResultType

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.style import Style
    from textual.color import Color

STYLES = 512  # a screen has some thirty


class _Below(BackgroundScreen):
    """As Textual draws it, which mixes the colours of every piece of text anew: half of the time to open a dialog."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for text, style, control in console.render(self.screen._compositor, options):
            yield Segment(text, _dimmed(style, self.color), control)


@lru_cache(STYLES)
def _dimmed(style: Style | None, color: Color) -> Style | None:
    (segment,) = BackgroundScreen.process_segments([Segment("", style)], color)
    return segment.style


class Dialog(ModalScreen[ScreenResultType]):
    """A modal screen."""

    def render(self) -> Any:
        below = super().render()
        return _Below(below.screen, below.color) if isinstance(below, BackgroundScreen) else below
