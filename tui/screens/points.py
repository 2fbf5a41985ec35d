"""The playground: search and browse the points of a collection, look at one, write and delete.

What it shows was asked for once, and is not refreshed: a page says when it was read.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.containers import Container, Horizontal
from textual.suggester import SuggestFromList
from textual.widgets import Input, Label

from tui.bindings import POINTS
from tui.dialogs.form import Field
from tui.render import points as render
from tui.render.table import Column, Filter, Row, Widths, arrange, fit
from tui.render.text import Line, Tone, line
from tui.screens.base import ConsoleScreen, Shared
from tui.screens.point import PointScreen
from tui.store import Phase
from tui.widgets.panels import Panel, StatePane
from tui.widgets.resource_table import ResourceTable
from vectron_p2p.model.errors import InvalidArgument
from vectron_p2p.model.ids import check_point_id, parse_point_id

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.app import ComposeResult
    from textual.binding import BindingType
    from textual.widget import Widget

    from tui.source import ClusterSource
    from tui.store import Feed
    from vectron_p2p.model.ids import PointId
    from vectron_p2p.model.points import Hit, Page, Point, SearchResult


class QueryBar(Container):
    """Collection, what to look near to, filter, and how many."""

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield Label("collection", markup=False)
            yield Input(id="collection", compact=True, placeholder="name")
            yield Label("k", classes="short", markup=False)
            yield Input("10", id="k", compact=True)
        with Horizontal():
            yield Label("near", markup=False)
            yield Input(id="near", compact=True, placeholder="an id, or [0.1, 0.2, …]; empty: browse all")
        with Horizontal():
            yield Label("filter", markup=False)
            yield Input(id="filter", compact=True, placeholder='{"pos": "noun", "year": {"$gte": 2020}}')

    def text(self, name: str) -> str:
        return self.query_one(f"#{name}", Input).value

    def set(self, name: str, text: str) -> None:
        self.query_one(f"#{name}", Input).value = text


class PointsScreen(ConsoleScreen):
    MODE = "points"
    AUTO_FOCUS = ""  # no field: keys that lead to other screens would be typed into it
    ABOUT = (
        "Search the points near a vector or near another point, or browse all, filtered too. Enter in a field runs "
        "the query, Enter on a row shows the point."
    )
    BINDINGS: ClassVar[list[BindingType]] = [*POINTS]

    def __init__(self, shared: Shared, *, mode: str = "") -> None:
        super().__init__(shared, mode=mode)
        self._query: render.Query | None = None
        self._points: list[Point | Hit] = []
        self._scores = False
        self._cursors: list[str | None] = [None]  # of the pages so far; the last one is that of the page on show
        self._next: str | None = None
        self._message: list[Line] = []
        self._names: list[str] = []

    def feeds(self) -> list[Feed[Any]]:
        return [self.shared.store.collections]

    def body(self) -> Iterable[Widget]:
        yield QueryBar()
        yield Panel("Answer", classes="answer")
        yield Container(ResourceTable(opens=True), StatePane(), classes="table-frame")

    def open(self, collection: str) -> None:
        """Browses `collection`."""
        bar = self.query_one(QueryBar)
        for name, text in (("collection", collection), ("near", ""), ("filter", "")):
            bar.set(name, text)
        self._run()

    def like(self, collection: str, point: PointId) -> None:
        """Searches the points nearest to `point`."""
        bar = self.query_one(QueryBar)
        bar.set("collection", collection)
        bar.set("near", json.dumps(point, ensure_ascii=False))
        self._run()

    # --- drawing ---

    def draw(self, now: float) -> None:
        infos = self.shared.store.collections.value or []
        names = [info.name for info in infos]
        field = self.query_one("#collection", Input)
        if names != self._names:
            self._names = names
            field.suggester = SuggestFromList(names, case_sensitive=True)
        if not field.value and names and self._query is None and not field.has_focus:
            field.value = names[0]
        self.query_one(".answer", Panel).show(self._message or self._invitation(), self.app.theme)
        frame = self.query_one(".table-frame", Container)
        frame.border_title = (self._query.collection if self._query is not None else "Points").replace("[", r"\[")
        phase = self.phase(now)
        self.set_class(phase is Phase.STALE, "-old")
        self.set_class(not self._points, "-message")
        if not self._points:
            waits = phase in (Phase.LOADING, Phase.ERROR)
            self.query_one(StatePane).show(self.waiting(phase, now) if waits else self._nothing(), self.app.theme)
            return
        shown = render.table(self._points, scores=self._scores)
        rows: list[Row] = arrange(shown.rows, render.DEFAULT_SORT, Filter())
        table = self.query_one(ResourceTable)
        width = (table.size.width or self.size.width - 2) - 1
        columns: tuple[Column, ...] = shown.columns
        widths = Widths()
        widths.measure(columns, rows, range(len(rows)))
        fitted = fit(columns, widths, width)
        table.show(fitted, rows, render.DEFAULT_SORT, self.app.theme)

    def _invitation(self) -> list[Line]:
        names = ", ".join(self._names) or "there are no collections yet"
        return [line((f"Enter runs the query. Collections: {names}", Tone.MUTED))]

    def _nothing(self) -> list[Line]:
        if self._query is None:
            return [line(("Nothing asked yet", Tone.STRONG)), (), line("Choose a collection and press Enter.")]
        return [line(("No points", Tone.STRONG)), (), line("Nothing is there that the query keeps.")]

    # --- asking ---

    @on(Input.Submitted)
    def _submitted(self) -> None:
        self._run()

    def _run(self) -> None:
        bar = self.query_one(QueryBar)
        try:
            query = render.parse_query(bar.text("collection"), bar.text("near"), bar.text("filter"), bar.text("k"))
        except InvalidArgument as error:
            self._message = [line(("✕ ", Tone.BAD), f"{error.field}: {error.message}")]
            if error.field is not None and (wrong := self.query(f"#{_FIELD.get(error.field, error.field)}")):
                wrong.first().focus()
            self.paint()
            return
        self._query, self._cursors = query, [None]
        self._ask()

    def _ask(self) -> None:
        query = self._query
        if query is None:
            return
        began = time.perf_counter()
        if query.browses:
            cursor = self._cursors[-1]

            async def scroll(source: ClusterSource) -> Page:
                points = source.collection(query.collection)
                return await points.scroll(filter=query.filter, limit=render.BROWSE, cursor=cursor)

            def browsed(page: Page) -> None:
                self._next = page.cursor
                seconds = time.perf_counter() - began
                self._shown(page.points, render.browsed(query, page, len(self._cursors), seconds), scores=False)

            self.shared.actions.ask(scroll, browsed, f"browse {query.collection}", failed=self._failed)
        else:

            async def search(source: ClusterSource) -> SearchResult:
                points = source.collection(query.collection)
                vector = list(query.vector) if query.vector is not None else None
                return await points.search(vector, id=query.id, k=query.k, filter=query.filter, explain=True)

            def found(result: SearchResult) -> None:
                self._next = None
                self._shown(result.hits, render.outcome(query, result, time.perf_counter() - began), scores=True)

            self.shared.actions.ask(search, found, f"search {query.collection}", failed=self._failed)

    def _failed(self, error: str) -> None:
        self._query, self._points = None, []
        self._message = [line(("✕ ", Tone.BAD), error)]
        if self.is_attached:
            self.paint()

    def _shown(self, points: list[Any], message: list[Line], *, scores: bool) -> None:
        self._points, self._message, self._scores = points, message, scores
        if self.is_attached:
            self.paint()
            if points:
                self.query_one(ResourceTable).focus()

    # --- keys ---

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if isinstance(self.focused, Input) and action in ("query", "upsert", "delete", "page"):
            return False  # letters belong to the field
        return super().check_action(action, parameters)

    def can_go_back(self) -> bool:
        return isinstance(self.focused, Input) or super().can_go_back()

    def action_back(self) -> None:
        if isinstance(self.focused, Input):  # else one could not leave the screen by its keys while nothing is found
            self.set_focus(self.query_one(ResourceTable) if self._points else None)
        else:
            super().action_back()

    def action_run(self) -> None:
        """Enter, where no field and no row has it."""
        self._run()

    def action_query(self) -> None:
        self.query_one("#near", Input).focus()

    def action_page(self, step: int) -> None:
        if self._query is None or not self._query.browses:
            return
        if step > 0 and self._next is not None:
            self._cursors.append(self._next)
        elif step < 0 and len(self._cursors) > 1:
            self._cursors.pop()
        else:
            return
        self._ask()

    @on(ResourceTable.RowSelected)
    def _selected(self) -> None:
        key = self.query_one(ResourceTable).cursor_key
        if self._query is not None and key is not None:
            point = json.loads(key)
            self.app.push_screen(PointScreen(self.shared, self._query.collection, point, changed=self._ask))

    def action_upsert(self) -> None:
        name = self.query_one(QueryBar).text("collection").strip()
        if not name:
            return
        fields = [
            Field("id", "Id", lambda text: check_point_id(parse_point_id(text)), hint="digits are a number"),
            Field("vector", "Vector", render.parse_vector, hint="[0.1, 0.2, …]"),
            Field("payload", "Payload", render.parse_payload, hint='{"key": "value"}'),
        ]

        def write(values: dict[str, Any]) -> None:
            point = {**values, "vector": list(values["vector"])}
            actions = self.shared.actions

            def written(_: object) -> None:
                actions.say(f"{values['id']!r} is written to {name}")
                self._ask()

            actions.ask(lambda source: source.collection(name).upsert([point]), written, f"write to {name}")

        self.shared.actions.fill(f"New point in {name}", fields, write, send="Write")

    def action_delete(self) -> None:
        key = self.query_one(ResourceTable).cursor_key
        if self._query is None or key is None:
            return
        self.shared.actions.delete_point(self._query.collection, json.loads(key), then=self._ask)


_FIELD = {"vector": "near", "id": "near"}
