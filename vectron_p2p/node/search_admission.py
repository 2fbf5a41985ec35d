"""Admitting a search: every argument checked, whatever client sent it; the field at fault is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vectron_p2p.model.collections import check_int
from vectron_p2p.model.consistency import parse_consistency
from vectron_p2p.model.errors import InvalidArgument
from vectron_p2p.model.ids import check_point_id
from vectron_p2p.model.points import MAX_WINDOW
from vectron_p2p.query.filters import check_path, parse_filter
from vectron_p2p.query.groups import MAX_GROUPED
from vectron_p2p.query.recommend import MAX_EXAMPLES
from vectron_p2p.query.scoring import check_vectors, vectors_from_bytes

if TYPE_CHECKING:
    from vectron_p2p.model.collections import CollectionOptions
    from vectron_p2p.protocol import messages as m

# vectors of one search request: keeps one request's turn on the search threads short; clients split
MAX_QUERIES = 1_000


def admit_search(message: m.Search, options: CollectionOptions) -> None:
    """Raises:
    InvalidArgument: An argument is wrong.
    """
    admit_options(message, options)
    _admit_query(message, options)


def admit_options(message: m.Search, options: CollectionOptions) -> None:
    """All but the query itself.

    Raises:
        InvalidArgument: An argument is wrong.
    """
    parse_consistency(message.consistency)
    k = check_int(message.k, 1, MAX_WINDOW, field="k")
    offset = check_int(message.offset, 0, MAX_WINDOW - 1, field="offset")
    if offset + k > MAX_WINDOW:
        raise InvalidArgument(f"offset + k is at most {MAX_WINDOW}; use scroll to go deeper", field="offset")
    if message.ef is not None:
        check_int(message.ef, 1, MAX_WINDOW, field="ef")
    if message.timeout is not None and not message.timeout > 0:
        raise InvalidArgument("timeout is a number of seconds above 0", field="timeout")
    threshold = message.score_threshold
    if threshold is not None and threshold != threshold:
        raise InvalidArgument("score_threshold is a number, not NaN", field="score_threshold")
    parse_filter(message.filter)
    _admit_groups(message)
    if message.id is None and not message.positive and not message.negative and message.dimension != options.dimension:
        raise InvalidArgument(
            f"collection {message.collection!r} has dimension {options.dimension}, this vector {message.dimension}",
            field="vector",
        )


def _admit_groups(message: m.Search) -> None:
    if message.group_by is None:
        return
    check_path(message.group_by, field="group_by")
    size = check_int(message.group_size, 1, MAX_GROUPED, field="group_size")
    if message.offset:
        raise InvalidArgument("a search by group has no offset: ask for more groups (k)", field="offset")
    if message.k * size > MAX_GROUPED:
        raise InvalidArgument(
            f"k groups of group_size hits are at most {MAX_GROUPED} hits, not {message.k * size}", field="group_size"
        )


def _admit_query(message: m.Search, options: CollectionOptions) -> None:
    if message.id is not None:
        check_point_id(message.id)
    elif message.positive or message.negative:
        if not message.positive:
            raise InvalidArgument("at least one positive example is needed", field="positive")
        if len(message.positive) + len(message.negative) > MAX_EXAMPLES:
            raise InvalidArgument(f"at most {MAX_EXAMPLES} examples can be given", field="positive")
        for point in (*message.positive, *message.negative):
            check_point_id(point)
    else:
        check_int(message.count, 1, MAX_QUERIES, field="vectors")
        queries = check_vectors(
            vectors_from_bytes(message.vectors, options.dimension), options.dimension, options.metric
        )
        if len(queries) != message.count:
            raise InvalidArgument(f"{message.count} queries announced, {len(queries)} sent", field="vector")
