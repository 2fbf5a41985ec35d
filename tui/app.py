"""The application: it owns the store, the one connection worker, the numbered screens, and when they are painted."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual.app import App

from tui.bindings import APP
from tui.commands import ConsoleCommands
from tui.connection import Connection, Timing
from tui.dialogs.help import HelpScreen
from tui.screens.base import ConsoleScreen, Shared, TableScreen
from tui.screens.collections import CollectionScreen, CollectionsScreen
from tui.screens.nodes import NodeScreen, NodesScreen
from tui.screens.overview import OverviewScreen
from tui.source import Opener, client_opener
from tui.store import Store
from tui.themes import DARK, LIGHT
from vectron_p2p.model.errors import InvalidArgument
from vectron_p2p.model.ids import parse_address

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from textual.binding import BindingType
    from textual.screen import Screen

    from tui.widgets.bars import Tab

AGE_S = 1.0  # ages are shown in whole seconds
_SCREENS = (OverviewScreen, NodesScreen, CollectionsScreen)


class ConsoleApp(App[None]):
    TITLE = "vectron"
    CSS_PATH = "styles/app.tcss"
    COMMANDS = {ConsoleCommands}
    BINDINGS: ClassVar[list[BindingType]] = [*APP]

    def __init__(
        self,
        seeds: Sequence[str],
        opener: Opener,
        *,
        timing: Timing | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.shared = Shared(Store(), clock)
        self.connection = Connection(
            seeds, opener, self.shared.store, timing=timing, clock=clock, changed=self._store_changed
        )
        self._paint_due = False
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = DARK.name
        for screen in _SCREENS:
            self.add_mode(screen.MODE, partial(screen, self.shared))

    def on_mount(self) -> None:
        self.switch_mode("overview")
        self.set_interval(AGE_S, self.paint)
        self.run_worker(self.connection.run(), name="connection", group="connection", exclusive=True)

    def paint(self) -> None:
        """Paints the topmost screen of the console; those below it are painted when they come back."""
        for screen in reversed(self.screen_stack):
            if isinstance(screen, ConsoleScreen):
                screen.paint()
                return

    def _store_changed(self) -> None:
        if not self._paint_due:  # changes that come faster than painting are painted together
            self._paint_due = True
            self.call_later(self._paint_changes)

    def _paint_changes(self) -> None:
        self._paint_due = False
        self.paint()

    def run_soon(self, action: str) -> None:
        """Runs an action once the palette has closed."""
        self.call_later(self.run_action, action)

    def open_node(self, node: str) -> None:
        self._open("nodes", NodeScreen(self.shared, node))

    def open_collection(self, key: str) -> None:
        self._open("collections", CollectionScreen(self.shared, key))

    def _open(self, mode: str, screen: Screen[None]) -> None:
        self.action_go(mode)
        self.call_later(self.push_screen, screen)

    def on_tab_chosen(self, message: Tab.Chosen) -> None:
        self.action_go(message.mode)

    def action_go(self, mode: str) -> None:
        """Shows the top of a numbered screen: pressed again, it leaves the details."""
        if isinstance(self.screen, HelpScreen):
            self.screen.dismiss()
        if self.current_mode != mode:
            self.switch_mode(mode)
            return
        while len(self.screen_stack) > 1:
            self.pop_screen()

    def action_help(self) -> None:
        screen = self.screen
        if isinstance(screen, ConsoleScreen):
            columns = screen.columns if isinstance(screen, TableScreen) else ()
            self.push_screen(HelpScreen(screen.ABOUT, screen.active_bindings.values(), columns))

    def action_refresh(self) -> None:
        self.connection.wake()

    def action_switch_theme(self) -> None:
        self.theme = LIGHT.name if self.theme == DARK.name else DARK.name
        self.call_after_refresh(self.paint)


def seeds_of(connect: Sequence[str]) -> list[str]:
    """Checked addresses of `--connect` values, each of which may name several.

    Raises:
        InvalidArgument: One is no HOST:PORT, or there is none.
    """
    parts = [part.strip() for value in connect for part in value.split(",") if part.strip()]
    if not parts:
        raise InvalidArgument("give at least one HOST:PORT to connect to", field="connect")
    return [str(parse_address(part, field="connect")) for part in parts]


def run(connect: Sequence[str]) -> None:
    """Runs the console until the user leaves it.

    Raises:
        InvalidArgument: `connect` holds no usable address.
    """
    timing = Timing()
    ConsoleApp(seeds_of(connect), client_opener(timing.answer), timing=timing).run()
