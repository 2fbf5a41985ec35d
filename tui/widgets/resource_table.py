"""A table that draws only the rows on show, and keeps the selection with its row.

Nothing is kept for a row that is not seen: what stands in a line of the screen is looked up, cut and coloured when that
line is drawn. So five thousand rows that change every second, or are sorted anew, cost as much as a screenful.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.bindings import TABLE
from tui.render.table import PADDING
from tui.render.text import plain
from tui.themes import tone_style

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.style import Style
    from textual import events
    from textual.binding import BindingType

    from tui.render.table import Cell, Fitted, Row, Sort

HEADER = 1  # lines above the rows
EDGE = " " * (PADDING // 2)


class ResourceTable(ScrollView, can_focus=True):
    """Shows fitted columns and arranged rows."""

    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = [*TABLE]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"table--header", "table--header-hover", "table--cursor", "table--hover"}

    class HeaderSelected(Message):
        """A click on the label of a column."""

        def __init__(self, column: str) -> None:
            super().__init__()
            self.column = column

    class RowSelected(Message):
        """Enter, or a click, on a row."""

    def __init__(self, *, opens: bool) -> None:
        """`opens`: whether Enter on a row leads on."""
        super().__init__()
        self._opens = opens
        self._columns: tuple[Fitted, ...] = ()
        self._sort: Sort | None = None
        self._theme = ""
        self._shown: Sequence[Row] = ()
        self._cursor = 0
        self._hover: tuple[int, str] = (-1, "")
        """The row, or the column whose label, the mouse is over."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return self._opens if action == "select_cursor" else True

    # --- what it shows ----------------------------------------------------------------------------------------------

    @property
    def row_count(self) -> int:
        return len(self._shown)

    @property
    def cursor_row(self) -> int:
        return self._cursor

    @property
    def cursor_key(self) -> str | None:
        """Key of the chosen row."""
        return self._shown[self._cursor].key if self._cursor < len(self._shown) else None

    @property
    def rows_on_show(self) -> range:
        """The places of the rows that are on the screen."""
        top = int(self.scroll_y)
        return range(top, min(len(self._shown), top + max(1, self.size.height - HEADER)))

    def get_row_at(self, row: int) -> list[str]:
        """What stands in a row, in full."""
        cells = self._shown[row].cells
        return [plain(cells[each.column.key].spans) for each in self._columns]

    def show(self, columns: Sequence[Fitted], rows: Sequence[Row], sort: Sort, theme: str) -> None:
        """Draws `rows`, in their order."""
        chosen, before = self.cursor_key, self._seen()
        stays = (tuple(columns), sort, theme) == (self._columns, self._sort, self._theme)
        self._columns, self._sort, self._theme, self._shown = tuple(columns), sort, theme, rows
        size = Size(sum(each.width + PADDING for each in columns), len(rows) + HEADER)
        if size != self.virtual_size:
            self.virtual_size = size
            stays = False
        at = self._cursor
        if not (at < len(rows) and rows[at].key == chosen):  # to its row, wherever that is; where it is gone, it stays
            at = next((place for place, row in enumerate(rows) if row.key == chosen), min(at, max(0, len(rows) - 1)))
        if at != self._cursor:
            self._cursor, stays = at, False
        if not stays or before != self._seen():
            self.refresh()

    def _seen(self) -> list[Row]:
        return [self._shown[place] for place in self.rows_on_show]

    # --- drawing ------------------------------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        base = self.rich_style
        if y < HEADER:
            return self._header(width, base)
        place = int(self.scroll_y) + y - HEADER
        if place >= len(self._shown):
            return Strip.blank(width, base)
        state = "table--cursor" if place == self._cursor else "table--hover" if place == self._hover[0] else ""
        over = self.get_component_rich_style(state, partial=True) if state else None
        cells = self._shown[place].cells
        segments: list[Segment] = []
        for each in self._columns:
            _cell(segments, cells[each.column.key], each, self._theme)
        drawn = [Segment(text, _styled(base, style, over)) for text, style, _ in segments]
        return Strip(drawn).adjust_cell_length(width, _styled(base, None, over))

    def _header(self, width: int, base: Style) -> Strip:
        style = base + self.get_component_rich_style("table--header", partial=True)
        hover = base + self.get_component_rich_style("table--header-hover", partial=True)
        segments = [
            Segment(f"{EDGE}{_label(each, self._sort)}{EDGE}", hover if each.column.key == self._hover[1] else style)
            for each in self._columns
        ]
        return Strip(segments).adjust_cell_length(width, style)

    def _line_of(self, place: int) -> Region:
        return Region(0, place - int(self.scroll_y) + HEADER, self.size.width, 1)

    # --- moving -------------------------------------------------------------------------------------------------------

    def _move(self, place: int) -> None:
        place = max(0, min(place, len(self._shown) - 1))
        if place == self._cursor:
            return
        before, self._cursor = self._cursor, place
        room, top = max(1, self.size.height - HEADER), int(self.scroll_y)
        if place < top:
            self.scroll_to(y=place, animate=False, immediate=True)
        elif place >= top + room:
            self.scroll_to(y=place - room + 1, animate=False, immediate=True)
        if int(self.scroll_y) == top:
            self.refresh(self._line_of(before), self._line_of(place))
        else:
            self.refresh()

    def action_cursor_down(self) -> None:
        self._move(self._cursor + 1)

    def action_cursor_up(self) -> None:
        self._move(self._cursor - 1)

    def action_scroll_top(self) -> None:
        self._move(0)

    def action_scroll_bottom(self) -> None:
        self._move(len(self._shown) - 1)

    def action_page_down(self) -> None:
        self._move(self._cursor + max(1, self.size.height - HEADER))

    def action_page_up(self) -> None:
        self._move(self._cursor - max(1, self.size.height - HEADER))

    def action_select_cursor(self) -> None:
        if self._shown:
            self.post_message(self.RowSelected())

    # --- the mouse ----------------------------------------------------------------------------------------------------

    def _under(self, x: int, y: int) -> tuple[int, str]:
        if y >= HEADER:
            place = int(self.scroll_y) + y - HEADER
            return (place, "") if place < len(self._shown) else (-1, "")
        for each in self._columns:
            if 0 <= x < each.width + PADDING:
                return -1, each.column.key
            x -= each.width + PADDING
        return -1, ""

    def on_click(self, event: events.Click) -> None:
        place, column = self._under(event.x, event.y)
        if column:
            self.post_message(self.HeaderSelected(column))
        elif place >= 0:
            self._move(place)
            self.post_message(self.RowSelected())

    def on_mouse_move(self, event: events.MouseMove) -> None:
        self._hover_at(self._under(event.x, event.y))

    def on_leave(self) -> None:
        self._hover_at((-1, ""))

    def _hover_at(self, under: tuple[int, str]) -> None:
        if under != self._hover:
            self._hover = under
            self.refresh()


