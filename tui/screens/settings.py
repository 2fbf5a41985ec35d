"""Settings of all nodes, with the origin of each value; read when the screen is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from tui.bindings import SETTINGS
from tui.render import format as fmt
from tui.render import settings as render
from tui.render.text import line
from tui.screens.base import Shared, Shown, TableScreen
from tui.screens.reader import Reader

if TYPE_CHECKING:
    from textual.binding import BindingType

    from tui.store import Feed


class SettingsScreen(TableScreen):
    MODE = "settings"
    ABOUT = "What each node was started with, and where the value comes from. f shows the limits inside the nodes too."
    LABEL = "Settings"
    SORT = render.DEFAULT_SORT
    OPENS = False
    BINDINGS: ClassVar[list[BindingType]] = [*SETTINGS]

    def __init__(self, shared: Shared, *, mode: str = "") -> None:
        super().__init__(shared, mode=mode)
        self._fixed = False
        self._reader = Reader(
            self, shared, lambda: shared.store.settings, lambda: lambda source: source.settings(), "read the settings"
        )

    def feeds(self) -> list[Feed[Any]]:
        return [self.shared.store.settings]

    def on_mount(self) -> None:
        self._reader.start()

    def on_screen_resume(self) -> None:  # besides the base's
        self._reader.anew()

    def shown(self) -> Shown:
        settings = self.shared.store.settings.value or []
        table = render.table(settings, fixed=self._fixed)
        nodes = len({each.node_id for each in settings})
        status = self.shared.store.status.value
        silent = len(status.nodes) - nodes if status is not None else 0
        note = f" · {fmt.plural(silent, 'node')} did not say" if silent > 0 else ""
        title = f"Settings · {len(table.rows)} of {fmt.plural(nodes, 'node')}{note}"
        return Shown(title, table, [line("No node gave its settings.")])

    def action_fixed(self) -> None:
        self._fixed = not self._fixed
        self.paint()
