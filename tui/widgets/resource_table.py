"""A table that draws only the rows on show, and keeps the selection with its row.

Rows of the `DataTable` below are places, filled with nothing; what stands in each is looked up when it is drawn. So a
thousand rows that change every second, or are sorted anew, cost as much as the screenful of them that is seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.measure import Measurement
from rich.text import Text
from textual.coordinate import Coordinate
from textual.widgets import DataTable

from tui.bindings import TABLE
from tui.render.text import plain
from tui.themes import styled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console, ConsoleOptions, RenderResult
    from textual.binding import BindingType

    from tui.render.table import Cell, Fitted, Row, Sort


class _Drawn:
    """A cell, coloured and cut only when it comes to the screen."""

    __slots__ = ("_cell", "_right", "_theme", "_width")

    def __init__(self, cell: Cell, width: int, right: bool, theme: str) -> None:
        self._cell = cell
        self._width = width
        self._right = right
        self._theme = theme

    def __str__(self) -> str:
        return plain(self._cell.spans)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield _draw(self._cell, self._width, self._right, self._theme)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(self._width, self._width)


class ResourceTable(DataTable[object]):
    """Shows fitted columns and arranged rows."""

    BINDINGS: ClassVar[list[BindingType]] = [*TABLE]

    def __init__(self, *, opens: bool) -> None:
        """`opens`: whether Enter on a row leads on."""
        super().__init__(cursor_type="row", zebra_stripes=False)
        self._opens = opens
        self._columns: tuple[Fitted, ...] = ()
        self._sort: Sort | None = None
        self._theme = ""
        self._shown: Sequence[Row] = ()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return self._opens if action == "select_cursor" else True

    @property
    def cursor_key(self) -> str | None:
        """Key of the chosen row."""
        at = self.cursor_row
        return self._shown[at].key if 0 <= at < len(self._shown) else None

    def get_row_at(self, row_index: int) -> list[object]:
        """What stands in a place; the table draws from this."""
        cells = self._shown[row_index].cells
        return [_Drawn(cells[each.column.key], each.width, each.column.right, self._theme) for each in self._columns]

    def show(self, columns: Sequence[Fitted], rows: Sequence[Row], sort: Sort, theme: str) -> None:
        """Draws `rows`, in their order."""
        chosen, at, top, before = self.cursor_key, self.cursor_row, self.scroll_y, self._shown
        layout_stays = (tuple(columns), sort) == (self._columns, self._sort)
        same = layout_stays and theme == self._theme and self._seen(before) == self._seen(rows)
        self._columns, self._sort, self._theme, self._shown = tuple(columns), sort, theme, rows
        if not layout_stays:
            self.clear(columns=True)
            for item in columns:
                self.add_column(_label(item, sort), key=item.column.key, width=item.width)
        elif len(rows) < self.row_count:
            self.clear()
        for place in range(self.row_count, len(rows)):
            self.add_row(key=str(place))
        if not same and rows:
            self.update_cell_at(Coordinate(0, 0), None)  # any change has the table draw its rows anew
        self._restore(chosen, at, top)

    def _seen(self, rows: Sequence[Row]) -> list[Row]:
        """Those of `rows` that are on the screen, with one more where half a page may show."""
        top = int(self.scroll_y)
        return [*rows[top : top + self.size.height + 1]]

    def _restore(self, chosen: str | None, at: int, top: float) -> None:
        """The cursor to its row, wherever that is now; to its place, where the row is gone."""
        rows = self._shown
        if not rows:
            return
        if not (at < len(rows) and rows[at].key == chosen):
            at = next((place for place, row in enumerate(rows) if row.key == chosen), min(at, len(rows) - 1))
        if at != self.cursor_row:
            self.move_cursor(row=at, animate=False, scroll=False)
        if top != self.scroll_y:
            self.scroll_to(y=top, animate=False)


def _label(item: Fitted, sort: Sort) -> Text:
    mark = ("▼" if sort.reverse else "▲") if sort.column == item.column.key else ""
    text = item.column.label + mark
    return Text(text.rjust(item.width) if item.column.right else text.ljust(item.width), no_wrap=True)


def _draw(cell: Cell, width: int, right: bool, theme: str) -> Text:
    text = styled(cell.spans, theme)
    text.truncate(width, overflow="ellipsis")
    if right:
        text.pad_left(max(0, width - text.cell_len))
    return text
