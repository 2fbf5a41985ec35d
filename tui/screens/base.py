"""What all screens share: the bars, painting, freshness; and, for screens around a table, filter, sort and drill-down.

A screen is painted by the app after each change of the store and once a second, and only while it is the one on top.
Painting reads the store and the clock and nothing else, so that it can be repeated at will.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events, on
from textual.containers import Container
from textual.screen import Screen

from tui.bindings import BACK, TABLE_SCREEN, WRITES
from tui.dialogs.form import Field
from tui.render import format as fmt
from tui.render import link as link_text
from tui.render import table_files
from tui.render.nodes import find as find_node
from tui.render.table import (
    PADDING,
    Column,
    Filter,
    Row,
    Sort,
    SortKeys,
    Table,
    Widths,
    arrange,
    fit,
    next_sort,
    toggled,
)
from tui.render.text import Line, Tone, line
from tui.store import Feed, Phase, Store
from tui.widgets.bars import WIDE, Banner, TopBar
from tui.widgets.filter_bar import FilterBar
from tui.widgets.key_bar import KeyBar
from tui.widgets.panels import StatePane
from tui.widgets.resource_table import ResourceTable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from textual.app import ComposeResult
    from textual.binding import BindingType
    from textual.geometry import Size
    from textual.widget import Widget

    from tui.actions import Actions


FOLDED = 100  # rows made ready for filters in one go: 3 ms


@dataclass(frozen=True, slots=True)
class Shared:
    """What a screen is given."""

    store: Store
    clock: Callable[[], float]
    actions: Actions
    pace: Callable[[], str]
    """How often figures change on the screen, if not as they come."""
    turn: Callable[[], Awaitable[None]]
    """Returns when no key waits for its answer."""
    ahead: list[Callable[[], None]] = field(default_factory=list)
    """What screens do after each event though they are not on top, so that they are there at once."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a table screen shows: rows, or a message where there are none."""

    title: str
    table: Table
    empty: list[Line] = field(default_factory=list)


class ConsoleScreen(Screen[None]):
    MODE: ClassVar[str] = "overview"
    ABOUT: ClassVar[str] = ""
    """One sentence for the help."""
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (120, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (36, "-tall")]
    BINDINGS: ClassVar[list[BindingType]] = [*BACK]

    def __init__(self, shared: Shared, *, mode: str = "") -> None:
        """`mode`: the numbered screen below which it was opened, if not its own."""
        super().__init__()
        self.shared = shared
        self.mode = mode or self.MODE
        self._composed = False
        self._painted = False
        self._paint_due = False
        self._styled_for = ""
        """The theme for which its styles were made."""

    def on_mount(self) -> None:
        self._composed = True

    @property
    def composed(self) -> bool:
        """Whether its widgets are there."""
        return self._composed

    @property
    def painted(self) -> bool:
        """Whether it holds figures from after it came to the top."""
        return self._painted

    def compose(self) -> ComposeResult:
        yield TopBar(self.mode)
        yield Banner()
        with Container(classes="body"):
            yield from self.body()
        yield KeyBar()

    def body(self) -> Iterable[Widget]:
        raise NotImplementedError

    def crumbs(self) -> tuple[str, ...]:
        """Where this screen is below its numbered one."""
        return ()

    def paint(self, *, content: bool = True) -> None:
        """Draws what the store holds now; without `content` only how fresh that is."""
        if not (self._composed and self.is_attached and self.app.is_running):  # not yet, or no longer, all there
            return
        store, now = self.shared.store, self.shared.clock()
        status = store.status.value
        node = find_node(status, status.answered_by) if status is not None else None
        badge = link_text.badge(store.link, node.name if node else "", now)
        self.query_one(TopBar).show(badge, self.crumbs(), self.shared.pace(), self.app.theme)
        self.query_one(Banner).show(link_text.banner(store.link, now))
        if content:
            self.draw(now)
            self._painted = True

    def draw(self, now: float) -> None:
        raise NotImplementedError

    def feeds(self) -> list[Feed[Any]]:
        """The feeds that the screen stands on; the first rules whether it has anything to show."""
        raise NotImplementedError

    def phase(self, now: float) -> Phase:
        phases = [self.shared.store.phase(feed, now) for feed in self.feeds()]
        return Phase.STALE if phases[0] is Phase.LIVE and Phase.STALE in phases else phases[0]

    def waiting(self, phase: Phase, now: float) -> list[Line]:
        """What stands in for the content while there is none."""
        store = self.shared.store
        if phase is Phase.LOADING:
            return link_text.loading(store.link)
        return link_text.failure(store.link, self.feeds()[0].error, now)

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.ScreenResume):  # styles stay what they were while another screen was on top
            event.refresh_styles, self._styled_for = self._styled_for != self.app.theme, self.app.theme
        await super().on_event(event)

    def _screen_resized(self, size: Size) -> None:
        """Textual lays a screen out, and draws it, before it says that it is on top again: with old figures."""
        if size != self.size or not self._composed:
            super()._screen_resized(size)

    def on_screen_suspend(self) -> None:
        self._painted = False

    def on_screen_resume(self) -> None:
        if self._composed and self.query_one(TopBar).size.width == self.app.size.width:  # laid out
            self.paint()  # before Textual draws it: its figures are as old as its last time on top
        else:
            self._paint_soon()

    def _paint_soon(self) -> None:
        """Once, however many reasons there are."""
        if not self._paint_due:
            self._paint_due = True
            self.call_after_refresh(self._paint_now)

    def _paint_now(self) -> None:
        self._paint_due = False
        self.paint()

    def on_resize(self, event: events.Resize) -> None:
        for keys in self.query(KeyBar):  # none yet, before the screen is composed
            keys.compact = event.size.width < WIDE
        self._paint_soon()

    def action_back(self) -> None:
        if len(self.app.screen_stack) > 1:
            self.app.pop_screen()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "back":
            return self.can_go_back()
        return not (action in WRITES and self.shared.actions.read_only)

    def can_go_back(self) -> bool:
        return len(self.app.screen_stack) > 1


