"""What no subscription carries is asked for by the screen that shows it, while it is the one on show."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Generic, TypeVar

from tui.store import LinkState

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tui.screens.base import ConsoleScreen, Shared
    from tui.source import ClusterSource
    from tui.store import Feed

T = TypeVar("T")

LOOK_S = 0.5  # so that a screen that comes to the top soon has what it shows
AGAIN_S = 1.0  # after a failure: as the message says that stands there meanwhile


class Reader(Generic[T]):
    """Asks when the screen is shown for the first time, again after failures, and `every` so many seconds."""

    def __init__(
        self,
        screen: ConsoleScreen,
        shared: Shared,
        feed: Callable[[], Feed[T]],
        call: Callable[[], Callable[[ClusterSource], Awaitable[T]] | None],
        title: str,
        *,
        every: float = math.inf,
    ) -> None:
        """`call` makes the question; None: it cannot be asked yet."""
        self._screen = screen
        self._shared = shared
        self._feed = feed
        self._call = call
        self._title = title
        self._every = every
        self._reading = False
        self._asked = -math.inf

    def start(self) -> None:
        """Once the screen is mounted."""
        self._screen.set_interval(LOOK_S, self.look)
        self._screen.call_later(self.look)

    def anew(self) -> None:
        """What there is may be old."""
        self._asked = -math.inf
        self.look()

    def look(self) -> None:
        """Asks if it is time, and if there is anybody to ask."""
        store, now, feed = self._shared.store, self._shared.clock(), self._feed()
        since = now - self._asked
        if self._reading or not self._screen.is_current or since < (AGAIN_S if feed.error else self._every):
            return
        if store.link.state(now) in (LinkState.CONNECTING, LinkState.LOST):
            return
        call = self._call()
        if call is None:
            return
        self._reading, self._asked = True, now

        def done(found: T) -> None:
            self._reading = False
            store.put(feed, found, self._shared.clock())
            self._screen.paint()

        def failed(error: str) -> None:
            self._reading = False
            store.detail_failed(feed, error)
            self._screen.paint()

        self._shared.actions.ask(call, done, self._title, failed=failed)
