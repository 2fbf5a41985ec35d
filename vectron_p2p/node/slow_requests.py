"""The log of slow requests: what was asked, by whom, and where the time went.

Owners log their part under the same trace. Invariant: no value of a client is logged, only the shape of filters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vectron_p2p.model.ids import CollectionId, NodeId
from vectron_p2p.model.logs import SLOW
from vectron_p2p.observability import parts, tracing
from vectron_p2p.observability.logs import get_logger
from vectron_p2p.protocol import messages as m
from vectron_p2p.query.shape import filter_shape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import TracebackType

    from vectron_p2p.catalog.state import ClusterState
    from vectron_p2p.observability.parts import Part
    from vectron_p2p.runtime import Clock

log = get_logger(__name__)

OPERATIONS: dict[type, str] = {
    m.Search: "search",
    m.Get: "get",
    m.Upsert: "upsert",
    m.UpsertIf: "upsert",
    m.Delete: "delete",
    m.DeleteIf: "delete",
    m.ChangePayload: "change_payload",
    m.Count: "count",
    m.Scroll: "scroll",
}
OWNER_OPERATIONS: dict[type, str] = {
    m.SearchShards: "search_shards",
    m.FetchRows: "fetch_rows",
    m.ApplyRows: "apply_rows",
    m.CountShards: "count_shards",
    m.ScrollShard: "scroll_shard",
    m.Prepare: "prepare",
    m.MatchingIds: "matching_ids",
}
"""Parts of a client's call; requests that wait on purpose are not among them."""

ASKED = ("k", "offset", "ef", "exact", "consistency", "mode", "kind", "limit", "shard", "shards")
"""Fields of messages that say how much was asked for."""

PER_SECOND = 10  # records: when everything is slow, the first ones tell as much, and logging adds no load
SHOWN_PARTS = 16  # slowest first: the nodes of most clusters


class SlowRequests:
    """Of one node. `threshold`: seconds; what takes as long is slow."""

    def __init__(self, clock: Clock, threshold: float, *, state: Callable[[], ClusterState]) -> None:
        self._clock = clock
        self._threshold = threshold
        self._state = state
        self._second = 0.0
        self._logged = 0
        self._suppressed = 0

    def watch(self, message: Any, client: object, *, owner: bool = False) -> Watch:
        """A block in which `message` of `client` is answered; as an owner's part of another node's work, if so."""
        return Watch(self, message, client, owner=owner)

    def is_slow(self, began: float) -> bool:
        return self._clock.now() - began >= self._threshold

    def ended(self, watch: Watch, error: BaseException | None) -> None:
        now = self._clock.now()
        took = now - watch.began
        operation = (OWNER_OPERATIONS if watch.owner else OPERATIONS).get(type(watch.message))
        if took < self._threshold or operation is None or (watch.owner and not tracing.current()):
            return
        if now - self._second >= 1.0:
            self._second, self._logged = now, 0
        if self._logged >= PER_SECOND:
            self._suppressed += 1
            return
        self._logged += 1
        suppressed, self._suppressed = self._suppressed, 0
        log.warning(
            SLOW,
            operation=operation,
            took_ms=round(took * 1000, 1),
            **self._asked(watch.message),
            client=str(watch.client),
            **({"failure": getattr(error, "code", type(error).__name__)} if error is not None else {}),
            **({"parts": self._parts(watch.parts)} if watch.parts else {}),
            **({"suppressed": suppressed} if suppressed else {}),
        )

    def _asked(self, message: Any) -> dict[str, Any]:
        name = str(getattr(message, "collection", ""))
        known = self._state().collections.get(CollectionId(name))  # owners are asked by its id
        asked: dict[str, Any] = {"collection": name if known is None else known.name}
        asked.update((field, value) for field in ASKED if (value := getattr(message, field, None)) not in (None, "", 0))
        if ids := getattr(message, "ids", None):
            asked["points"] = len(ids)
        if (count := getattr(message, "count", 1)) != 1:
            asked["queries"] = count
        if shape := filter_shape(getattr(message, "filter", None)):
            asked["filter"] = shape
        return asked

    def _parts(self, found: Iterable[Part]) -> list[dict[str, Any]]:
        members = self._state().members
        slowest = sorted(found, key=lambda part: -part.seconds)[:SHOWN_PARTS]
        return [
            {
                "node": members[NodeId(part.node)].name if part.node in members else part.node,
                "request": OWNER_OPERATIONS.get(type(part.message), type(part.message).__name__),
                "shards": getattr(part.message, "shards", None) or [getattr(part.message, "shard", -1)],
                "ms": round(part.seconds * 1000, 1),
            }
            for part in slowest
        ]


class Watch:
    """One request that is being answered. A class and not a generator: it is made for each."""

    __slots__ = ("_log", "began", "client", "message", "owner", "parts")

    def __init__(self, log: SlowRequests, message: Any, client: object, *, owner: bool) -> None:
        self._log = log
        self.message = message
        self.client = client
        self.owner = owner
        self.began = 0.0
        self.parts: Sequence[Part] = ()

    def __enter__(self) -> None:
        self.began = self._log._clock.now()
        if not self.owner:
            self.parts = parts.gather()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._log.ended(self, error)
