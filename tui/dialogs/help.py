"""Help for the screen below it, made from the keys that are in force there."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.containers import VerticalScroll
from textual.widgets import Static

from tui.bindings import ACTIONS, APP, BACK, HELP, TABLE, TABLE_SCREEN
from tui.render.text import Line, Tone, line
from tui.themes import block
from tui.widgets.dimmed import Dialog

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.app import ComposeResult
    from textual.binding import ActiveBinding, BindingType

    from tui.render.table import Column

GROUPS = (
    ("Screens", tuple(item.id for item in APP)),
    ("Actions", tuple(item.id for group in ACTIONS for item in group)),
    ("This screen", tuple(item.id for item in (*BACK, *TABLE_SCREEN))),
    ("Rows", tuple(item.id for item in TABLE)),
)
SIGNS = line(
    ("●", Tone.OK),
    " good   ",
    ("◐", Tone.WARN),
    " look at it   ",
    ("✕", Tone.BAD),
    " broken   ",
    ("–", Tone.MUTED),
    " not known",
)


def help_lines(about: str, keys: Iterable[tuple[str, str, str]], columns: Iterable[Column]) -> list[Line]:
    """`keys`: (binding id, key as shown, sentence), those in force."""
    by_id: dict[str, tuple[list[str], str]] = {}
    for name, key, text in keys:
        by_id.setdefault(name, ([], text))[0].append(key)
    lines = [line(about), ()]
    for group, ids in GROUPS:
        known = [by_id[name] for name in ids if name in by_id]
        if known:
            lines.append(line((group, Tone.ACCENT)))
            lines += [line((f"  {' '.join(shown):<13}", Tone.STRONG), text) for shown, text in known]
            lines.append(())
    explained = [column for column in columns if column.help]
    if explained:
        lines.append(line(("Columns", Tone.ACCENT)))
        lines += [line((f"  {column.label:<13}", Tone.STRONG), column.help) for column in explained]
        lines.append(())
    return [*lines, SIGNS]


class HelpScreen(Dialog[None]):
    BINDINGS: ClassVar[list[BindingType]] = [*HELP]

    def __init__(self, about: str, bindings: Iterable[ActiveBinding], columns: Iterable[Column]) -> None:
        super().__init__()
        self._about = about
        self._active = [active.binding for active in bindings]
        self._columns = tuple(columns)

    def compose(self) -> ComposeResult:
        keys = [(item.id or "", self.app.get_key_display(item), item.tooltip) for item in self._active]
        window = VerticalScroll(
            Static(block(help_lines(self._about, keys, self._columns), self.app.theme), markup=False)
        )
        window.border_title = "Help"
        yield window

    def action_close(self) -> None:
        self.dismiss()
