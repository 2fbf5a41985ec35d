"""What conditional operations do to a point: functions of the base that a round shows (`replication.rounds.Decide`).

Pure. A condition compares content versions, so it does not notice that a row was only accepted again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from vectron_p2p.model.errors import AlreadyExists, InvalidArgument, NotFound, VectronError, VersionConflict
from vectron_p2p.model.points import Payload, pack_payload, unpack_payload
from vectron_p2p.query.filters import Filter, matches
from vectron_p2p.replication.rounds import Change, Decide, State
from vectron_p2p.replication.version import format_version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vectron_p2p.model.ids import PointId

MODES = ("upsert", "insert", "update")

Edit = Callable[[Payload], Payload]


def put(
    point: PointId, vector: bytes | None, payload: bytes | None, *, mode: str = "upsert", version: bytes | None = None
) -> Decide:
    """Gives the point this content if `mode` and the `version` expected allow it."""

    def decide(base: State) -> Change | VectronError:
        if mode == "insert" and base.live:
            return AlreadyExists(f"there is a point {point!r} already", field="ids")
        if mode == "update" and not base.live:
            return NotFound(f"there is no point {point!r}", field="ids")
        if version is not None and not (base.live and version in (base.content, base.version)):
            current = format_version(base.content) if base.live else None
            return VersionConflict(
                f"point {point!r} {'is at another version' if base.live else 'is not there'}: read it and decide again",
                current=current,
                field="if_version",
            )
        return Change(vector, payload)

    return decide


def delete(filter: Filter | None = None) -> Decide:
    """Deletes the point if it is there, and matches."""

    def decide(base: State) -> Change | None:
        return Change(None, None) if _meant(base, filter) else None

    return decide


def edit_payload(point: PointId, edit: Edit, filter: Filter | None = None) -> Decide:
    """Gives the point the payload that `edit` makes of its own, if it is there, and matches."""

    def decide(base: State) -> Change | VectronError | None:
        if not _meant(base, filter) or base.payload is None:
            return None
        try:
            return Change(base.vector, pack_payload(edit(unpack_payload(base.payload))))
        except InvalidArgument as error:
            return InvalidArgument(f"point {point!r}: {error.message}", field=error.field)

    return decide


def payload_edit(update: Payload, remove: Sequence[str]) -> Edit:
    """Sets the top-level keys of `update`, takes those of `remove` away."""
    gone = frozenset(remove)

    def edit(payload: Payload) -> Payload:
        return {key: value for key, value in {**payload, **update}.items() if key not in gone}

    return edit


def _meant(base: State, filter: Filter | None) -> bool:
    if not base.live or base.payload is None:
        return False
    return filter is None or matches(filter, unpack_payload(base.payload))
