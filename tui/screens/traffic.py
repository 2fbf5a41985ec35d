"""Traffic: operations of the cluster or of each node, what nodes think of each other, and open connections."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, ClassVar

from tui.bindings import TRAFFIC
from tui.render import traffic
from tui.render.panels import draw
from tui.render.table import Widths
from tui.render.text import line
from tui.screens.base import Shared, Shown, TableScreen
from tui.screens.logs import LogsScreen
from tui.widgets.panels import Panel
from vectron_p2p.model.statistics import WINDOWS_S

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.binding import BindingType
    from textual.widget import Widget

    from tui.store import Feed


class View(enum.StrEnum):
    OPERATIONS = "Operations"
    BY_NODE = "Operations by node"
    PEERS = "Between nodes"
    CONNECTIONS = "Connections"


VIEWS = list(View)
SORTS = {
    View.OPERATIONS: traffic.OPERATION_SORT,
    View.BY_NODE: traffic.OPERATION_SORT,
    View.PEERS: traffic.PEER_SORT,
    View.CONNECTIONS: traffic.CALLER_SORT,
}


class TrafficScreen(TableScreen):
    MODE = "traffic"
    ABOUT = (
        "What is asked of the cluster and how long it takes. v changes between operations, those of each node, what "
        "nodes think of each other (breakers, round trips), and open connections; u changes the window, s shows slow "
        "requests."
    )
    LABEL = "Operations"
    SORT = traffic.OPERATION_SORT
    OPENS = False
    BINDINGS: ClassVar[list[BindingType]] = [*TRAFFIC]

    def __init__(self, shared: Shared, *, mode: str = "") -> None:
        super().__init__(shared, mode=mode)
        self._view = View.OPERATIONS
        self._window = WINDOWS_S[0]

    def feeds(self) -> list[Feed[Any]]:
        return [self.shared.store.operations, self.shared.store.statistics]

    def above(self) -> Iterable[Widget]:
        yield Panel("Traffic", classes="facts")
        yield Panel("Last minutes", classes="charts")

    def draw(self, now: float) -> None:
        store, theme = self.shared.store, self.app.theme
        facts, charts = self.query_one(".facts", Panel), self.query_one(".charts", Panel)
        known = store.operations.value is not None
        facts.display = charts.display = known
        if known:
            nodes = (store.statistics.value or {}).values()
            facts.show(traffic.summary(store.operations.value or {}, nodes, self._window), theme)
            charts.show(draw(traffic.charts(store), *charts.room), theme)
        super().draw(now)

    def shown(self) -> Shown:
        store = self.shared.store
        statistics = (store.statistics.value or {}).values()
        if self._view is View.PEERS:
            table, empty = traffic.peers(statistics, store.names()), "No node has spoken to another one yet."
        elif self._view is View.CONNECTIONS:
            table, empty = traffic.callers(statistics), "Nobody is connected."
        else:
            per_node = self._view is View.BY_NODE
            table = traffic.operations(store.operations.value or {}, store.names(), self._window, per_node=per_node)
            empty = "Nothing was asked within this time."
        timed = self._view in (View.OPERATIONS, View.BY_NODE)
        window = f" · last {traffic.WINDOW_NAMES[self._window]}" if timed else ""
        count = traffic.peers_shown(statistics) if self._view is View.PEERS else f"{len(table.rows):,}"
        return Shown(f"{self._view}{window} · {count}", table, [line(empty)])

    def action_view(self) -> None:
        self._view = VIEWS[(VIEWS.index(self._view) + 1) % len(VIEWS)]
        self.sort = SORTS[self._view]
        self._widths = Widths()
        self.paint()

    def action_slow(self) -> None:
        self.app.push_screen(LogsScreen(self.shared, mode=self.mode, slow=True))

    def action_window(self) -> None:
        self._window = traffic.next_window(self._window)
        self.paint()
