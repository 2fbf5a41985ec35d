"""Placement: the share of each node, and all shards with their owners and moves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tui.render import ring
from tui.render.text import line
from tui.screens.base import Shared, Shown, TableScreen
from tui.screens.collections import ShardScreen
from tui.widgets.panels import Panel
from tui.widgets.resource_table import ResourceTable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.widget import Widget

    from tui.render.table import Table
    from tui.store import Feed
    from vectron_p2p.model.nodes import ClusterInfo

MOST_BARS = 9  # lines of shares on a small terminal: the table below needs the rest
TALL_BARS = 16


class ShardsScreen(TableScreen):
    MODE = "shards"
    ABOUT = (
        "Who owns what: the replicas of each node against the mean, then every shard with its owners, a letter for a "
        "node, and its move. Enter shows the replicas of a shard."
    )
    LABEL = "Shards"
    SORT = ring.DEFAULT_SORT

    def __init__(self, shared: Shared, *, mode: str = "") -> None:
        super().__init__(shared, mode=mode)
        self._rows_of_shards = ring.Rows()
        self._places = ring.Places()
        self._placed: tuple[ClusterInfo, ring.Placement] | None = None
        self._made: tuple[object, object, object, Table] | None = None

    def on_mount(self) -> None:
        self.shared.ahead.extend((self._make, self._arrange))

    def _make(self) -> None:
        """Thousands of rows are counted and put in order as they change, not all at once when a key asks for them."""
        info = self.shared.store.cluster.value
        if info is not None:
            self._table(info)

    def _arrange(self) -> None:
        info = self.shared.store.cluster.value
        if info is not None:
            table = self._table(info)
            rows, on_show = self._in_order(table), self.query_one(ResourceTable).rows_on_show
            self._widths.measure(table.columns, rows, on_show)

    def feeds(self) -> list[Feed[Any]]:
        return [self.shared.store.cluster]

    def above(self) -> Iterable[Widget]:
        yield Panel("Placement", classes="facts")

    def _placement(self, info: ClusterInfo) -> ring.Placement:
        """Counted once for each event."""
        if self._placed is None or self._placed[0] is not info:
            self._placed = info, self._places.placement(info)
        return self._placed[1]

    def draw(self, now: float) -> None:
        info, moves = self.shared.store.cluster.value, self.shared.store.moves.value or []
        panel = self.query_one(".facts", Panel)
        panel.display = info is not None and bool(info.shards)
        if info is not None:
            placed = self._placement(info)
            most = TALL_BARS if self.has_class("-tall") else MOST_BARS
            lines = ring.shares(placed, self.size.width - 4, most)
            panel.show([*lines, ring.summary(placed, moves)], self.app.theme)
        super().draw(now)

    def shown(self) -> Shown:
        store = self.shared.store
        info = store.cluster.value
        assert info is not None
        table = self._table(info)
        return Shown(ring.title(info), table, [line("No collections yet, so there is nothing to place.")])

    def _table(self, info: ClusterInfo) -> Table:
        """Made once for each event: keys have it drawn in between."""
        collections, moves = self.shared.store.collections.value or [], self.shared.store.moves.value or []
        made = self._made
        if made is None or made[0] is not info or made[1] is not collections or made[2] is not moves:
            table = self._rows_of_shards.table(info, collections, self._placement(info), moves)
            made = self._made = (info, collections, moves, table)
        return made[3]

    def open_row(self, key: str) -> None:
        name, _, shard = key.rpartition("/")
        self.app.push_screen(ShardScreen(self.shared, self._key(name), int(shard), mode=self.MODE))

    def _key(self, name: str) -> str:
        infos = self.shared.store.collections.value or []
        return next((info.id or info.name for info in infos if info.name == name), name)
