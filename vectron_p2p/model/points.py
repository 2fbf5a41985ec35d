"""Points, hits and the results of calls, and the limits of payloads.

A payload travels and is stored as msgpack bytes exactly as the client packed it; `pack_payload` is the one place that
makes them, `check_payload_bytes` the one that admits them at a node's edge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import msgpack

from vectron_p2p.model.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    import numpy.typing as npt

    from vectron_p2p.model.ids import PointId

    Vector: TypeAlias = npt.NDArray[np.float32]

Payload: TypeAlias = dict[str, Any]

MAX_PAYLOAD_BYTES = 64 * 1024  # a payload is metadata; documents belong elsewhere
MAX_PAYLOAD_DEPTH = 16
MAX_WINDOW = 10_000  # offset + k: a page deeper than this is a scroll
MIN_INT, MAX_INT = -(2**63), 2**64 - 1  # what msgpack carries


@dataclass(frozen=True, slots=True)
class Point:
    id: PointId
    vector: Vector | None
    payload: Payload | None
    version: str


@dataclass(slots=True, unsafe_hash=True)  # frozen ones take three times as long to make, and a search makes many
class Hit:
    id: PointId
    score: float
    payload: Payload | None
    vector: Vector | None
    version: str


@dataclass(frozen=True, slots=True)
class Group:
    """The best hits among the points that have `value` at the field of `group_by`, or in its list."""

    value: str | int | float | bool
    hits: list[Hit]


class SearchResult:
    """Hits, best first. `partial`: `missing_shards` did not answer.

    `groups`, of a search with `group_by`: best group first; `hits` are then theirs, group after group.

    The hits are built when they are first looked at: those of a batch are tens of thousands of objects.
    """

    __slots__ = ("_hits", "groups", "missing_shards", "partial", "plan", "took_ms")
    FIELDS = ("hits", "partial", "missing_shards", "took_ms", "plan", "groups")

    def __init__(
        self,
        hits: list[Hit] | Callable[[], list[Hit]],
        partial: bool = False,
        missing_shards: list[int] | None = None,
        took_ms: float = 0.0,
        plan: list[dict[str, Any]] | None = None,
        groups: list[Group] | None = None,
    ) -> None:
        """`hits`: the list, or what gives it; two threads that look first may both call it."""
        self._hits = hits
        self.partial = partial
        self.missing_shards = [] if missing_shards is None else missing_shards
        self.took_ms = took_ms
        self.plan = plan
        self.groups = groups

    @property
    def hits(self) -> list[Hit]:
        hits = self._hits
        if not isinstance(hits, list):
            hits = self._hits = hits()
        return hits

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SearchResult):
            return NotImplemented
        return self.as_dict() == other.as_dict()

    __hash__ = None  # type: ignore[assignment]  # it holds lists

    def __repr__(self) -> str:
        return f"SearchResult({', '.join(f'{name}={value!r}' for name, value in self.as_dict().items())})"

    def as_dict(self) -> dict[str, Any]:
        """The fields by name, in their order, the values as they are."""
        return {name: getattr(self, name) for name in self.FIELDS}

    def __reduce__(self) -> tuple[Any, ...]:
        """With its hits, and not with those of the whole batch."""
        return SearchResult, (self.hits, self.partial, self.missing_shards, self.took_ms, self.plan, self.groups)

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    def __len__(self) -> int:
        return len(self.hits)

    def __getitem__(self, index: int) -> Hit:
        return self.hits[index]


@dataclass(frozen=True, slots=True)
class WriteResult:
    count: int
    operation_id: str


@dataclass(frozen=True, slots=True)
class Page:
    points: list[Point]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class UploadReport:
    """Outcome of an upload; `errors` has a dict (`rows`, `code`, `message`) per rejected batch or row."""

    sent: int
    failed: int
    errors: list[dict[str, Any]]
    seconds: float


def _check_value(value: Any, depth: int, field: str) -> None:
    if depth > MAX_PAYLOAD_DEPTH:
        raise InvalidArgument(f"a payload nests at most {MAX_PAYLOAD_DEPTH} deep", field=field)
    kind = type(value)
    if kind is str or kind is bool or value is None or kind is float:
        return
    if kind is int:
        if not MIN_INT <= value <= MAX_INT:
            raise InvalidArgument("an int in a payload fits 64 bits", field=field)
    elif kind is dict:
        for key, item in value.items():
            if type(key) is not str:
                raise InvalidArgument(f"keys of a payload are str, not {type(key).__name__}", field=field)
            _check_value(item, depth + 1, field)
    elif kind is list or kind is tuple:
        for item in value:
            _check_value(item, depth + 1, field)
    else:
        raise InvalidArgument(f"a payload holds JSON-like values, not {kind.__name__}", field=field)


def pack_payload(payload: Payload | None, *, field: str = "payload") -> bytes:
    """`payload` as msgpack bytes; None counts as `{}`.

    Raises:
        InvalidArgument: Not a dict of JSON-like values, nested deeper than 16, or more than 64 KiB packed.
    """
    if payload is None:
        payload = {}
    if type(payload) is not dict:
        raise InvalidArgument(f"a payload is a dict, not {type(payload).__name__}", field=field)
    _check_value(payload, 1, field)
    try:
        packed: bytes = msgpack.packb(payload)
    except (ValueError, TypeError, OverflowError, UnicodeEncodeError) as error:
        raise InvalidArgument(f"payload cannot be packed: {error}", field=field) from error
    if len(packed) > MAX_PAYLOAD_BYTES:
        raise InvalidArgument(
            f"a payload has at most {MAX_PAYLOAD_BYTES} bytes packed, this one {len(packed)}", field=field
        )
    return packed


def unpack_payload(packed: bytes) -> Payload:
    """The dict of `pack_payload`; for bytes already admitted."""
    payload: Payload = msgpack.unpackb(packed)
    return payload


def check_payload_bytes(packed: bytes, *, field: str = "payload") -> None:
    """Admit packed bytes from a client.

    Raises:
        InvalidArgument: As `pack_payload`, or not msgpack at all.
    """
    if len(packed) > MAX_PAYLOAD_BYTES:
        raise InvalidArgument(
            f"a payload has at most {MAX_PAYLOAD_BYTES} bytes packed, this one {len(packed)}", field=field
        )
    if packed == b"\x80":  # the empty dict, the most frequent payload of bulk loads
        return
    try:
        payload = msgpack.unpackb(packed, max_ext_len=0)
    except Exception as error:  # msgpack raises its own, ValueError, RecursionError and UnicodeDecodeError
        raise InvalidArgument(f"payload is no valid msgpack: {error}", field=field) from error
    if type(payload) is not dict:
        raise InvalidArgument(f"a payload is a dict, not {type(payload).__name__}", field=field)
    _check_value(payload, 1, field)
