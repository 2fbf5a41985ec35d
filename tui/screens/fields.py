"""The payload fields of one collection, and how screens ask for them.

No subscription carries them, as nodes count them only when asked: so they are asked for while somebody looks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tui.render import collections, fields
from tui.screens.base import ConsoleScreen, Shared, Shown, TableScreen
from tui.screens.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tui.source import ClusterSource
    from tui.store import Feed
    from vectron_p2p.model.payload_fields import PayloadFields

READ_S = 5.0  # between questions: what is written changes counts, hardly ever fields


class FieldsReader(Reader["PayloadFields"]):
    """Of the collection that `key` names, while `screen` is the one on show."""

    def __init__(self, screen: ConsoleScreen, shared: Shared, key: str) -> None:
        self._key = key
        super().__init__(screen, shared, lambda: self.feed, self._question, "read the payload fields", every=READ_S)

    @property
    def feed(self) -> Feed[PayloadFields]:
        return self._shared.store.fields_of(self._key)

    def _question(self) -> Callable[[ClusterSource], Awaitable[PayloadFields]] | None:
        info = collections.find(self._shared.store.collections.value, self._key)
        return None if info is None else lambda source: source.collection(info.name).fields()


class FieldsScreen(TableScreen):
    """All of them in a table."""

    MODE = "collections"
    ABOUT = "The payload fields of a collection, as its payload index knows them, of one replica of each shard."
    LABEL = "Payload fields"
    SORT = fields.DEFAULT_SORT
    OPENS = False

    def __init__(self, shared: Shared, key: str) -> None:
        super().__init__(shared)
        self.key = key
        self._called = key
        self._reader = FieldsReader(self, shared, key)

    def on_mount(self) -> None:
        self._reader.start()

    def crumbs(self) -> tuple[str, ...]:
        return (self._called, "fields")

    def feeds(self) -> list[Feed[Any]]:
        return [self._reader.feed, self.shared.store.collections]

    def shown(self) -> Shown:
        found = self._reader.feed.value
        assert found is not None
        self._called = found.collection
        info = collections.find(self.shared.store.collections.value, self.key)
        about = [fields.title(found), fields.lacks(found), "" if info is None else fields.choice(info)]
        return Shown(" · ".join(filter(None, about)), fields.table(found), fields.empty(info))
