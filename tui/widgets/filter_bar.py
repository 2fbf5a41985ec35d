"""The line for `/`: filters while one types, Enter keeps the filter, Esc drops it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.binding import Binding
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, Label

if TYPE_CHECKING:
    from textual.app import ComposeResult


class FilterBar(Horizontal):
    BINDINGS = [Binding("escape", "drop", "Clear", tooltip="Drop the filter.", id="filter-drop")]

    class Changed(Message):
        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Closed(Message):
        """The table gets the focus back."""

    def compose(self) -> ComposeResult:
        yield Label("/", markup=False)
        yield Input(placeholder="words · column=value · !not", select_on_focus=False)

    def open(self) -> None:
        self.add_class("-open")
        self.query_one(Input).focus()

    def drop(self) -> None:
        """Empties and hides the bar."""
        self.query_one(Input).value = ""
        self.remove_class("-open")

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Changed(event.value))

    @on(Input.Submitted)
    def _kept(self, event: Input.Submitted) -> None:
        event.stop()
        if not event.value.strip():
            self.drop()
        self.post_message(self.Closed())

    def action_drop(self) -> None:
        self.drop()
        self.post_message(self.Closed())
