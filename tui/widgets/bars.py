"""The bars at the top of every screen: tabs and link state, and the banner that shows when the link is not live."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Static

from tui.bindings import MODES
from tui.render import format as fmt
from tui.render.text import Line, clip
from tui.store import LinkState
from tui.themes import styled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from textual import events
    from textual.app import ComposeResult


class Tab(Static):
    """One numbered screen; a click goes there."""

    class Chosen(Message):
        def __init__(self, mode: str) -> None:
            super().__init__()
            self.mode = mode

    def __init__(self, number: int, mode: str, label: str, *, active: bool) -> None:
        super().__init__(f"{number} {label}", classes="-active" if active else None, markup=False)
        self.mode = mode

    def on_click(self, event: events.Click) -> None:
        event.stop()
        self.post_message(self.Chosen(self.mode))


class TopBar(Horizontal):
    """Name, numbered screens, and who answers."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self._mode = mode

    def compose(self) -> ComposeResult:
        yield Static("vectron", classes="brand", markup=False)
        yield from self._tabs()
        yield Static("", classes="link", markup=False)

    def _tabs(self) -> Iterator[Tab]:
        for number, (mode, label) in enumerate(MODES, 1):
            yield Tab(number, mode, label, active=mode == self._mode)

    def show(self, link: Line, theme: str) -> None:
        used = sum(child.outer_size.width for child in self.children) - self.query_one(".link").outer_size.width
        room = max(8, self.size.width - used - 2)
        self.query_one(".link", Static).update(styled(clip(link, room), theme))


class Banner(Static):
    """One line, shown only when something is wrong with the link."""

    def __init__(self) -> None:
        super().__init__("", markup=False)

    def show(self, message: tuple[LinkState, str] | None) -> None:
        for state in LinkState:
            self.set_class(message is not None and message[0] is state, f"-{state.value}")
        if message is not None:
            self.update(fmt.ellipsis(message[1], max(10, self.screen.size.width - 2)))
