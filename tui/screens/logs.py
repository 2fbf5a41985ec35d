"""Logs: the last records of all nodes, as they come; one in full; all that one call led to.

Records are read only while this screen is the one on show. Invariant: at most `KEPT` are held.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar

import anyio
from textual.containers import VerticalScroll
from textual.widgets import Static

from tui.bindings import LOG_RECORD, LOGS
from tui.connection import describe
from tui.render import logs as render
from tui.render.text import Line, Tone, line
from tui.screens.base import ConsoleScreen, Shared, Shown, TableScreen
from tui.themes import prose

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.binding import BindingType
    from textual.widget import Widget
    from textual.worker import Worker

    from tui.source import ClusterSource
    from tui.store import Feed
    from vectron_p2p.model.logs import LogRecord

KEPT = 1000  # as many as a table shows
AGAIN_S = 1.0  # before the logs are read through another node


class LogsScreen(TableScreen):
    MODE = "logs"
    ABOUT = (
        "What the nodes log, as it comes, the newest first. l changes the lowest level, s shows slow requests alone. "
        "Enter shows a record in full."
    )
    LABEL = "Logs"
    SORT = render.DEFAULT_SORT
    BINDINGS: ClassVar[list[BindingType]] = [*LOGS]

    def __init__(self, shared: Shared, *, mode: str = "", trace: str = "", node: str = "", slow: bool = False) -> None:
        """`trace`: only what belongs to one call; `node`: only what that one logs; `slow`: to begin with."""
        super().__init__(shared, mode=mode)
        self._trace = trace
        self._level = "debug" if trace else "info"
        self._node = node
        self._slow = slow
        self._records: deque[LogRecord] = deque(maxlen=KEPT)
        self._error = ""
        self._read = False
        self._tailing: Worker[None] | None = None

    def crumbs(self) -> tuple[str, ...]:
        if self._trace:
            return (f"trace {self._trace}",)
        if self._node:
            return (self._node, "log")
        return ("slow requests",) if self.mode != self.MODE else ()

    def feeds(self) -> list[Feed[Any]]:
        return [self.shared.store.status]

    def on_screen_resume(self) -> None:  # besides the base's
        if self._tailing is None:
            self._tailing = self.run_worker(self._tail(), group="logs", exit_on_error=False)

    def on_screen_suspend(self) -> None:
        if self._tailing is not None:
            self._tailing.cancel()
            self._tailing = None

    async def _tail(self) -> None:
        """Begins anew each time: what was read before is read again, and nothing is missed."""
        while True:
            try:
                await self.shared.actions.perform(self._follow)
            except Exception as error:  # the console outlives whatever a node answers; the text is shown
                self._error = describe(error)
                self.paint()
            await anyio.sleep(AGAIN_S)

    async def _follow(self, source: ClusterSource) -> None:
        self._records.clear()
        records = await source.logs(
            self._node or None, level=self._level, slow=self._slow, trace=self._trace or None, limit=KEPT, follow=True
        )
        self._error, self._read = "", True
        async for record in records:
            self._records.append(record)
            self._due = True
            self.call_later(self._paint_records)

    _due = False

    def _paint_records(self) -> None:
        if self._due and self.is_current:  # those that came together are painted together
            self._due = False
            self.paint()

    def shown(self) -> Shown:
        what = "slow requests" if self._slow else f"{self._level} and above"
        table = render.table(self._records)
        empty = [line((self._error, Tone.BAD))] if self._error else [line("Nothing was logged.")]
        return Shown(f"Logs · {what} · {len(table.rows)}", table, empty)

    def action_level(self) -> None:
        names = render.LEVEL_NAMES
        self._level = names[(names.index(self._level) + 1) % len(names)]
        self._anew()

    def action_slow(self) -> None:
        self._slow = not self._slow
        self._anew()

    def _anew(self) -> None:
        self.on_screen_suspend()
        self._records.clear()
        self.on_screen_resume()
        self.paint()

    def open_row(self, key: str) -> None:
        record = next((record for record in self._records if render.key(record) == key), None)
        if record is not None:
            self.app.push_screen(RecordScreen(self.shared, record))


class RecordScreen(ConsoleScreen):
    """One record in full."""

    MODE = "logs"
    ABOUT = "One record of a node's log. t shows all that the same call led to, on every node."
    BINDINGS: ClassVar[list[BindingType]] = [*LOG_RECORD]

    def __init__(self, shared: Shared, record: LogRecord) -> None:
        super().__init__(shared)
        self._record = record

    def crumbs(self) -> tuple[str, ...]:
        return (self._record.node, self._record.event)

    def feeds(self) -> list[Feed[Any]]:
        return [self.shared.store.status]

    def body(self) -> Iterable[Widget]:
        with VerticalScroll(classes="content"):
            yield Static("", classes="point", markup=False)

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()

    def draw(self, now: float) -> None:
        lines: list[Line] = render.full(self._record)
        self.query_one(".point", Static).update(prose(lines, self.app.theme))

    def action_copy(self) -> None:
        self.app.copy_to_clipboard(render.as_json(self._record))
        self.shared.actions.say("copied the record")

    def action_trace(self) -> None:
        if self._record.trace:
            self.app.push_screen(LogsScreen(self.shared, trace=self._record.trace))
        else:
            self.shared.actions.say("this record belongs to no call of a client")