class TableScreen(ConsoleScreen):
    """A screen around one table."""

    BINDINGS: ClassVar[list[BindingType]] = [*TABLE_SCREEN]
    LABEL: ClassVar[str]
    """Title of the table while nothing is known of its rows."""
    SORT: ClassVar[Sort]
    AUTO_FOCUS = "ResourceTable"
    OPENS: ClassVar[bool] = True
    """Whether Enter on a row leads on."""

    def __init__(self, shared: Shared, *, mode: str = "") -> None:
        super().__init__(shared, mode=mode)
        self.sort = self.SORT
        self.filter = Filter()
        self._columns: tuple[Column, ...] = ()
        self._all_columns: tuple[Column, ...] = ()
        self._arranged: list[Row] = []
        self._sort_keys = SortKeys()
        self._ordered: tuple[tuple[Row, ...], Sort, Filter, list[Row]] | None = None
        self._widths = Widths()

    def above(self) -> Iterable[Widget]:
        """Widgets between the bars and the table."""
        return ()

    def shown(self) -> Shown:
        """Called only when the first feed has a value."""
        raise NotImplementedError

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns on show."""
        return self._columns

    def open_row(self, key: str) -> None:
        """Enter on a row."""

    def body(self) -> Iterable[Widget]:
        yield from self.above()
        yield Container(ResourceTable(opens=self.OPENS), StatePane(), classes="table-frame")
        yield FilterBar()

    def draw(self, now: float) -> None:
        phase = self.phase(now)
        self.set_class(phase is Phase.STALE, "-old")
        if phase in (Phase.LOADING, Phase.ERROR):
            self.query_one(".table-frame").border_title = self.LABEL
            self._message(self.waiting(phase, now))
            return
        shown = self.shown()
        rows = self._in_order(shown.table)
        self._all_columns, self._arranged = shown.table.columns, rows
        frame = self.query_one(".table-frame", Container)
        # Titles are markup to Textual, and a filter may hold brackets: an escaped bracket stays itself.
        frame.border_title = shown.title.replace("[", r"\[")
        frame.border_subtitle = self._subtitle(len(rows), len(shown.table.rows)).replace("[", r"\[")
        if not shown.table.rows:
            self._message(shown.empty)
        elif not rows:
            self._message([line("No row matches ", (f"/{self.filter.text}", Tone.ACCENT))])
        else:
            self._message(None)
            self._rows(shown.table.columns, rows)

    def _in_order(self, table: Table) -> list[Row]:
        """Once for a table, a sort and a filter."""
        done = self._ordered
        if done is None or done[0] is not table.rows or done[1:3] != (self.sort, self.filter):
            rows = arrange(table.rows, self.sort, self.filter, table.columns, self._sort_keys)
            done = self._ordered = (table.rows, self.sort, self.filter, rows)
        return done[3]

    def _rows(self, columns: tuple[Column, ...], rows: list[Row]) -> None:
        table = self.query_one(ResourceTable)
        width = (table.size.width or self.size.width - 2) - 1  # the scrollbar's column
        self._widths.measure(columns, rows, table.rows_on_show)
        fitted = fit(columns, self._widths, width)
        self._columns = tuple(item.column for item in fitted)
        table.show(fitted, rows, self.sort, self.app.theme)

    def _message(self, lines: list[Line] | None) -> None:
        self.set_class(lines is not None, "-message")
        if lines is not None:
            self.query_one(StatePane).show(lines, self.app.theme)
        elif self.focused is None:  # a table that is not on show has lost the focus
            self.call_after_refresh(self._focus_table)

    def _focus_table(self) -> None:
        if self.focused is None and self.is_attached:
            self.query_one(ResourceTable).focus()

    def _subtitle(self, kept: int, total: int) -> str:
        return f"/{self.filter.text} · {kept} of {total}" if self.filter.text.strip() else ""

    # --- keys and messages ---

    def can_go_back(self) -> bool:
        return bool(self.filter.text) or super().can_go_back()

    def action_back(self) -> None:
        if self.filter.text:
            self.query_one(FilterBar).drop()
        else:
            super().action_back()

    def action_filter(self) -> None:
        self.query_one(FilterBar).open()
        self.run_worker(self._fold(self._arranged), group="fold", exclusive=True)

    async def _fold(self, rows: Sequence[Row]) -> None:
        """Before the first letter comes, which else would wait for thousands of rows."""
        for at in range(0, len(rows), FOLDED):
            await self.shared.turn()
            for row in rows[at : at + FOLDED]:
                row.folded  # noqa: B018  # which keeps it

    def action_sort(self, step: int) -> None:
        if self._columns:
            self._sort_by(next_sort(self._columns, self.sort, step))

    def action_invert(self) -> None:
        self._sort_by(toggled(self.sort))

    def chosen(self) -> str | None:
        """Key of the row that the cursor is on."""
        return self.query_one(ResourceTable).cursor_key

    def _chosen_row(self) -> Row | None:
        return next((row for row in self._arranged if row.key == self.chosen()), None)

    def action_copy_name(self) -> None:
        row = self._chosen_row()
        if row is not None:
            self._copy(row.cells[self._all_columns[0].key].text.rstrip("*"))

    def action_copy_row(self) -> None:
        row = self._chosen_row()
        if row is not None:
            self._copy(json.dumps(table_files.record(self._all_columns, row), ensure_ascii=False))

    def _copy(self, text: str) -> None:
        self.app.copy_to_clipboard(text)
        self.shared.actions.say(f"copied {fmt.ellipsis(text, 60)}")

    def action_export(self) -> None:
        """Writes the rows that the filter leaves, in the order on show, with all columns."""
        columns, rows = self._all_columns, self._arranged
        field = Field("path", "File", table_files.check_path, f"{self.mode}.csv", "a .csv or .json file")

        def write(values: dict[str, Any]) -> None:
            try:
                table_files.write(values["path"], columns, rows)
            except OSError as error:
                self.shared.actions.failed(f"write {values['path']}", error)
            else:
                self.shared.actions.say(f"{fmt.plural(len(rows), 'row')} written to {values['path']}")

        self.shared.actions.fill(f"Write {fmt.plural(len(rows), 'row')}", [field], write, send="Write")

    def _sort_by(self, sort: Sort) -> None:
        self.sort = sort
        self.paint()

    @on(ResourceTable.HeaderSelected)
    def _header(self, event: ResourceTable.HeaderSelected) -> None:
        key = event.column
        column = next((item for item in self._columns if item.key == key), None)
        if key == self.sort.column:
            self.action_invert()
        elif column is not None:
            self._sort_by(Sort(key, reverse=column.right))

    @on(ResourceTable.RowSelected)
    def _selected(self) -> None:
        if (key := self.chosen()) is not None:
            self.open_row(key)

    @on(FilterBar.Changed)
    def _filtered(self, event: FilterBar.Changed) -> None:
        self.filter = Filter(event.text)
        self.paint()
        self.refresh_bindings()

    @on(FilterBar.Closed)
    def _filter_closed(self) -> None:
        self.query_one(ResourceTable).focus()
        self.query_one(FilterBar).rest()


def inner_width(screen: ConsoleScreen) -> int:
    """Width for text in a panel as wide as the screen: without borders and padding."""
    return max(20, screen.size.width - 2 - PADDING)
