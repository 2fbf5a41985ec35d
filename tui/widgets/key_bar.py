"""The keys of the screen, on its last line; a click does what the key does.

One widget, drawn anew when keys change: a widget for each key, mounted with every screen, was half the time of getting
there. Where not all fit, those give way that are named in the help anyway, and Help and Quit stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

if TYPE_CHECKING:
    from textual import events
    from textual.screen import Screen

KEPT = ("help", "quit", "back")
"""Actions whose keys give way last, and the first of them at the very last: the way on, and the ways out."""


class KeyBar(Widget, can_focus=False):
    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {"key-bar--key", "key-bar--label", "key-bar--hover"}

    def __init__(self) -> None:
        super().__init__()
        self._compact = False
        self._keys: list[tuple[str, str, str]] = []
        """Key, how it is written, label."""
        self._actions: list[str] = []
        self._hover = ""

    @property
    def compact(self) -> bool:
        return self._compact

    @compact.setter
    def compact(self, compact: bool) -> None:
        if compact != self._compact:
            self._compact = compact
            self.refresh()

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def _changed(self, screen: Screen[object]) -> None:
        if not (self.app.app_focus and self.is_attached and screen is self.screen):
            return
        keys: dict[str, tuple[str, str, str]] = {}
        for _, binding, enabled, _ in screen.active_bindings.values():
            if binding.show and enabled:
                keys.setdefault(binding.action, (binding.key, self.app.get_key_display(binding), binding.description))
        if list(keys.values()) != self._keys:
            self._keys, self._actions = list(keys.values()), list(keys)
            self.refresh()

    def fitting(self, width: int) -> list[tuple[str, str, str]]:
        """The keys that there is room for."""
        chosen = dict(zip(self._actions, self._keys, strict=True))
        gap = 2 if self._compact else 3
        going = [action for action in reversed(self._actions) if action not in KEPT]
        for action in (*going, *(action for action in reversed(KEPT) if action in chosen)):
            if sum(len(written) + len(label) + gap for _, written, label in chosen.values()) <= width + 1:
                break
            del chosen[action]
        return list(chosen.values())

    def render_line(self, y: int) -> Strip:
        base = self.rich_style
        key_style = base + self.get_component_rich_style("key-bar--key", partial=True)
        label_style = base + self.get_component_rich_style("key-bar--label", partial=True)
        hover_style = base + self.get_component_rich_style("key-bar--hover", partial=True)
        segments = []
        for key, written, label in self.fitting(self.size.width):
            over = key == self._hover
            left, right = ("", " ") if self._compact else (" ", " ")
            segments.append(Segment(f"{left}{written} ", hover_style if over else key_style))
            segments.append(Segment(f"{label}{right}", hover_style if over else label_style))
        return Strip(segments).adjust_cell_length(self.size.width, base)

    def _at(self, x: int) -> str:
        gap = 2 if self._compact else 3
        for key, written, label in self.fitting(self.size.width):
            width = len(written) + len(label) + gap
            if 0 <= x < width:
                return key
            x -= width
        return ""

    def on_click(self, event: events.Click) -> None:
        if key := self._at(event.x):
            self.app.simulate_key(key)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        self._hover_at(self._at(event.x))

    def on_leave(self) -> None:
        self._hover_at("")

    def _hover_at(self, key: str) -> None:
        if key != self._hover:
            self._hover = key
            self.refresh()
