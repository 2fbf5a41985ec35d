"""The order of points by a payload field: numbers first, then texts, then the id; ids alone decide among equals.

A point stands at its least value (descending: its greatest) of those at the field, elements of a list among them; one
without a number or a text there has no place. Descending is the same order from its end, ids too. A place in it is a
`Position`, which is also what a cursor holds, so a scroll goes on at the same place whatever was written since.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import msgpack

from vectron_p2p.model.errors import InvalidArgument
from vectron_p2p.model.ids import decode_point_id
from vectron_p2p.query.filters import check_path, groups_at

if TYPE_CHECKING:
    from collections.abc import Callable

Value: TypeAlias = int | float | str
NUMBER, TEXT = 0, 1
BEFORE_IDS, BEHIND_IDS = b"", b"\xff"  # keys that sort below and above those of all ids


class Position(NamedTuple):
    """Compares as points stand in ascending order."""

    kind: int
    value: Value
    key: bytes


def position(value: Value, key: bytes) -> Position:
    """Of a value and an id's byte form."""
    return Position(TEXT if isinstance(value, str) else NUMBER, value, key)


@dataclass(frozen=True, slots=True)
class Order:
    path: str
    descending: bool = False

    def precedes(self, one: Position, other: Position) -> bool:
        return one > other if self.descending else one < other

    def beginning(self, value: Value) -> Position:
        """The place just before all points at `value`."""
        return position(value, BEHIND_IDS if self.descending else BEFORE_IDS)

    def reader(self) -> Callable[[dict[str, Any], bytes], Position | None]:
        """A function that gives the position of a payload and an id's byte form; None: it has no place."""
        values, choose = groups_at(self.path), max if self.descending else min

        def read(payload: dict[str, Any], key: bytes) -> Position | None:
            places = [position(value, key) for value in values(payload) if not isinstance(value, bool)]
            return choose(places) if places else None

        return read


def parse_order(source: object) -> tuple[Order, Value | None]:
    """The order that `source` asks for, the name of a field or a dict, and the value to start from.

    Raises:
        InvalidArgument: `source` is wrong.
    """
    if not isinstance(source, dict):
        return Order(check_path(source, field="order_by")), None
    unknown = sorted(set(map(str, source)) - {"key", "direction", "start_from"})
    if unknown:
        raise InvalidArgument(f"order_by has key, direction and start_from, not {unknown[0]!r:.60}", field="order_by")
    direction = source.get("direction", "asc")
    if direction not in ("asc", "desc"):
        raise InvalidArgument(f'direction of order_by is "asc" or "desc", not {direction!r:.60}', field="order_by")
    start = source.get("start_from")
    if start is not None and (isinstance(start, bool) or not isinstance(start, int | float | str) or start != start):
        raise InvalidArgument(
            f"start_from of order_by is a number or a str, not {type(start).__name__}", field="order_by"
        )
    return Order(check_path(source.get("key"), field="order_by"), direction == "desc"), start


def to_cursor(order: Order, place: Position) -> str:
    packed = msgpack.packb([order.path, order.descending, place.value, place.key])
    return base64.urlsafe_b64encode(packed).decode()


def from_cursor(order: Order, cursor: str) -> Position:
    """Inverse of `to_cursor`.

    Raises:
        InvalidArgument: It is none, or one of another order.
    """
    try:
        path, descending, value, key = msgpack.unpackb(base64.urlsafe_b64decode(cursor.encode()))
        if isinstance(value, bool) or not isinstance(value, int | float | str) or value != value:
            raise ValueError(value)
        decode_point_id(key)
    except (ValueError, TypeError, binascii.Error, msgpack.UnpackException, msgpack.ExtraData):
        raise InvalidArgument("cursor is none that a scroll with order_by returned", field="cursor") from None
    if (path, descending) != (order.path, order.descending):
        raise InvalidArgument("cursor is one of a scroll in another order", field="cursor")
    return position(value, key)
