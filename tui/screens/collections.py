"""All collections; the options, payload fields and shards of one; the replicas of one shard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from tui.bindings import COLLECTION_ACTIONS
from tui.render import collections, fields
from tui.render import format as fmt
from tui.render.panels import columns_of_facts
from tui.render.table import Table
from tui.render.text import Tone, line
from tui.screens.base import Shared, Shown, TableScreen, inner_width
from tui.screens.fields import FieldsReader, FieldsScreen
from tui.screens.reader import Reader
from tui.store import Phase
from tui.widgets.panels import Panel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.binding import BindingType
    from textual.widget import Widget

    from tui.store import Feed
    from vectron_p2p.model.collections import CollectionInfo
    from vectron_p2p.model.nodes import ShardInfo


READ_S = 1.0  # as other figures come
LEAST_FIELDS = 4  # lines of payload fields above the shards, on the lowest screens
OTHER_LINES = 15  # of this screen: bars, facts, borders and the table's head
SHARD_LINES = 8  # left to the shards, if there are as many


class _CollectionActions(TableScreen):
    """Keys that act on the collection that `info` names."""

    BINDINGS: ClassVar[list[BindingType]] = [*COLLECTION_ACTIONS]

    def info(self) -> CollectionInfo | None:
        raise NotImplementedError

    def action_create(self) -> None:
        self.shared.actions.create_collection()

    def action_delete(self) -> None:
        if (info := self.info()) is not None:
            self.shared.actions.delete_collection(info)

    def action_replicas(self) -> None:
        if (info := self.info()) is not None:
            self.shared.actions.set_replicas(info)

    def action_fields(self) -> None:
        if (info := self.info()) is not None:
            self.app.push_screen(FieldsScreen(self.shared, info.id or info.name))

    def action_points(self) -> None:
        if (info := self.info()) is not None:
            self.shared.actions.open_points(info.name)


class CollectionsScreen(_CollectionActions):
    MODE = "collections"
    ABOUT = "Every collection with its totals, one replica of each shard counted. Enter shows its shards."
    LABEL = "Collections"
    SORT = collections.DEFAULT_SORT

    def feeds(self) -> list[Feed[Any]]:
        return [self.shared.store.collections]

    def shown(self) -> Shown:
        infos = self.shared.store.collections.value
        assert infos is not None
        return Shown(collections.title(infos), collections.table(infos), collections.empty())

    def open_row(self, key: str) -> None:
        self.app.push_screen(CollectionScreen(self.shared, key))

    def info(self) -> CollectionInfo | None:
        return collections.find(self.shared.store.collections.value, self.chosen() or "")


class CollectionScreen(_CollectionActions):
    """One collection: its options and totals, its payload fields, its shards."""

    MODE = "collections"
    ABOUT = (
        "One collection: options, totals, payload fields, and its shards with their owners. "
        "Enter shows the replicas of a shard."
    )
    LABEL = "Shards"
    SORT = collections.SHARD_SORT

    def __init__(self, shared: Shared, key: str) -> None:
        super().__init__(shared)
        self.key = key
        self._called = key
        self._reader = FieldsReader(self, shared, key)

    def on_mount(self) -> None:
        self._reader.start()

    def crumbs(self) -> tuple[str, ...]:
        return (self._called,)

    def info(self) -> CollectionInfo | None:
        return collections.find(self.shared.store.collections.value, self.key)

    def feeds(self) -> list[Feed[Any]]:
        return [self.shared.store.cluster, self.shared.store.collections]

    def above(self) -> Iterable[Widget]:
        yield Panel(classes="facts")
        yield Panel("Payload fields", classes="payload")

    def draw(self, now: float) -> None:
        store, theme = self.shared.store, self.app.theme
        info = collections.find(store.collections.value, self.key)
        facts = self.query_one(".facts", Panel)
        if store.collections.value is None:
            facts.show(self.waiting(store.phase(store.collections, now), now), theme)
        elif info is None:
            facts.show([line((f"{self._called} exists no longer.", Tone.WARN))], theme)
        else:
            self._called = info.name
            facts.border_subtitle = info.id
            facts.show(columns_of_facts(collections.facts(info), inner_width(self)), theme)
        facts.border_title = self._called.replace("[", r"\[")
        self._draw_fields(info, now)
        super().draw(now)

    def _draw_fields(self, info: CollectionInfo | None, now: float) -> None:
        """What is known of them; the panel goes with the collection."""
        panel, feed = self.query_one(".payload", Panel), self._reader.feed
        panel.display = info is not None
        if info is None:
            return
        found = feed.value
        if found is None:
            panel.border_title, panel.border_subtitle = "Payload fields", ""
            panel.show([line((feed.error or "counting …", Tone.WARN if feed.error else Tone.MUTED))], self.app.theme)
            return
        stale = self.shared.store.phase(feed, now) is Phase.STALE
        age = f"{fmt.age(feed.age(now))} old" if stale else ""
        panel.border_title = " · ".join(filter(None, (fields.title(found), fields.choice(info)))).replace("[", r"\[")
        panel.border_subtitle = " · ".join(filter(None, (fields.lacks(found), age)))
        rows = max(LEAST_FIELDS, self.size.height - OTHER_LINES - min(SHARD_LINES, info.shards))
        panel.show(fields.summary(found, info, inner_width(self), rows), self.app.theme)

    def shown(self) -> Shown:
        store = self.shared.store
        cluster, info = store.cluster.value, collections.find(store.collections.value, self.key)
        assert cluster is not None
        shards = collections.shards_of(cluster, info) if info is not None else []
        table = collections.shard_table(shards, info.replicas if info is not None else 0, store.names())
        return Shown(f"Shards · {len(shards)}", table, [line("No shards to show.")])

    def open_row(self, key: str) -> None:
        self.app.push_screen(ShardScreen(self.shared, self.key, int(key)))


class ShardScreen(TableScreen):
    """The replicas of one shard."""

    MODE = "collections"
    ABOUT = "One shard: its replicas, how far each one is, and whether their Merkle roots agree."
    LABEL = "Replicas"
    SORT = collections.REPLICA_SORT
    OPENS = False

    def __init__(self, shared: Shared, collection: str, shard: int, *, mode: str = "") -> None:
        super().__init__(shared, mode=mode)
        self.key = collection
        self.shard = shard
        self._called = collection
        self._reader = Reader(
            self,
            shared,
            lambda: shared.store.details,
            lambda: lambda source: source.cluster(),
            "read the replicas",
            every=READ_S,
        )

    def on_mount(self) -> None:
        self._reader.start()

    def crumbs(self) -> tuple[str, ...]:
        return (self._called, f"shard {self.shard}")

    def feeds(self) -> list[Feed[Any]]:
        return [self.shared.store.details, self.shared.store.collections]

    def _found(self) -> tuple[str, int, ShardInfo | None]:
        store = self.shared.store
        info = collections.find(store.collections.value, self.key)
        if info is None or store.details.value is None:
            return self.key, 0, None
        shards = collections.shards_of(store.details.value, info)
        return info.name, info.replicas, next((shard for shard in shards if shard.shard == self.shard), None)

    def shown(self) -> Shown:
        store = self.shared.store
        name, wanted, shard = self._found()
        self._called = name
        if shard is None:
            return Shown(f"shard {self.shard}", Table((), ()), [line((f"{name} exists no longer.", Tone.WARN))])
        status = store.status.value
        liveness = {node.id: node.liveness for node in status.nodes} if status is not None else {}
        table = collections.replica_table(shard, store.names(), liveness)
        word = collections.health(shard, wanted)[0]
        return Shown(f"{name} › shard {self.shard} · {word}", table, [line("No replica is placed.")])
