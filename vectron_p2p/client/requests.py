"""Arguments into requests: checked, with an `InvalidArgument` that names the argument at fault."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from vectron_p2p.model.collections import CollectionOptions, check_int, check_name, check_options
from vectron_p2p.model.consistency import parse_consistency
from vectron_p2p.model.errors import InvalidArgument
from vectron_p2p.model.ids import PointId, check_point_id
from vectron_p2p.model.points import MAX_INT, MAX_WINDOW, MIN_INT, pack_payload
from vectron_p2p.protocol import messages

MAX_FILTER_DEPTH = 32  # twice what a filter may nest: the node's own check names the operator
IDS_PER_DELETE = 2048  # 512 bytes each at most: half a frame of 2 MiB
IDS_PER_GET = (
    256  # largest points (16 KiB of vector, 64 KiB of payload) in one reply: 20 MiB of the 32 a message may have
)
MAX_PAGE = MAX_WINDOW


def create_collection(
    name: object,
    *,
    dimension: Any,
    metric: Any,
    shards: Any,
    replicas: Any,
    m: Any,
    ef_construction: Any,
    if_not_exists: object,
    operation_id: str,
    payload_index: Any = True,
) -> messages.CreateCollection:
    """The request of `create_collection`."""
    checked = check_options(CollectionOptions(dimension, metric, shards, replicas, m, ef_construction, payload_index))
    return messages.CreateCollection(
        name=check_name(name),
        dimension=checked.dimension,
        metric=checked.metric,
        shards=checked.shards,
        replicas=checked.replicas,
        m=checked.m,
        ef_construction=checked.ef_construction,
        if_not_exists=bool(if_not_exists),
        operation_id=operation_id,
        payload_index=checked.payload_index if isinstance(checked.payload_index, bool) else [*checked.payload_index],
    )


def check_ids(ids: object) -> list[PointId]:
    """`ids` as a list of point ids.

    Raises:
        InvalidArgument: It is a single id, not iterable, or one of them is no id.
    """
    if isinstance(ids, str | bytes | int | dict) or not isinstance(ids, Iterable):
        raise InvalidArgument(f"ids is a list of ids, not {type(ids).__name__}", field="ids")
    checked: list[PointId] = []
    for index, value in enumerate(ids):
        if type(value) is int and 0 <= value < 2**63:  # nearly all ids; the full check costs ten times as much
            checked.append(value)
            continue
        try:
            checked.append(check_point_id(value))
        except InvalidArgument as error:
            raise InvalidArgument(f"ids[{index}]: {error.message}", field=error.field) from None
    return checked


def check_filter(where: object) -> dict[str, Any] | None:
    """`where` as a filter that can be sent: a dict of JSON-like values; numpy scalars become plain ones. What it means
    is the node's to judge.

    Raises:
        InvalidArgument: It is something else.
    """
    if where is None:
        return None
    if not isinstance(where, dict):
        raise InvalidArgument(f"filter is a dict, not {type(where).__name__}", field="filter")
    plain: dict[str, Any] = _plain(where, 1)
    return plain


def _plain(value: Any, depth: int) -> Any:
    kind = type(value)
    if kind is bool or kind is float or value is None:
        return value
    if kind is str:
        return _text(value, field="filter")
    if depth > MAX_FILTER_DEPTH:
        raise InvalidArgument(f"a filter nests at most {MAX_FILTER_DEPTH} deep", field="filter")
    if kind is int:
        if not MIN_INT <= value <= MAX_INT:
            raise InvalidArgument("an int in a filter fits 64 bits", field="filter")
        return value
    if isinstance(value, dict):
        for key in value:
            if type(key) is not str:
                raise InvalidArgument(f"keys of a filter are str, not {type(key).__name__}", field="filter")
        return {_text(key, field="filter"): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, depth + 1) for item in value]
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        return _plain(value.item(), depth + 1)
    raise InvalidArgument(f"a filter holds JSON-like values, not {kind.__name__}", field="filter")


def _text(value: str, *, field: str) -> str:
    """`value`, which must be encodable: a lone surrogate (from a file name, say) is a str but no Unicode text."""
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidArgument(f"{field} holds a str that is no valid Unicode text", field=field) from None
    return value


def search(
    collection: str,
    *,
    vectors: bytes,
    count: int,
    dimension: int,
    point_id: object,
    k: object,
    filter: object,
    ef: object,
    exact: object,
    offset: object,
    score_threshold: object,
    with_payload: object,
    with_vector: object,
    consistency: object,
    timeout: float,
    explain: object,
    group_by: object = None,
    group_size: object = None,
) -> messages.Search:
    """The request of a search."""
    wanted = k if type(k) is int and 0 < k <= MAX_WINDOW else check_int(k, 1, MAX_WINDOW, field="k")
    skipped = 0 if offset == 0 and type(offset) is int else check_int(offset, 0, MAX_WINDOW, field="offset")
    if skipped + wanted > MAX_WINDOW:
        raise InvalidArgument(
            f"offset + k is at most {MAX_WINDOW}, not {skipped + wanted}; use scroll to read everything", field="offset"
        )
    return messages.Search(
        collection=collection,
        vectors=vectors,
        count=count,
        dimension=dimension,
        id=None if point_id is None else check_point_id(point_id),
        k=wanted,
        offset=skipped,
        filter=check_filter(filter),
        ef=None if ef is None else check_int(ef, 1, MAX_WINDOW, field="ef"),
        exact=bool(exact),
        score_threshold=None if score_threshold is None else _number(score_threshold, field="score_threshold"),
        with_payload=bool(with_payload),
        with_vector=bool(with_vector),
        consistency=parse_consistency(consistency).value,
        timeout=timeout,
        explain=bool(explain),
        **_groups(group_by, group_size),
    )


def _groups(group_by: object, group_size: object) -> dict[str, Any]:
    if group_by is None:
        if group_size is not None:
            raise InvalidArgument("group_size goes with group_by", field="group_size")
        return {}
    if not isinstance(group_by, str):
        raise InvalidArgument(
            f"group_by is the name of a payload field, not {type(group_by).__name__}", field="group_by"
        )
    size = 1 if group_size is None else check_int(group_size, 1, MAX_WINDOW, field="group_size")
    return {"group_by": _text(group_by, field="group_by"), "group_size": size}


def examples(ids: object, *, field: str) -> list[PointId]:
    """`ids` as examples of `recommend`.

    Raises:
        InvalidArgument: They are no list of ids.
    """
    try:
        return check_ids(ids)
    except InvalidArgument as error:
        raise InvalidArgument(error.message.replace("ids", field, 1), field=field) from None


def get(
    collection: str, ids: object, *, with_vector: object, with_payload: object, consistency: object
) -> list[messages.Get]:
    """The requests of `get`, for parts of `ids` in their order."""
    level = parse_consistency(consistency, linearizable=True).value
    checked = check_ids(ids)
    return [
        messages.Get(collection, checked[start : start + IDS_PER_GET], bool(with_vector), bool(with_payload), level)
        for start in range(0, len(checked), IDS_PER_GET)
    ]


def delete(collection: str, ids: object, *, consistency: object, operation_id: str) -> list[messages.Delete]:
    """The requests of `delete`, for parts of `ids`, each with an operation id of its own."""
    level = parse_consistency(consistency).value
    checked = check_ids(ids)
    starts = range(0, len(checked), IDS_PER_DELETE)
    return [
        messages.Delete(
            collection, checked[start : start + IDS_PER_DELETE], level, part_id(operation_id, part, len(starts))
        )
        for part, start in enumerate(starts)
    ]


def delete_if(collection: str, ids: object, *, operation_id: str) -> list[messages.DeleteIf]:
    """The requests of a linearizable `delete`, as those of `delete`."""
    parts = delete(collection, ids, consistency="quorum", operation_id=operation_id)
    return [messages.DeleteIf(collection, part.ids, None, part.operation_id) for part in parts]


def delete_matching(collection: str, where: object, *, operation_id: str) -> messages.DeleteIf:
    """The request of `delete` with a filter."""
    return messages.DeleteIf(collection, [], check_filter(where), operation_id)


def change_payload(
    collection: str, ids: object, where: object, *, update: object, remove: object, operation_id: str
) -> list[messages.ChangePayload]:
    """The requests of `set_payload` (`remove` None) and of `delete_payload` (`update` None)."""
    if (ids is None) == (where is None):
        raise InvalidArgument("give exactly one of ids and filter", field="ids")
    if remove is None and not isinstance(update, dict):
        raise InvalidArgument(f"a payload is a dict, not {type(update).__name__}", field="payload")
    packed = pack_payload(update) if isinstance(update, dict) else pack_payload(None)
    keys = [] if remove is None else check_keys(remove)
    if not keys and not update:
        raise InvalidArgument("there is nothing to change", field="payload" if remove is None else "keys")
    if ids is None:
        return [messages.ChangePayload(collection, [], check_filter(where), packed, keys, operation_id)]
    checked = list(dict.fromkeys(check_ids(ids)))
    starts = range(0, len(checked), IDS_PER_DELETE)
    return [
        messages.ChangePayload(
            collection,
            checked[start : start + IDS_PER_DELETE],
            None,
            packed,
            keys,
            part_id(operation_id, part, len(starts)),
        )
        for part, start in enumerate(starts)
    ]


def check_keys(keys: object) -> list[str]:
    """`keys` as a list of payload keys.

    Raises:
        InvalidArgument: It is no list of str.
    """
    if isinstance(keys, str | bytes | dict) or not isinstance(keys, Iterable):
        raise InvalidArgument(f"keys is a list of str, not {type(keys).__name__}", field="keys")
    checked = list(keys)
    for key in checked:
        if not isinstance(key, str):
            raise InvalidArgument(f"keys of a payload are str, not {type(key).__name__}", field="keys")
        _text(key, field="keys")
    return checked


def part_id(operation_id: str, part: int, parts: int) -> str:
    """The operation id of one part of a call; a call of one part keeps its own."""
    return operation_id if parts == 1 else f"{operation_id}/{part}"


def scroll(
    collection: str, *, filter: object, limit: object, cursor: object, with_vector: object, order_by: object = None
) -> messages.Scroll:
    """The request of one page."""
    if cursor is not None and not isinstance(cursor, str):
        raise InvalidArgument(
            f"cursor is the one a page came with, or None, not {type(cursor).__name__}", field="cursor"
        )
    return messages.Scroll(
        collection,
        check_filter(filter),
        check_int(limit, 1, MAX_PAGE, field="limit"),
        None if cursor is None else _text(cursor, field="cursor"),
        bool(with_vector),
        _order(order_by),
    )


def _order(order_by: object) -> dict[str, Any] | None:
    """As a dict that can be sent; what it means is the node's to judge."""
    if order_by is None:
        return None
    if isinstance(order_by, str):
        return {"key": _text(order_by, field="order_by")}
    if not isinstance(order_by, dict):
        raise InvalidArgument(
            f"order_by is the name of a payload field, or a dict, not {type(order_by).__name__}", field="order_by"
        )
    try:
        return check_filter(order_by)
    except InvalidArgument as error:
        raise InvalidArgument(error.message.replace("a filter", "order_by", 1), field="order_by") from None


def _number(value: object, *, field: str) -> float:
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        raise InvalidArgument(f"{field} is a number, not {type(value).__name__}", field=field)
    number = float(value)
    if number != number:
        raise InvalidArgument(f"{field} is NaN", field=field)
    return number
