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
        """Empties the bar; it goes once the screen has heard so and calls `rest`."""
        field = self.query_one(Input)
        if field.value:
            with field.prevent(Input.Changed):  # said here, before `Closed`
                field.value = ""
            self.post_message(self.Changed(""))
        self.post_message(self.Closed())

    def rest(self) -> None:
        """Hides the bar if it is empty: when the screen changes too, so that all of it is drawn once."""
        if not self.query_one(Input).value.strip():
            self.remove_class("-open")

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Changed(event.value))

    @on(Input.Submitted)
    def _kept(self, event: Input.Submitted) -> None:
        event.stop()
        if event.value.strip():
            self.post_message(self.Closed())
        else:
            self.drop()

    def action_drop(self) -> None:
        self.drop()
