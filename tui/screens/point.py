"""One point in full."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

from textual.containers import VerticalScroll
from textual.widgets import Static

from tui.bindings import POINT
from tui.dialogs.form import Field
from tui.render import points as render
from tui.render.text import Line, Tone, line
from tui.screens.base import ConsoleScreen, Shared
from tui.store import Phase
from tui.themes import prose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from textual.binding import BindingType
    from textual.widget import Widget

    from tui.source import ClusterSource
    from tui.store import Feed
    from vectron_p2p.model.ids import PointId
    from vectron_p2p.model.points import Point


class PointScreen(ConsoleScreen):
    MODE = "points"
    ABOUT = "One point: its version, vector and payload, as a quorum of its owners holds them."
    BINDINGS: ClassVar[list[BindingType]] = [*POINT]

    def __init__(self, shared: Shared, collection: str, point: PointId, *, changed: Callable[[], None]) -> None:
        """`changed`: called after the point was written or deleted here."""
        super().__init__(shared)
        self.collection = collection
        self.id_ = point
        self._changed = changed
        self._point: Point | None = None
        self._message: list[Line] = [line(("◌ ", Tone.ACCENT), "Reading …")]

    def crumbs(self) -> tuple[str, ...]:
        return (self.collection, json.dumps(self.id_, ensure_ascii=False))

    def feeds(self) -> list[Feed[Any]]:
        return [self.shared.store.status]

    def body(self) -> Iterable[Widget]:
        with VerticalScroll(classes="content"):
            yield Static("", classes="point", markup=False)

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()
        self._read()

    def draw(self, now: float) -> None:
        self.set_class(self.phase(now) is Phase.STALE, "-old")
        lines = render.detail(self._point) if self._point is not None else self._message
        self.query_one(".point", Static).update(prose(lines, self.app.theme))

    def _read(self) -> None:
        async def get(source: ClusterSource) -> list[Point | None]:
            return await source.collection(self.collection).get([self.id_], with_vector=True)

        def got(found: list[Point | None]) -> None:
            self._point = found[0]
            self._message = [line((f"{self.id_!r} is not there: it was deleted, or never written.", Tone.WARN))]
            self.paint()

        def failed(error: str) -> None:
            self._message = [line(("✕ ", Tone.BAD), error), (), line("Esc goes back; Enter there reads it again.")]
            self.paint()

        self.shared.actions.ask(get, got, f"read {self.id_!r}", failed=failed)

    def action_edit(self) -> None:
        point = self._point
        if point is None:
            return
        shown = render.record(point)
        fields = [
            Field(
                "payload",
                "Payload",
                render.parse_payload,
                json.dumps(shown["payload"], ensure_ascii=False),
            ),
            Field("vector", "Vector", render.parse_vector, json.dumps(shown["vector"])),
        ]

        def write(values: dict[str, Any]) -> None:
            new = {"id": self.id_, "vector": list(values["vector"]), "payload": values["payload"]}

            def written(_: object) -> None:
                self.shared.actions.say(f"{self.id_!r} is written")
                self._changed()
                self._read()

            self.shared.actions.ask(
                lambda source: source.collection(self.collection).upsert([new], if_version=point.version),
                written,
                f"write {self.id_!r}",
            )

        self.shared.actions.fill(f"Change {self.id_!r}", fields, write, send="Write")

    def action_delete(self) -> None:
        def deleted() -> None:
            self._changed()
            self._read()

        self.shared.actions.delete_point(self.collection, self.id_, then=deleted)

    def action_copy(self) -> None:
        if self._point is not None:
            self.app.copy_to_clipboard(json.dumps(render.record(self._point), ensure_ascii=False))
            self.shared.actions.say(f"copied {self.id_!r}")

    def action_like(self) -> None:
        self.shared.actions.open_like(self.collection, self.id_)
