"""What a person can have the cluster do from here: each asks what has to be asked, sends it, and says what came of it.

Owns no data: what it changed is seen when the next figures come. Invariants: whatever a call raises ends up as a
message; what cannot be taken back is asked about first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from tui.connection import describe
from tui.dialogs.confirm import ConfirmDialog
from tui.dialogs.form import Field, FormDialog
from tui.render import format as fmt
from tui.render.text import Tone, line
from vectron_p2p.model import collections as model
from vectron_p2p.model.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from textual.app import App

    from tui.connection import Connection
    from tui.render.text import Line
    from tui.source import ClusterSource
    from vectron_p2p.model.collections import CollectionInfo
    from vectron_p2p.model.ids import PointId
    from vectron_p2p.model.moves import MovesReport
    from vectron_p2p.model.nodes import NodeStatus
    from vectron_p2p.model.repair import RepairReport

T = TypeVar("T")

TOAST_S = 4.0  # long enough to be read once; errors stay twice as long


class Actions:
    def __init__(
        self,
        app: App[None],
        connection: Connection,
        *,
        read_only: bool,
        open_points: Callable[[str], None],
        open_like: Callable[[str, PointId], None],
    ) -> None:
        """`open_points`: shows the points of a collection; `open_like`: those nearest to one of them."""
        self._app = app
        self._connection = connection
        self.read_only = read_only
        self.open_points = open_points
        self.open_like = open_like

    def ask(
        self,
        call: Callable[[ClusterSource], Awaitable[T]],
        then: Callable[[T], None],
        title: str,
        *,
        failed: Callable[[str], None] | None = None,
    ) -> None:
        """Makes the call in the background; `then` gets its result; what it raised is said, or given to `failed`."""

        async def work() -> None:
            try:
                result = await self._connection.perform(call)
            except Exception as error:  # the console outlives whatever a call raises; the text is shown
                if failed is None:
                    self.failed(title, error)
                else:
                    failed(describe(error))
                return
            then(result)

        self._app.run_worker(work(), group="actions", exit_on_error=False)

    async def perform(self, call: Callable[[ClusterSource], Awaitable[T]]) -> T:
        """As `Connection.perform`: for what lasts as long as a screen is on show."""
        return await self._connection.perform(call)

    def say(self, text: str) -> None:
        self._app.notify(text, timeout=TOAST_S, markup=False)

    def failed(self, title: str, error: BaseException) -> None:
        self._app.notify(describe(error), title=title, severity="error", timeout=2 * TOAST_S, markup=False)

    def change(self, call: Callable[[ClusterSource], Awaitable[T]], said: Callable[[T], str], title: str) -> None:
        """As `ask`; says what came of it, and has new figures come."""

        def then(result: T) -> None:
            self.say(said(result))
            self._connection.wake()

        self.ask(call, then, title)

    def confirm(self, title: str, lines: list[Line], do: Callable[[], None], *, yes: str, typed: str = "") -> None:
        """Calls `do` if the answer is yes."""
        self._app.push_screen(
            ConfirmDialog(title, lines, yes=yes, typed=typed), lambda answer: do() if answer else None
        )

    def fill(self, title: str, fields: list[Field], do: Callable[[dict[str, Any]], None], *, send: str) -> None:
        """Calls `do` with the values of a form that was sent."""
        self._app.push_screen(
            FormDialog(title, fields, send=send), lambda values: do(values) if values is not None else None
        )

    # --- nodes ---

    def drain(self, node: NodeStatus) -> None:
        if node.state == "draining":
            self.confirm(
                f"Keep {node.name}?",
                [line(f"{node.name} is draining. It stays a member and takes shards again.")],
                lambda: self._drain(node, cancel=True),
                yes="Keep",
            )
            return
        lines = [
            line(
                f"{node.name} gives {fmt.plural(node.shards, 'replica')} to others, then leaves the cluster for good."
            ),
            line("Reads, writes and searches go on meanwhile. It can be called off while it lasts."),
        ]
        self.confirm(f"Drain {node.name}?", lines, lambda: self._drain(node, cancel=False), yes="Drain")

    def _drain(self, node: NodeStatus, *, cancel: bool) -> None:
        def said(report: MovesReport) -> str:
            return (
                f"{node.name} stays"
                if cancel
                else f"{node.name} is {report.state}: {fmt.plural(report.shards, 'shard')} to go"
            )

        self.change(lambda source: source.drain(node.id, wait=False, cancel=cancel), said, f"drain {node.name}")

    def remove(self, node: NodeStatus) -> None:
        lines = [
            line(f"{node.name} is given up for dead. Its replicas are rebuilt from those that are left;"),
            line('what it alone had acknowledged (writes at "one") is lost with it.'),
            line(("It can never come back", Tone.BAD), ": a machine that does joins as a new node."),
        ]
        self.confirm(f"Remove {node.name}?", lines, lambda: self._remove(node), yes="Remove", typed=node.name)

    def _remove(self, node: NodeStatus) -> None:
        self.change(
            lambda source: source.remove(node.id, wait=False),
            lambda report: (
                f"{node.name} is {report.state}: {fmt.plural(report.wanted + len(report.moves), 'shard')} to rebuild"
            ),
            f"remove {node.name}",
        )

    def repair(self, node: NodeStatus) -> None:
        def said(report: RepairReport) -> str:
            left = fmt.plural(report.left, "row still differs", "rows still differ")
            compared, copied = fmt.plural(report.compared, "replica"), fmt.plural(report.copied, "row")
            return f"{node.name}: {compared} compared, {copied} copied{f', {left}' if report.left else ''}"

        self.say(f"{node.name}: repair has begun")
        self.change(lambda source: source.repair(node.id), said, f"repair {node.name}")

    # --- collections ---

    def create_collection(self) -> None:
        fields = [
            Field("name", "Name", model.check_name, hint="letters, digits, _ . -"),
            Field("dimension", "Dimension", _number(1, model.MAX_DIMENSION, "dimension"), hint="as your embeddings"),
            Field("metric", "Metric", _metric, "cosine", " | ".join(model.METRICS)),
            Field("shards", "Shards", _shards, "", "power of two; empty: by the number of nodes"),
            Field("replicas", "Replicas", _number(1, model.MAX_REPLICAS, "replicas"), "3"),
        ]

        def create(values: dict[str, Any]) -> None:
            name = values.pop("name")
            self.change(
                lambda source: source.create_collection(name, **values),
                lambda _: f"collection {name} is there",
                f"create {name}",
            )

        self.fill("New collection", fields, create, send="Create")

    def delete_collection(self, info: CollectionInfo) -> None:
        points = f"its {fmt.plural(info.count, 'point')}" if info.count >= 0 else "all its points"
        lines = [line(f"{info.name} is deleted with {points}."), line(("Nothing brings them back.", Tone.BAD))]

        def delete() -> None:
            self.change(
                lambda source: source.delete_collection(info.name),
                lambda _: f"collection {info.name} is deleted",
                f"delete {info.name}",
            )

        self.confirm(f"Delete {info.name}?", lines, delete, yes="Delete", typed=info.name)

    def set_replicas(self, info: CollectionInfo) -> None:
        field = Field("replicas", "Replicas", _number(1, model.MAX_REPLICAS, "replicas"), str(info.replicas))

        def change(values: dict[str, Any]) -> None:
            self.change(
                lambda source: source.set_replicas(info.name, values["replicas"]),
                lambda new: (
                    f"{info.name}: {fmt.plural(new.replicas, 'replica')} wanted; the cluster copies or drops by itself"
                ),
                f"replicas of {info.name}",
            )

        self.fill(f"Replicas of {info.name}", [field], change, send="Change")

    # --- points ---

    def delete_point(self, collection: str, point: PointId, then: Callable[[], None]) -> None:
        """`then`: called once it is deleted."""

        def delete() -> None:
            def deleted(_: object) -> None:
                self.say(f"{point!r} is deleted from {collection}")
                then()

            self.ask(
                lambda source: source.collection(collection).delete(ids=[point]), deleted, f"delete from {collection}"
            )

        lines = [line("The point ", (repr(point), Tone.STRONG), " is deleted, with its payload.")]
        self.confirm(f"Delete from {collection}?", lines, delete, yes="Delete")


def _number(low: int, high: int, name: str) -> Callable[[str], int]:
    def check(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise InvalidArgument(f"a number from {low} to {high}", field=name) from None
        return model.check_int(number, low, high, field=name)

    return check


def _metric(text: str) -> str:
    if text not in model.METRICS:
        raise InvalidArgument(f"one of {', '.join(model.METRICS)}", field="metric")
    return text


def _shards(text: str) -> int | None:
    if not text:
        return None
    number = _number(1, model.MAX_SHARDS, "shards")(text)
    if number & (number - 1):
        raise InvalidArgument(f"a power of two up to {model.MAX_SHARDS}", field="shards")
    return number
