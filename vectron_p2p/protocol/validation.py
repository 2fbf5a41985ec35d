"""Checks of decoded fields, compiled once per message class from its annotations.

Owns the mapping from an annotation to a `Rule`. Knows the types that messages use, no more: int, float, str, bytes,
bool, None, unions of them, `list[T]`, `dict[str, Any]` and nested messages. Invariant: what passes has exactly the
annotated types, so no code above checks types again; ranges and lengths of columns stay the business of whoever uses
the message.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vectron_p2p.protocol.errors import RemoteProtocolError

# Free-form dicts: twice what a filter or payload may nest (16), so that their own checks name the field, and what a
# coordinator puts around a filter.
MAX_DEPTH = 36

_SCALARS: tuple[type, ...] = (int, float, str, bytes, bool, types.NoneType)

Convert = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Rule:
    """A value is fine as it is when `type(value) in exact`; otherwise `convert` returns it checked (or raises).

    Two steps because most fields are scalars: a set lookup costs a third of a call, and a `Search` has sixteen fields.
    """

    name: str
    exact: frozenset[type]
    converts: dict[type, Convert]

    def convert(self, value: Any) -> Any:
        return self.convert_of(type(value))(value)

    def convert_of(self, kind: type) -> Convert:
        """What checks a value of a type that is not in `exact`.

        Raises:
            RemoteProtocolError: The field cannot be of that type.
        """
        found = self.converts.get(kind)
        if found is None:
            raise RemoteProtocolError(f"{self.name} cannot be a {kind.__name__}")
        return found


def compile_rule(annotation: Any, name: str, nested: Callable[[type], Convert | None]) -> Rule:
    """The rule of one field.

    Args:
        annotation: Its resolved annotation.
        name: `Class.field`, for messages of errors.
        nested: Gives the decoder of a message class, None for any other class.
    """
    options = typing.get_args(annotation) if _is_union(annotation) else (annotation,)
    exact = frozenset(option for option in map(_none_type, options) if option in _SCALARS)
    converts = {kind: convert for option in options for kind, convert in _containers(option, name, nested)}
    if float in exact and int not in exact:
        converts[int] = float  # a float that happens to be whole may come as an int from other encoders
    if not exact and not converts:
        raise TypeError(f"{name}: no message field can be a {annotation!r}")
    return Rule(name, exact, converts)


def _is_union(annotation: Any) -> bool:
    return typing.get_origin(annotation) in (typing.Union, types.UnionType)


def _none_type(option: Any) -> Any:
    return types.NoneType if option is None else option


def _containers(option: Any, name: str, nested: Callable[[type], Convert | None]) -> list[tuple[type, Convert]]:
    origin = typing.get_origin(option)
    if origin is dict:
        if typing.get_args(option) != (str, Any):
            raise TypeError(f"{name}: a dict in a message is dict[str, Any]")
        return [(dict, lambda value: check_tree(value, name))]
    if origin is list:
        return [(list, _list_of(compile_rule(typing.get_args(option)[0], name, nested)))]
    if isinstance(option, type) and (decoder := nested(option)) is not None:
        return [(list, decoder)]  # nested messages travel as arrays of their fields, without a tag
    return []


def _list_of(item: Rule) -> Convert:
    covers, exact, convert = item.exact.issuperset, item.exact, item.convert

    if not exact and (decode := item.converts.get(list)) is not None:  # nested lists or messages
        return lambda values: [decode(value) if type(value) is list else convert(value) for value in values]

    def check(values: Any) -> Any:
        if covers(map(type, values)):  # one pass in C: columns of thousands of ids are the normal case
            return values
        return [value if type(value) in exact else convert(value) for value in values]

    return check


def check_tree(value: dict[str, Any], name: str) -> dict[str, Any]:
    """A free-form dict: JSON-like values (and bytes) under str keys, at most `MAX_DEPTH` deep.

    Raises:
        RemoteProtocolError: It is not.
    """
    pending: list[tuple[Any, int]] = [(value, 1)]  # no recursion: depth is the sender's choice
    while pending:
        container, depth = pending.pop()
        if depth > MAX_DEPTH:
            raise RemoteProtocolError(f"{name} nests deeper than {MAX_DEPTH}")
        if type(container) is dict:
            for key in container:
                if type(key) is not str:
                    raise RemoteProtocolError(f"{name} has a key that is no str but {type(key).__name__}")
            items: Any = container.values()
        else:
            items = container
        pending += [(item, depth + 1) for item in items if type(item) is dict or type(item) is list]
    return value
