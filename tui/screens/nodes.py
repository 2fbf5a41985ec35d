"""All nodes, and one in detail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from tui.bindings import NODE, NODE_ACTIONS
from tui.render import format as fmt
from tui.render import nodes, traffic
from tui.render.panels import columns_of_facts, draw
from tui.render.table import Widths
from tui.render.text import Tone, line
from tui.screens.base import Shared, Shown, TableScreen, inner_width
from tui.screens.logs import LogsScreen
from tui.widgets.panels import Panel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.binding import BindingType
    from textual.widget import Widget

    from tui.store import Feed
    from vectron_p2p.model.nodes import NodeStatus


class _NodeActions(TableScreen):
    """Keys that act on the node that `member` names."""

    BINDINGS: ClassVar[list[BindingType]] = [*NODE_ACTIONS]

    def member(self) -> NodeStatus | None:
        raise NotImplementedError

    def action_drain(self) -> None:
        if (node := self.member()) is not None:
            self.shared.actions.drain(node)

    def action_remove(self) -> None:
        if (node := self.member()) is not None:
            self.shared.actions.remove(node)

    def action_repair(self) -> None:
        if (node := self.member()) is not None:
            self.shared.actions.repair(node)


class NodesScreen(_NodeActions):
    MODE = "nodes"
    ABOUT = "Every member with its live figures; * answers this console. Enter shows one in detail."
    LABEL = "Nodes"
    SORT = nodes.DEFAULT_SORT

    def feeds(self) -> list[Feed[Any]]:
        return [self.shared.store.status]

    def shown(self) -> Shown:
        status = self.shared.store.status.value
        assert status is not None
        store = self.shared.store
        title = nodes.title(status, store.moves.value or [], store.progress)
        return Shown(title, nodes.table(status), [line("The cluster names no members.")])

    def open_row(self, key: str) -> None:
        self.app.push_screen(NodeScreen(self.shared, key))

    def member(self) -> NodeStatus | None:
        return nodes.find(self.shared.store.status.value, self.chosen() or "")


class NodeScreen(_NodeActions):
    """One node: its facts, its last minutes, its replicas, its connections."""

    MODE = "nodes"
    ABOUT = (
        "One node: who it is, its last minutes, and the replicas that the placement gives it, or with v the "
        "connections that it serves; l shows its log."
    )
    LABEL = "Replicas"
    SORT = nodes.REPLICA_SORT
    OPENS = False
    BINDINGS: ClassVar[list[BindingType]] = [*NODE]

    def __init__(self, shared: Shared, node: str) -> None:
        super().__init__(shared)
        self.node = node
        self._called = node[:8]
        self._connections = False

    def crumbs(self) -> tuple[str, ...]:
        return (self._called,)

    def member(self) -> NodeStatus | None:
        return nodes.find(self.shared.store.status.value, self.node)

    def feeds(self) -> list[Feed[Any]]:
        return [self.shared.store.cluster, self.shared.store.status]

    def above(self) -> Iterable[Widget]:
        yield Panel(classes="facts")
        yield Panel("Last minutes", classes="charts")

    def draw(self, now: float) -> None:
        store, theme = self.shared.store, self.app.theme
        status, node = store.status.value, nodes.find(store.status.value, self.node)
        facts, charts = self.query_one(".facts", Panel), self.query_one(".charts", Panel)
        charts.display = node is not None
        if status is None:
            facts.show(self.waiting(store.phase(store.status, now), now), theme)
        elif node is None:
            facts.show([line((f"{self._called} is no longer a member of the cluster.", Tone.WARN))], theme)
        else:
            self._called = node.name
            facts.show(columns_of_facts(nodes.facts(node, status), inner_width(self)), theme)
            charts.show(draw(nodes.charts(store, node), *charts.room), theme)
        facts.border_subtitle = self.node
        facts.border_title = self._called.replace("[", r"\[")
        super().draw(now)

    def action_view(self) -> None:
        self._connections = not self._connections
        self.sort = traffic.CALLER_SORT if self._connections else nodes.REPLICA_SORT
        self._widths = Widths()
        self.paint()

    def action_log(self) -> None:
        if (node := self.member()) is not None:
            self.app.push_screen(LogsScreen(self.shared, mode=self.mode, node=node.name))

    def shown(self) -> Shown:
        info = self.shared.store.cluster.value
        assert info is not None
        if self._connections:
            said = (self.shared.store.statistics.value or {}).get(self.node)
            callers = traffic.callers([said] if said is not None else [])
            count = f"{len(callers.rows):,} of {said.connections:,}" if said is not None else fmt.UNKNOWN
            return Shown(f"Connections · {count}", callers, [line("Nobody is connected, or the node does not say.")])
        table = nodes.replicas(info, self.node)
        return Shown(f"Replicas · {len(table.rows)}", table, [line("No replica is placed on this node.")])
