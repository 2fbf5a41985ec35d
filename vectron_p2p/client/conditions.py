"""The conditions of a write, checked: `mode`, `if_version`, and the consistency that goes with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vectron_p2p.model.consistency import Consistency
from vectron_p2p.model.errors import InvalidArgument
from vectron_p2p.replication.version import parse_version

if TYPE_CHECKING:
    from vectron_p2p.client.points import Columns
    from vectron_p2p.model.ids import PointId

MODES = ("upsert", "insert", "update")


def check_mode(mode: object) -> str:
    """`mode` as one of `MODES`; InvalidArgument otherwise."""
    if isinstance(mode, str) and mode in MODES:
        return mode
    raise InvalidArgument(f"mode is one of {', '.join(map(repr, MODES))}, not {mode!r}", field="mode")


def check_level(level: Consistency) -> None:
    """A condition is decided by a majority: InvalidArgument for "one" and "all"."""
    if level not in (Consistency.QUORUM, Consistency.LINEARIZABLE):
        raise InvalidArgument(
            f"a conditional write is decided by a majority: leave consistency={level.value!r} out", field="consistency"
        )


def ids_as_given(rows: object, ids: object, data: Columns) -> list[PointId]:
    """The ids in the caller's order, duplicates too, to which versions are given one by one."""
    given: list[Any] | None = None
    if isinstance(rows, Sequence):
        given = [row["id"] if isinstance(row, Mapping) else row[0] for row in rows]
    elif isinstance(ids, Sequence):
        given = list(ids)
    return data.ids if given is None or len(given) == len(data.ids) else given


def check_versions(if_version: object, ids: list[PointId], mode: str) -> dict[PointId, bytes]:
    """The version expected of each point: a str for one point, or a list with a str (or None: any) per point.

    Raises:
        InvalidArgument: Anything else, or together with mode "insert".
    """
    if if_version is None:
        return {}
    if mode == "insert":
        raise InvalidArgument("what is inserted has no version before: leave if_version out", field="if_version")
    if isinstance(if_version, str):
        if_version = [if_version]
    if isinstance(if_version, bytes | Mapping) or not isinstance(if_version, Iterable):
        raise InvalidArgument(
            f"if_version is a version, or a list of one per point, not {type(if_version).__name__}", field="if_version"
        )
    versions = list(if_version)
    if len(versions) != len(ids):
        raise InvalidArgument(f"{len(versions)} versions for {len(ids)} points: give one each", field="if_version")
    return {point: _version(text) for point, text in zip(ids, versions, strict=True) if text is not None}


def _version(text: object) -> bytes:
    try:
        return parse_version(text) if isinstance(text, str) else parse_version("")
    except ValueError:
        raise InvalidArgument(f"if_version is the version of a point read, not {text!r}", field="if_version") from None
