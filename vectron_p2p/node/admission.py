"""Admitting the points of a request: every value checked, rows taken apart, their content digested.

Works on bytes only, so that large batches can be admitted on a thread: a thousand points take some 10 ms, twice what
anything may hold up the event loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vectron_p2p.model.errors import InvalidArgument, Unavailable
from vectron_p2p.model.ids import PointId, check_point_id
from vectron_p2p.model.points import check_payload_bytes, unpack_payload
from vectron_p2p.node.coordinator.changes import MODES, Edit, payload_edit
from vectron_p2p.query.scoring import FLOAT_BYTES, check_vectors, vectors_from_bytes
from vectron_p2p.replication.version import VERSION_SIZE, content_digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vectron_p2p.model.collections import CollectionOptions
    from vectron_p2p.protocol import messages as m

MAX_BATCH = 10_000  # points or ids of one request: more does not fit a frame of sensible rows anyway, clients split
INLINE_POINTS = 32  # admitted in place: about 0.3 ms, the cost of a hop to a thread and back


def require_in_time(now: float, expires: float) -> None:
    """Of a change that is about to be begun; `expires` 0: never.

    Raises:
        Unavailable: It lay somewhere until who sent it may have gone elsewhere, and on.
    """
    if 0 < expires < now:
        raise Unavailable(f"this request came {now - expires:.1f} s too late to be begun; ask again")


@dataclass(frozen=True, slots=True)
class Rows:
    """Columns of a batch without versions; vector and payload None in a delete. `digests` are of the content."""

    ids: list[PointId]
    vectors: list[bytes | None]
    payloads: list[bytes | None]
    digests: list[bytes]

    def take(self, indices: Sequence[int]) -> Rows:
        """The rows at `indices`."""
        return Rows(
            [self.ids[i] for i in indices],
            [self.vectors[i] for i in indices],
            [self.payloads[i] for i in indices],
            [self.digests[i] for i in indices],
        )

    @property
    def size(self) -> int:
        """Bytes of vectors and payloads."""
        return sum(map(len, filter(None, self.vectors))) + sum(map(len, filter(None, self.payloads)))


def admit_ids(values: Sequence[int | str]) -> list[PointId]:
    """The ids of a request.

    Raises:
        InvalidArgument: None at all, too many, or one that is no id.
    """
    if not 0 < len(values) <= MAX_BATCH:
        raise InvalidArgument(f"a request has 1 to {MAX_BATCH} ids, this one {len(values)}", field="ids")
    return [check_point_id(value, field="ids") for value in values]


def admit_points(message: m.Upsert | m.UpsertIf, options: CollectionOptions) -> Rows:
    """The rows of an upsert into a collection with `options`; of several with one id the last.

    Raises:
        InvalidArgument: Anything in it is not as it has to be; the field is named.
    """
    ids = admit_ids(message.ids)
    dimension = options.dimension
    if message.dimension != dimension:
        raise InvalidArgument(
            f"collection {message.collection!r} has dimension {dimension}, these vectors {message.dimension}",
            field="vector",
        )
    matrix = check_vectors(vectors_from_bytes(message.vectors, dimension), dimension, options.metric)
    if len(matrix) != len(ids) or len(message.payloads) != len(ids):
        raise InvalidArgument(
            f"{len(ids)} ids, {len(matrix)} vectors, {len(message.payloads)} payloads: give one of each per point",
            field="ids",
        )
    for payload in message.payloads:
        check_payload_bytes(payload)
    size = FLOAT_BYTES * dimension
    vectors: list[bytes | None] = [message.vectors[i : i + size] for i in range(0, len(ids) * size, size)]
    return _rows(ids, vectors, list(message.payloads))


def admit_deletes(values: Sequence[int | str]) -> Rows:
    """Tombstones for the ids of a delete. Raises as `admit_ids`."""
    ids = admit_ids(values)
    return _rows(ids, [None] * len(ids), [None] * len(ids))


def admit_conditions(message: m.UpsertIf) -> tuple[str, dict[PointId, bytes]]:
    """Mode and expected versions of a conditional upsert.

    Raises:
        InvalidArgument: They are none, or contradict each other.
    """
    if message.mode not in MODES:
        raise InvalidArgument(f"mode is one of {', '.join(map(repr, MODES))}, not {message.mode!r}", field="mode")
    versions = message.if_versions
    if not versions:
        return message.mode, {}
    if len(versions) != len(message.ids) or any(
        version is not None and len(version) != VERSION_SIZE for version in versions
    ):
        raise InvalidArgument("if_version is a version that a read returned, one per point", field="if_version")
    if message.mode == "insert":
        raise InvalidArgument("what is inserted has no version before: leave if_version out", field="if_version")
    expected = zip(message.ids, versions, strict=True)
    return message.mode, {point: version for point, version in expected if version is not None}


def admit_payload_edit(message: m.ChangePayload) -> Edit:
    """What a payload change does.

    Raises:
        InvalidArgument: It changes nothing, or is no payload.
    """
    check_payload_bytes(message.update)
    update = unpack_payload(message.update)
    if not update and not message.remove:
        raise InvalidArgument("give keys to set or to take away", field="payload")
    return payload_edit(update, message.remove)


def _rows(ids: list[PointId], vectors: list[bytes | None], payloads: list[bytes | None]) -> Rows:
    digests = [content_digest(*columns) for columns in zip(ids, vectors, payloads, strict=True)]
    rows = Rows(ids, vectors, payloads, digests)
    last = {point_id: i for i, point_id in enumerate(ids)}
    return rows if len(last) == len(ids) else rows.take(sorted(last.values()))
