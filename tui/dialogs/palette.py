"""The palette behind `:`. It is opened all the time, so it is an input and a table: each widget more is 2 ms."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.containers import Vertical
from textual.widgets import Input

from tui.bindings import PALETTE
from tui.commands import COLUMNS, Command, Found, find
from tui.render.table import PADDING, Sort, Widths, fit
from tui.widgets.dimmed import Dialog
from tui.widgets.resource_table import ResourceTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from textual.app import ComposeResult
    from textual.binding import BindingType

WIDTH = 90
"""As in the style sheet, for what is drawn before anything is laid out."""


class Offers(ResourceTable, can_focus=False):
    """The input keeps the focus; what is chosen here is gone to by Enter there."""


class Palette(Dialog[None]):
    BINDINGS: ClassVar[list[BindingType]] = [*PALETTE]
    AUTO_FOCUS = "Input"

    def __init__(self, offered: Iterable[Command]) -> None:
        super().__init__()
        self._offered = list(offered)
        self._found: Sequence[Found] = ()
        self._widths = Widths()

    @property
    def found(self) -> Sequence[Found]:
        """What is on offer now, the best first."""
        return self._found

    def compose(self) -> ComposeResult:
        window = Vertical(
            Input(placeholder="a screen, node, collection or command", select_on_focus=False),
            Offers(opens=True),
            classes="window",
        )
        window.border_title = "Go to"
        yield window

    def on_mount(self) -> None:
        super().on_mount()
        self._offer("")

    def _offer(self, words: str) -> None:
        self._found = find(self._offered, words)
        offers = self.query_one(Offers)
        rows = [found.row(str(at)) for at, found in enumerate(self._found)]
        self._widths.measure(COLUMNS, rows, range(0))
        width = offers.size.width or min(WIDTH, self.app.size.width * 96 // 100) - 2
        offers.show(fit(COLUMNS, self._widths, width - PADDING // 2), rows, Sort(""), self.app.theme)
        offers.action_scroll_top()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self._offer(event.value)

    @on(Input.Submitted)
    @on(Offers.RowSelected)
    def _chosen(self) -> None:
        at = self.query_one(Offers).cursor_row
        if at < len(self._found):
            self.dismiss()
            self.app.call_later(self._found[at].command.run)

    def on_click(self, event: events.Click) -> None:
        if event.widget is self:  # beside the window
            self.dismiss()

    def action_close(self) -> None:
        self.dismiss()

    def action_offer(self, move: str) -> None:
        """A movement of the table: `cursor_down` and the like."""
        getattr(self.query_one(Offers), f"action_{move}")()
