"""The question before something is done that cannot be taken back; for the worst, the name has to be typed."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.containers import Horizontal, Vertical
from textual.widgets import Button, Input, Static

from tui.bindings import CONFIRM
from tui.render.text import Line, Tone, line
from tui.themes import prose
from tui.widgets.dimmed import Dialog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult
    from textual.binding import BindingType


class ConfirmDialog(Dialog[bool]):
    """True: do it. The focus begins on the answer that does nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [*CONFIRM]

    def __init__(self, title: str, lines: Sequence[Line], *, yes: str, typed: str = "") -> None:
        """`yes`: what the button says. `typed`: what has to be typed first; empty: nothing has to be."""
        super().__init__()
        self._title = title
        self._lines = list(lines)
        self._yes = yes
        self._typed = typed

    def compose(self) -> ComposeResult:
        lines = self._lines
        if self._typed:
            lines = [*lines, (), line("Type ", (self._typed, Tone.STRONG), " to go on.")]
        window = Vertical(Static(prose(lines, self.app.theme), markup=False), classes="window")
        window.border_title = self._title.replace("[", r"\[")
        with window:
            if self._typed:
                yield Input(id="typed")
            with Horizontal(classes="buttons"):
                yield Button("Cancel", id="no", compact=True)
                yield Button(self._yes, id="yes", variant="error", disabled=bool(self._typed), compact=True)

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one("#typed" if self._typed else "#no").focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return not (action == "answer" and self._typed)  # letters are the name's

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        self.query_one("#yes", Button).disabled = event.value != self._typed

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        if event.value == self._typed:
            self.dismiss(True)

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")

    def action_answer(self, yes: bool) -> None:
        self.dismiss(yes)

    def action_cancel(self) -> None:
        self.dismiss(False)
