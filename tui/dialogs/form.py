"""A form: fields that are checked as they are left, and as a whole before it is sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from textual import on
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Button, Input, Label, Static

from tui.bindings import FORM
from tui.widgets.dimmed import Dialog
from vectron_p2p.model.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from textual.app import ComposeResult
    from textual.binding import BindingType

Check: TypeAlias = Callable[[str], Any]
"""The value of a text; raises InvalidArgument when it is none."""


@dataclass(frozen=True, slots=True)
class Field:
    """`value`: what stands there at first; `hint`: what may."""

    name: str
    label: str
    check: Check
    value: str = ""
    hint: str = ""


def read(fields: Sequence[Field], texts: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The values of the fields that are sound, and what is wrong with the others."""
    values: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for each in fields:
        try:
            values[each.name] = each.check(texts[each.name].strip())
        except InvalidArgument as error:
            errors[each.name] = error.message
    return values, errors


class FormDialog(Dialog[dict[str, Any] | None]):
    """The values by field name, all of them checked; None: cancelled."""

    BINDINGS: ClassVar[list[BindingType]] = [*FORM]

    def __init__(self, title: str, fields: Sequence[Field], *, send: str, about: str = "") -> None:
        super().__init__()
        self._title = title
        self._fields = tuple(fields)
        self._send = send
        self._about = about

    def compose(self) -> ComposeResult:
        window = Vertical(classes="window")
        window.border_title = self._title.replace("[", r"\[")
        with window:
            if self._about:
                yield Static(self._about, markup=False, classes="about")
            with VerticalScroll(classes="fields"):
                for each in self._fields:
                    with Horizontal(classes="field"):
                        yield Label(each.label, markup=False)
                        yield Input(each.value, placeholder=each.hint, id=f"field-{each.name}", compact=True)
                    yield Static("", id=f"error-{each.name}", classes="field-error", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Cancel", id="no", compact=True)
                yield Button(self._send, id="send", variant="primary", compact=True)

    def on_mount(self) -> None:
        super().on_mount()
        self.query(Input).first().focus()

    def _texts(self) -> dict[str, str]:
        return {each.name: self.query_one(f"#field-{each.name}", Input).value for each in self._fields}

    def _show(self, errors: Mapping[str, str]) -> None:
        for each in self._fields:
            shown = self.query_one(f"#error-{each.name}", Static)
            shown.update(errors.get(each.name, ""))
            shown.display = each.name in errors

    @on(Input.Blurred)
    def _left(self, event: Input.Blurred) -> None:
        """Says what is wrong with the field that was left, and leaves the others in peace."""
        _, errors = read(self._fields, self._texts())
        name = (event.input.id or "").removeprefix("field-")
        shown = self.query_one(f"#error-{name}", Static)
        shown.update(errors.get(name, ""))
        shown.display = name in errors

    @on(Input.Submitted)
    def action_send(self) -> None:
        values, errors = read(self._fields, self._texts())
        self._show(errors)
        if errors:
            self.query_one(f"#field-{next(iter(errors))}", Input).focus()
        else:
            self.dismiss(values)

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "send":
            self.action_send()
        else:
            self.dismiss(None)

    def action_cancel(self) -> None:
        self.dismiss(None)
