"""Collections: names, options and their limits."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vectron_p2p.model.errors import InvalidArgument

METRICS = ("cosine", "dot", "l2")
MAX_DIMENSION = 4096  # the largest embedding models in use; a row stays far below a frame
MAX_SHARDS = 256  # a search visits every shard: more cost more than they give on clusters of this kind
MAX_REPLICAS = 16
MAX_INDEXED_FIELDS = 64  # by name: they are in every copy of the catalog
NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")


@dataclass(frozen=True, slots=True)
class CollectionOptions:
    """What `create_collection` fixes for ever, but for `replicas`, which is a wish.

    `shards` None lets the catalog choose: the smallest power of two >= the active nodes.
    """

    dimension: int
    metric: str = "cosine"
    shards: int | None = None
    replicas: int = 3
    m: int = 16
    ef_construction: int = 100
    payload_index: bool | tuple[str, ...] = True
    """The payload fields that are indexed: all, none, or these with all below them."""


@dataclass(frozen=True, slots=True)
class CollectionInfo:
    """A collection. `count`, `indexed` and `bytes` are totals over shards, one replica each; -1 where a shard did not
    answer.
    """

    name: str
    dimension: int
    metric: str
    shards: int
    replicas: int
    m: int
    ef_construction: int
    count: int = -1
    indexed: int = -1
    bytes: int = -1
    id: str = ""
    under_replicated: int = 0
    payload_index: bool | list[str] = True
    payload_bytes: int = -1
    """Memory of the payload index."""
    payload_unindexed: int = -1
    """Points that it had no room for: filters read their payloads."""


def check_name(name: object, *, field: str = "name") -> str:
    """`name` as a collection or node name: 1..128 of letters, digits, `_`, `.`, `-`.

    Raises:
        InvalidArgument: It is not.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise InvalidArgument(f"a name is 1 to 128 of A-Z a-z 0-9 _ . -, not {name!r:.150}", field=field)
    return name


def check_int(value: object, low: int, high: int, *, field: str) -> int:
    """`value` as an int in low..high (numpy ints too, bool not).

    Raises:
        InvalidArgument: It is not.
    """
    if not isinstance(value, bool) and hasattr(value, "__index__") and type(value).__name__ != "bool":
        number = int(value.__index__())
        if low <= number <= high:
            return number
        raise InvalidArgument(f"{field} lies in {low}..{high}, not {number}", field=field)
    raise InvalidArgument(f"{field} is an int, not {type(value).__name__}", field=field)


def check_options(options: CollectionOptions) -> CollectionOptions:
    """`options` with every field checked.

    Raises:
        InvalidArgument: A field is out of range; it is named.
    """
    if options.metric not in METRICS:
        raise InvalidArgument(f"metric is one of {', '.join(METRICS)}, not {options.metric!r}", field="metric")
    shards = options.shards
    if shards is not None:
        shards = check_int(shards, 1, MAX_SHARDS, field="shards")
        if shards & (shards - 1):
            raise InvalidArgument(f"shards is a power of two, not {shards}", field="shards")
    return CollectionOptions(
        dimension=check_int(options.dimension, 1, MAX_DIMENSION, field="dimension"),
        metric=options.metric,
        shards=shards,
        replicas=check_int(options.replicas, 1, MAX_REPLICAS, field="replicas"),
        m=check_int(options.m, 2, 128, field="m"),
        ef_construction=check_int(options.ef_construction, 4, 2000, field="ef_construction"),
        payload_index=_check_payload_index(options.payload_index),
    )


def _check_payload_index(wanted: object) -> bool | tuple[str, ...]:
    if isinstance(wanted, bool):
        return wanted
    if not isinstance(wanted, list | tuple) or not all(type(field) is str and field for field in wanted):
        raise InvalidArgument("payload_index is true, false or a list of payload fields", field="payload_index")
    if len(wanted) > MAX_INDEXED_FIELDS or sum(map(len, wanted)) > MAX_INDEXED_FIELDS * 64:
        raise InvalidArgument(
            f"payload_index names at most {MAX_INDEXED_FIELDS} fields of 64 characters", field="payload_index"
        )
    return tuple(sorted(set(wanted))) or False
