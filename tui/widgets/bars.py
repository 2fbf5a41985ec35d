"""The bars at the top of every screen: tabs and link state, and the banner that shows when the link is not live."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Static

from tui.bindings import MODES, SHORT
from tui.render import format as fmt
from tui.render.text import Line, Tone, clip, line, plain
from tui.store import LinkState
from tui.themes import styled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from textual import events
    from textual.app import ComposeResult

WIDE = 100  # columns from which the tabs stand in full, and keys in the footer apart


class Tab(Static):
    """One numbered screen; a click goes there."""

    class Chosen(Message):
        def __init__(self, mode: str) -> None:
            super().__init__()
            self.mode = mode

    def __init__(self, number: int, mode: str, label: str, *, active: bool) -> None:
        super().__init__(f"{number % 10} {label}", classes="-active" if active else None, markup=False)
        self.mode = mode
        self._texts = (f"{number % 10} {label}", f"{number % 10} {SHORT.get(mode, label)}")

    def shorten(self, short: bool) -> None:
        if self.content != self._texts[short]:
            self.update(self._texts[short])

    def on_click(self, event: events.Click) -> None:
        event.stop()
        self.post_message(self.Chosen(self.mode))


class TopBar(Vertical):
    """Where one is and who answers; below it the numbered screens."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self._mode = mode
        self._label = dict(MODES)[mode]
        self._shown: tuple[Line, Line, str] | None = None

    def compose(self) -> ComposeResult:
        with Horizontal(classes="head"):
            yield Static("vectron", classes="brand", markup=False)
            yield Static("", classes="crumbs", markup=False)
            yield Static("", classes="link", markup=False)
        with Horizontal(classes="tabs"):
            yield from self._tabs()

    def _tabs(self) -> Iterator[Tab]:
        for number, (mode, label) in enumerate(MODES, 1):
            tab = Tab(number, mode, label, active=mode == self._mode)
            tab.shorten(self.app.size.width < WIDE)  # before anything is laid out by it
            yield tab

    def show(self, link: Line, crumbs: tuple[str, ...], pace: str, theme: str) -> None:
        """`crumbs`: where the screen is below its numbered one; `pace`: how often figures change."""
        way = line((" › ".join((self._label, *crumbs)), Tone.STRONG), (f"  {pace}" if pace else "", Tone.WARN))
        link = clip(link, max(8, self.size.width // 2))
        room = max(0, self.size.width - len("vectron") - 4 - len(plain(link)) - 2)
        for tab in self.query(Tab):
            tab.shorten(self.size.width < WIDE)
        way = clip(way, room)
        if (way, link, theme) != self._shown:
            self._shown = (way, link, theme)
            self.query_one(".crumbs", Static).update(styled(way, theme))
            self.query_one(".link", Static).update(styled(link, theme))


class Banner(Static):
    """One line, shown only when something is wrong with the link."""

    def __init__(self) -> None:
        super().__init__("", markup=False)

    def show(self, message: tuple[LinkState, str] | None) -> None:
        for state in LinkState:
            self.set_class(message is not None and message[0] is state, f"-{state.value}")
        if message is not None:
            self.update(fmt.ellipsis(message[1], max(10, self.screen.size.width - 2)))
