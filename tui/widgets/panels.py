"""Panels of lines, and the pane that stands in for content while there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Container
from textual.widgets import Static

from tui.themes import block

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult

    from tui.render.text import Line


class Panel(Static):
    """A titled box of lines."""

    def __init__(self, title: str = "", *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__("", id=id, classes=classes, markup=False)
        self.border_title = title
        self._shown: tuple[tuple[Line, ...], str] | None = None

    def show(self, lines: Sequence[Line], theme: str) -> None:
        shown, before = (tuple(lines), theme), self._shown
        if shown != before:
            self._shown = shown
            # The screen is laid out anew, which costs more than all the lines, only where their number changes.
            self.update(block(lines, theme), layout=before is None or len(before[0]) != len(shown[0]))

    @property
    def room(self) -> tuple[int, int]:
        """Width and height for text; before the first layout a plain terminal's."""
        size = self.content_size
        return (size.width or 76, size.height or 4)


class StatePane(Container):
    """Loading, empty and error messages, in the middle of the space."""

    def compose(self) -> ComposeResult:
        yield Static("", markup=False)

    def show(self, lines: Sequence[Line], theme: str) -> None:
        self.query_one(Static).update(block(lines, theme))
