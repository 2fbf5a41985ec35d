"""Stored payloads as terms: which values stand at which path, grouped by path for a whole batch of rows.

A path leads through dicts by key and through lists to their elements, as in `query.filters`. Each value stands there
either itself (`SCALAR`), as an element of a list (`ELEMENT`), or is neither (`CONTAINER`: a dict, or a list without a
scalar), which only says that something is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from vectron_p2p.model.points import unpack_payload

if TYPE_CHECKING:
    from collections.abc import Sequence

SCALAR, ELEMENT, CONTAINER = 0, 1, 2

# Of one row: a term costs up to 12 bytes here and may cost 1 in the payload. Rows with more are asked of the store.
MAX_TERMS = 1_024

Key: TypeAlias = tuple[str, int]
_SCALARS = frozenset({str, bool, type(None), int, float})
_EMPTY = b"\x80"


class Terms(NamedTuple):
    """Terms of some rows: by path and kind the rows' numbers and the values, in parallel. `opaque`: rows without terms,
    as they have too many or are no payload that can be read here.
    """

    groups: dict[Key, tuple[list[int], list[Any]]]
    opaque: list[int]


def extract(payloads: Sequence[bytes | None]) -> Terms:
    """The terms of packed payloads; rows are numbered by their place."""
    groups: dict[Key, tuple[list[int], list[Any]]] = {}
    opaque: list[int] = []
    for row, packed in enumerate(payloads):
        if packed == _EMPTY:
            continue
        try:
            found: list[tuple[Key, Any]] = []
            _walk(unpack_payload(packed or b""), "", found)
        except (ValueError, TypeError, AttributeError):  # no payload, or torn: what a filter says of it the store knows
            opaque.append(row)
            continue
        if len(found) > MAX_TERMS:
            opaque.append(row)
            continue
        for key, value in found:
            group = groups.get(key)
            if group is None:
                group = groups[key] = [], []
            group[0].append(row)
            group[1].append(value)
    return Terms(groups, opaque)


def _walk(holder: dict[str, Any], prefix: str, found: list[tuple[Key, Any]]) -> None:
    for name, value in holder.items():
        if "." in name:  # no filter can name it
            continue
        path = prefix + name
        kind = type(value)
        if kind in _SCALARS:
            found.append(((path, SCALAR), value))
        elif kind is list:
            _walk_list(value, path, found)
        else:
            found.append(((path, CONTAINER), None))
            if kind is dict:
                _walk(value, path + ".", found)
        if len(found) > MAX_TERMS:
            return


def _walk_list(values: list[Any], path: str, found: list[tuple[Key, Any]]) -> None:
    bare = True
    for item in values:
        kind = type(item)
        if kind in _SCALARS:
            found.append(((path, ELEMENT), item))
            bare = False
        elif kind is dict:
            _walk(item, path + ".", found)
    if bare:
        found.append(((path, CONTAINER), None))
