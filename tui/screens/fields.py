"""The payload fields of one collection, and how screens ask for them.

No subscription carries them, as nodes count them only when asked: so they are asked for while somebody looks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tui.render import collections, fields
from tui.screens.base import ConsoleScreen, Shared, Shown, TableScreen

if TYPE_CHECKING:
    from tui.source import ClusterSource
    from tui.store import Feed
    from vectron_p2p.model.payload_fields import PayloadFields

LOOK_S = 0.5  # so that a screen that comes to the top soon has them
READ_S = 5.0  # between questions: what is written changes counts, hardly ever fields


class FieldsReader:
    """Reads the fields of the collection that `key` names while `screen` is the one on show."""

    def __init__(self, screen: ConsoleScreen, shared: Shared, key: str) -> None:
        self._screen = screen
        self._shared = shared
        self._key = key
        self._reading = False
        self._asked = 0.0

    @property
    def feed(self) -> Feed[PayloadFields]:
        return self._shared.store.fields_of(self._key)

    def start(self) -> None:
        self._screen.set_interval(LOOK_S, self.look)
        self._screen.call_later(self.look)

    def look(self) -> None:
        """Asks if it is time."""
        store, now = self._shared.store, self._shared.clock()
        info = collections.find(store.collections.value, self._key)
        fresh = self._asked and now - self._asked < READ_S
        if self._reading or fresh or info is None or not self._screen.is_current:
            return
        self._reading, self._asked, name, feed = True, now, info.name, self.feed

        async def read(source: ClusterSource) -> PayloadFields:
            return await source.collection(name).fields()

        def done(found: PayloadFields) -> None:
            self._reading = False
            store.put_fields(feed, found, self._shared.clock())
            self._screen.paint()

        def failed(error: str) -> None:
            self._reading = False
            store.detail_failed(feed, error)
            self._screen.paint()

        self._shared.actions.ask(read, done, "read the payload fields", failed=failed)


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
