"""Dialogs over a screen that steps back, dimmed once a style and not once a cell."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from rich.segment import Segment
from textual import events
from textual.renderables.background_screen import BackgroundScreen
from textual.screen import ModalScreen, ScreenResultType
from textual.strip import Strip
from textual.visual import Visual

if TYPE_CHECKING:
    from rich.style import Style
    from textual.color import Color
    from textual.css.styles import RulesMap
    from textual.geometry import Region, Size
    from textual.screen import Screen
    from textual.style import Style as VisualStyle
    from textual.visual import RenderOptions

STYLES = 512  # a screen has some thirty


class _Below(Visual):
    """As Textual draws it, which makes segments of the lines, mixes the colours of each anew, and makes lines of them
    again: half of the time to open a dialog.
    """

    def __init__(self, below: BackgroundScreen) -> None:
        self._screen = below.screen
        self._color = below.color
        self._lines: list[Strip] = []

    def render_strips(self, width: int, height: int | None, style: VisualStyle, options: RenderOptions) -> list[Strip]:
        if not self._lines:
            self._lines = [self._line(strip) for strip in self._screen._compositor.render_strips()]
        return self._lines[:height]

    def _line(self, strip: Strip) -> Strip:
        """Neighbours that look alike become one: each piece costs again when the windows above are cut out."""
        pieces: list[Segment] = []
        texts: list[str] = []
        before: Style | None = None
        for text, look, _ in strip:
            dimmed = _dimmed(look, self._color)
            if dimmed is not before and texts:
                pieces.append(Segment("".join(texts), before))
                texts = []
            before = dimmed
            texts.append(text)
        pieces.append(Segment("".join(texts), before))
        return Strip(pieces, strip.cell_length)

    def get_optimal_width(self, rules: RulesMap, container_width: int) -> int:
        return container_width

    def get_height(self, rules: RulesMap, width: int) -> int:
        return self._screen.size.height


@lru_cache(STYLES)
def _dimmed(style: Style | None, color: Color) -> Style | None:
    (segment,) = BackgroundScreen.process_segments([Segment("", style)], color)
    return segment.style


class _Dimming:
    """For modal screens. What lies below is looked at again only when it says that it has changed."""

    _below: tuple[tuple[Screen[Any], Color, Size], _Below] | None = None

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.ScreenResume):  # its styles were made when it was mounted, a moment ago
            event.refresh_styles = False
        await super().on_event(event)  # type: ignore[misc]

    def render(self) -> Any:
        below = super().render()  # type: ignore[misc]  # a screen's
        if not isinstance(below, BackgroundScreen):
            return below
        what = below.screen, below.color, below.screen.size
        if self._below is None or self._below[0] != what:
            self._below = what, _Below(below)
        return self._below[1]

    def refresh(self, *regions: Region, **how: bool) -> Any:
        if regions:  # of the screen below
            self._below = None
        return super().refresh(*regions, **how)  # type: ignore[misc]

    def on_screen_resume(self) -> None:
        self._below = None

    def _screen_resized(self, size: Size) -> None:
        if size != self.size:  # type: ignore[attr-defined]  # else laid out, and drawn, when it came to the top
            super()._screen_resized(size)  # type: ignore[misc]


class Dialog(_Dimming, ModalScreen[ScreenResultType]):
    """A modal screen; its window says on the lower edge what the keys do."""

    def on_mount(self) -> None:
        keys = [
            f"{self.app.get_key_display(binding)} {binding.description}"
            for node, binding, enabled, _ in self.active_bindings.values()
            if node is self and enabled and binding.show and binding.id  # not those of Textual itself
        ]
        for window in self.query(".window"):  # the help has none: it is nothing but keys
            window.border_subtitle = " · ".join(keys).replace("[", r"\[")
