"""The overview: is all well, and if not, what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual.containers import Container, Horizontal

from tui.render import overview
from tui.render.panels import draw
from tui.screens.base import ConsoleScreen
from tui.store import Feed, Phase
from tui.widgets.panels import Panel, StatePane

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.widget import Widget


class OverviewScreen(ConsoleScreen):
    MODE = "overview"
    ABOUT = "The cluster at a glance: what it holds, how each of its services does, and what changed while you watched."

    def feeds(self) -> list[Feed[Any]]:
        return [self.shared.store.status]

    def body(self) -> Iterable[Widget]:
        with Container(classes="content"):
            yield Horizontal(*(Panel() for _ in range(4)), id="cards")
            with Container(id="grid"):
                yield Panel("Services", id="services")
                yield Panel("Changes", id="changes")
                yield Panel("Last minutes", id="charts")
        yield StatePane()

    def draw(self, now: float) -> None:
        store, theme, phase = self.shared.store, self.app.theme, self.phase(now)
        self.set_class(phase is Phase.STALE, "-old")
        status = store.status.value
        self.set_class(status is None, "-message")
        if status is None:
            self.query_one(StatePane).show(self.waiting(phase, now), theme)
            return
        for panel, card in zip(
            self.query("#cards > Panel").results(Panel), overview.cards(status, store.collections.value), strict=True
        ):
            panel.border_title = card.title
            panel.show(card.lines, theme)
        services = overview.services(status, store.alerts.value or [])
        self.query_one("#grid").styles.grid_rows = f"{len(services) + 2} 1fr"
        self.query_one("#services", Panel).show(services, theme)
        changes = self.query_one("#changes", Panel)
        changes.show(overview.events(store.events, now, *changes.room), theme)
        charts = self.query_one("#charts", Panel)
        charts.show(draw(overview.charts(store, status), *charts.room), theme)
