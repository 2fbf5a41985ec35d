"""What the fields of a command may hold: checked before an entry is proposed or voted for."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from vectron_p2p.catalog.moves import Step
from vectron_p2p.model.alerts import MAX_FOR_S, check_number, check_rule, check_severity, check_url
from vectron_p2p.model.collections import MAX_REPLICAS, CollectionOptions, check_int, check_name, check_options
from vectron_p2p.model.errors import InvalidArgument
from vectron_p2p.model.ids import parse_address

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_TEXT = 300  # ids and addresses: a host name has at most 255 characters


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT:
        raise InvalidArgument(f"{name} is a str of 1 to {MAX_TEXT} characters", field=name)
    return value


def _one_of(value: object, name: str, words: list[str]) -> str:
    if not isinstance(value, str) or value not in words:
        raise InvalidArgument(f"{name} is one of {', '.join(words)}", field=name)
    return value


def _flag(value: object, name: str) -> bool:
    if not isinstance(value, bool):
        raise InvalidArgument(f"{name} is true or false", field=name)
    return value


def _options(value: object, name: str) -> CollectionOptions:
    if not isinstance(value, dict) or not set(value) <= {each.name for each in fields(CollectionOptions)}:
        raise InvalidArgument("options are those of a collection", field=name)
    if "dimension" not in value:
        raise InvalidArgument("dimension is missing", field="dimension")
    return check_options(CollectionOptions(**value))


def _number(value: object, name: str) -> int:
    if type(value) is not int or value < 0:
        raise InvalidArgument(f"{name} is an int from 0 on", field=name)
    return value


FIELDS: dict[str, Callable[[object, str], Any]] = {
    "node": _text,
    "name": lambda value, name: check_name(value, field=name),
    "address": lambda value, name: parse_address(_text(value, name), field=name),
    "zone": lambda value, name: "" if value == "" else check_name(value, field=name),  # "": no zone was configured
    "operation_id": _text,
    "collection_id": _text,
    "options": _options,
    "if_not_exists": _flag,
    "replicas": lambda value, name: check_int(value, 1, MAX_REPLICAS, field=name),
    "shard": _number,
    "move": _number,
    "step": lambda value, name: Step(_one_of(value, name, [each.value for each in Step])).value,
    "leaving": lambda value, name: "" if value == "" else _text(value, name),
    "coming": lambda value, name: "" if value == "" else _text(value, name),
    "rule": lambda value, name: check_rule(value).name,
    "enabled": _flag,
    "threshold": lambda value, name: check_number(value, 0.0, 1e12, field=name),  # `apply` knows the rule's own bounds
    "for_s": lambda value, name: check_number(value, 0.0, MAX_FOR_S, field=name),
    "severity": lambda value, name: check_severity(value),
    "subject": _text,
    "target": _text,
    "action": lambda value, name: _one_of(value, name, ["acknowledge", "resolve"]),
    "onset_ms": _number,
    "until_ms": _number,
    "at_ms": _number,
    "url": lambda value, name: "" if value == "" else check_url(value),
}