def _label(item: Fitted, sort: Sort | None) -> str:
    mark = ("▼" if sort.reverse else "▲") if sort is not None and sort.column == item.column.key else ""
    text = item.column.label + mark
    return (text.rjust(item.width) if item.column.right else text.ljust(item.width))[: item.width]


def _cell(segments: list[Segment], cell: Cell, item: Fitted, theme: str) -> None:
    """Adds what `cell` looks like in its column."""
    width = 0  # in cells of the terminal: some characters take two
    for span in cell.spans:
        width += cell_len(span.text)
    pieces = [Segment(span.text, tone_style(theme, span.tone)) for span in cell.spans]
    if width > item.width:
        cut = Strip(pieces, width).crop(0, item.width - 1)
        last = list(cut)[-1].style if cut else None
        pieces = [*cut, Segment("…".ljust(item.width - cut.cell_length), last)]
        width = item.width
    blank = " " * (item.width - width)
    left, right = (EDGE + blank, EDGE) if item.column.right else (EDGE, blank + EDGE)
    if segments:  # one with the blanks of the column before
        left = segments.pop().text + left
    segments.append(Segment(left))
    segments += pieces
    segments.append(Segment(right))


@cache
def _styled(base: Style, own: Style | None, over: Style | None) -> Style:
    """`over`, of the row that is chosen or under the mouse, goes before the cell's own."""
    style = base if own is None else base + own
    return style if over is None else style + over
