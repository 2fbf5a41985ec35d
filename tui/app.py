"""The application: it owns the store, the one connection worker, the numbered screens, and when they are painted."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.app import App

from tui.actions import Actions
from tui.bindings import APP
from tui.commands import commands
from tui.config import Config
from tui.config import load as load_config
from tui.connection import Connection, Timing
from tui.dialogs.help import HelpScreen
from tui.dialogs.palette import Palette
from tui.garbage import Garbage
from tui.precedence import ANSWER_S, Precedence
from tui.screens.alerts import AlertsScreen
from tui.screens.base import ConsoleScreen, Shared, TableScreen
from tui.screens.collections import CollectionScreen, CollectionsScreen
from tui.screens.logs import LogsScreen
from tui.screens.nodes import NodeScreen, NodesScreen
from tui.screens.overview import OverviewScreen
from tui.screens.points import PointsScreen
from tui.screens.sdk import SdkScreen
from tui.screens.settings import SettingsScreen
from tui.screens.shards import ShardsScreen
from tui.screens.traffic import TrafficScreen
from tui.source import Opener, client_opener
from tui.store import Store
from tui.themes import DARK, LIGHT
from vectron_p2p.model.errors import InvalidArgument
from vectron_p2p.model.ids import parse_address

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from textual.binding import BindingType
    from textual.screen import Screen
    from textual.widget import AwaitMount

    from tui.widgets.bars import Tab
    from vectron_p2p.model.ids import PointId

AGE_S = 1.0  # ages are shown in whole seconds
EARLY_S = 0.1  # events come once a second too, a little sooner or later
PACES = (0.0, 1.0, 2.0, 5.0, 10.0)  # seconds between figures on the screen; 0: as they come
_SCREENS = (
    OverviewScreen,
    NodesScreen,
    ShardsScreen,
    CollectionsScreen,
    TrafficScreen,
    AlertsScreen,
    PointsScreen,
    LogsScreen,
    SettingsScreen,
    SdkScreen,
)


class ConsoleApp(App[None]):
    TITLE = "vectron"
    CSS_PATH = "styles/app.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*APP]

    def __init__(
        self,
        seeds: Sequence[str],
        opener: Opener,
        *,
        timing: Timing | None = None,
        clock: Callable[[], float] = time.monotonic,
        config: Config | None = None,
        precedence: Precedence | None = None,
    ) -> None:
        """`precedence`: the one that the events of `opener` stand behind."""
        super().__init__()
        config = config or Config()
        store = Store()
        self._precedence = precedence or Precedence(clock)
        self.connection = Connection(
            seeds,
            opener,
            store,
            timing=timing,
            clock=clock,
            changed=self._store_changed,
            precedence=self._precedence,
        )
        actions = Actions(
            self,
            self.connection,
            read_only=config.read_only,
            progress=self._progress,
            open_points=self.open_points,
            open_like=self.open_like,
        )
        self.shared = Shared(store, clock, actions, self.pace, self._precedence.turn)
        self._clock = clock
        self._paint_due = False
        self._paused = False
        self._shown: set[str] = set()
        """Modes that have been."""
        self._masked = False
        self._pace = min(PACES, key=lambda seconds: abs(seconds - config.refresh))
        self._drawn_at = -math.inf
        self._garbage = Garbage(clock())
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = LIGHT.name if config.theme == "light" else DARK.name
        self.set_keymap(config.keys)
        for screen in _SCREENS:
            self.add_mode(screen.MODE, partial(screen, self.shared))

    def on_mount(self) -> None:
        self.switch_mode("overview")
        self.set_interval(AGE_S, self._tick)
        self._garbage.take_over()
        self.run_worker(self.connection.run(), name="connection", group="connection", exclusive=True)

    def paint(self) -> None:
        """Paints the topmost screen of the console; those below it are painted when they come back."""
        for screen in reversed(self.screen_stack):
            if isinstance(screen, ConsoleScreen):
                screen.paint()
                return

    def pace(self) -> str:
        """How often figures change on the screen, where that is not as they come."""
        if self._paused:
            return "paused"
        return f"every {self._pace:.0f} s" if self._pace else ""

    def switch_mode(self, mode: str) -> AwaitMount:
        self._masked = mode not in self._shown
        self._shown.add(mode)
        try:
            return super().switch_mode(mode)
        finally:
            self._masked = False

    def delay_update(self, delay: float = 0.05) -> None:
        """Textual holds drawings back after each change of screens, until those that come are laid out. The console's
        are, but for the first time.
        """
        if self._masked:
            super().delay_update(delay)

    def on_unmount(self) -> None:
        self._garbage.give_back()

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key):
            self._garbage.key(self._clock())
            asyncio.get_running_loop().call_later(ANSWER_S, self._garbage.answered)
            self._precedence.key()
        await super().on_event(event)

    def _tick(self) -> None:
        """Ages go on where nothing comes: what was painted within the last second need not be."""
        now = self._clock()
        self._garbage.tick(now)
        self._paint_figures(content=now - self._drawn_at > AGE_S - EARLY_S)

    def _paint_figures(self, *, content: bool = True) -> None:
        """What came from the cluster: held back while paused, and between two paces; how old it is is always said."""
        now = self._clock()
        due = content and not self._paused and now - self._drawn_at >= self._pace - AGE_S / 2
        if due:
            self._drawn_at = now
        for screen in reversed(self.screen_stack):
            if isinstance(screen, ConsoleScreen):
                screen.paint(content=due)
                return

    def action_pause(self) -> None:
        self._paused = not self._paused
        self.paint()

    def action_rate(self, step: int) -> None:
        """One step faster (1) or slower (-1)."""
        at = PACES.index(self._pace) - step
        self._pace = PACES[min(len(PACES) - 1, max(0, at))]
        self.shared.actions.say(f"new figures every {self._pace:.0f} s" if self._pace else "new figures as they come")
        self.paint()

    def _progress(self, node: str, text: str) -> None:
        self.shared.store.put_progress(node, text)
        self._store_changed()

    def _store_changed(self) -> None:
        if not self._paint_due:  # changes that come faster than painting are painted together
            self._paint_due = True
            self.run_worker(self._paint_changes(), group="paint")

    async def _paint_changes(self) -> None:
        await self._precedence.turn()  # in a task of its own: keys come by way of the app's
        self._paint_due = False
        self._paint_figures()
        for prepare in self.shared.ahead:
            await self._precedence.turn()
            prepare()

    def run_soon(self, action: str) -> None:
        """Runs an action once the palette has closed."""
        self.call_later(self.run_action, action)

    def open_node(self, node: str) -> None:
        self._open("nodes", NodeScreen(self.shared, node))

    def open_collection(self, key: str) -> None:
        self._open("collections", CollectionScreen(self.shared, key))

    def open_points(self, collection: str) -> None:
        """Browses the points of a collection."""
        self._at_points(lambda screen: screen.open(collection))

    def open_like(self, collection: str, point: PointId) -> None:
        """Searches the points nearest to one."""
        self._at_points(lambda screen: screen.like(collection, point))

    def _at_points(self, do: Callable[[PointsScreen], None]) -> None:
        if self.current_mode != "points" or len(self.screen_stack) > 1:
            self.action_go("points")

        def act() -> None:
            screen = self.screen
            if isinstance(screen, PointsScreen):
                if screen.composed:
                    do(screen)
                else:  # shown for the first time: its fields are not there yet
                    screen.call_later(act)

        self.call_after_refresh(act)

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

    def action_command_palette(self) -> None:
        if not isinstance(self.screen, Palette):
            self.push_screen(Palette(commands(self)))

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


def run(connect: Sequence[str], *, read_only: bool = False) -> None:
    """Runs the console until the user leaves it.

    Raises:
        InvalidArgument: `connect` holds no usable address, or the console's file is not sound.
    """
    timing, config = Timing(), load_config()
    if read_only:
        config = replace(config, read_only=True)
    precedence = Precedence(time.monotonic)
    opener = client_opener(timing.action, precedence)
    ConsoleApp(seeds_of(connect), opener, timing=timing, config=config, precedence=precedence).run()
