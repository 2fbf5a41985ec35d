"""A table that is refreshed in place: only changed cells are written, and the selection stays with its row."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.widgets import DataTable
from textual.widgets.data_table import CellDoesNotExist

from tui.bindings import TABLE
from tui.themes import styled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.binding import BindingType

    from tui.render.table import Cell, Fitted, Row, Sort


class ResourceTable(DataTable[Text]):
    """Shows fitted columns and arranged rows."""

    BINDINGS: ClassVar[list[BindingType]] = [*TABLE]

    def __init__(self, *, opens: bool) -> None:
        """`opens`: whether Enter on a row leads on."""
        super().__init__(cursor_type="row", zebra_stripes=False)
        self._opens = opens
        self._layout: tuple[object, ...] = ()
        self._drawn: dict[str, dict[str, Cell]] = {}
        self._columns: list[str] = []

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return self._opens if action == "select_cursor" else True

    @property
    def cursor_key(self) -> str | None:
        """Key of the chosen row."""
        if not self._drawn:
            return None
        try:
            return self.coordinate_to_cell_key(self.cursor_coordinate).row_key.value
        except CellDoesNotExist:
            return None

    def show(self, columns: Sequence[Fitted], rows: Sequence[Row], sort: Sort, theme: str) -> None:
        """Draws `rows`, in their order, with as few changes as will do."""
        layout = (tuple(columns), sort, theme)
        order = [row.key for row in rows]
        if layout == self._layout and order == list(self._drawn):
            self._update(rows, theme)
            return
        chosen, at, top = self.cursor_key, self.cursor_row, self.scroll_y
        if layout == self._layout:
            self.clear()
        else:
            self.clear(columns=True)
            self._columns = [item.column.key for item in columns]
            for item in columns:
                self.add_column(_label(item, sort), key=item.column.key, width=item.width)
        widths = {item.column.key: (item.width, item.column.right) for item in columns}
        for row in rows:
            self.add_row(*(_draw(row.cells[key], *widths[key], theme) for key in self._columns), key=row.key)
        self._layout = layout
        self._drawn = {row.key: {key: row.cells[key] for key in self._columns} for row in rows}
        self._restore(order.index(chosen) if chosen in self._drawn else min(at, len(order) - 1), top)

    def _update(self, rows: Sequence[Row], theme: str) -> None:
        columns = {item.column.key: item for item in self._layout[0]} if self._layout else {}  # type: ignore[attr-defined]
        for row in rows:
            drawn = self._drawn[row.key]
            for key, item in columns.items():
                if drawn[key] != row.cells[key]:
                    drawn[key] = row.cells[key]
                    self.update_cell(row.key, key, _draw(row.cells[key], item.width, item.column.right, theme))

    def _restore(self, row: int, top: float) -> None:
        if row >= 0:
            self.move_cursor(row=row, animate=False, scroll=False)
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
