"""One flow per public call about points: request, answer, result. Sans-IO like `flows`."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vectron_p2p.client import conditions, points, requests, results
from vectron_p2p.client.flows import ask, ask_each
from vectron_p2p.client.session import Session, check_timeout
from vectron_p2p.model.consistency import Consistency, parse_consistency
from vectron_p2p.model.errors import InvalidArgument
from vectron_p2p.model.points import Page, Point, SearchResult, WriteResult
from vectron_p2p.protocol import messages

if TYPE_CHECKING:
    from vectron_p2p.client.flows import Attempt
    from vectron_p2p.client.steps import Flow

# Queries of one request. Its owner cuts them into jobs of 64 itself, so that others get between; eight of these keep
# two search threads at work for as long as it takes to write the next request and to read the last reply.
BATCH_QUERY_BYTES = 2 * 1024 * 1024
BATCH_QUERIES = 512
BATCH_QUERIES_WITH_ROWS = 256  # payloads and vectors of their hits: a reply has at most 24 MiB of these
BATCH_HITS = 20_000  # answers of one request: about 2 MiB without payloads
FIRST_SHARE = 4  # the first of several requests is so much smaller: it is there sooner, and no two end together
BATCH_WIDTH = 2  # requests under way: one is searched while another is written or read, and no more of a node's queue


def upsert(
    session: Session,
    collection: str,
    rows: object,
    ids: object,
    vectors: object,
    payloads: object,
    consistency: object,
    mode: object = "upsert",
    if_version: object = None,
) -> Flow[WriteResult]:
    level = parse_consistency(consistency, linearizable=True)
    if rows is not None and if_version is not None and not isinstance(rows, list | tuple):
        rows = list(rows) if isinstance(rows, Iterable) and not isinstance(rows, Mapping | str | bytes) else rows
    data = points.columns(rows, ids, vectors, payloads)
    checked = conditions.check_mode(mode)
    versions = conditions.check_versions(if_version, conditions.ids_as_given(rows, ids, data), checked)
    if checked == "upsert" and not versions and level is not Consistency.LINEARIZABLE:
        return (yield from write(session, collection, data, consistency=level.value))
    conditions.check_level(level)
    operation_id = session.operation_id()
    parts = points.upserts_if(collection, data, mode=checked, versions=versions, operation_id=operation_id)
    replies = yield from ask_each(session, parts, messages.WriteReply)
    return WriteResult(sum(reply.count for reply in replies), operation_id)


def write(
    session: Session, collection: str, data: points.Columns, *, consistency: str, spread: int | None = None
) -> Flow[WriteResult]:
    """Writes checked points; `spread` chooses the seed that coordinates."""
    operation_id = session.operation_id()
    parts = points.upserts(collection, data, consistency=consistency, operation_id=operation_id)
    replies = yield from ask_each(session, parts, messages.WriteReply, spread=spread)
    return WriteResult(sum(reply.count for reply in replies), operation_id)


def delete(session: Session, collection: str, ids: object, filter: object, consistency: object) -> Flow[WriteResult]:
    operation_id = session.operation_id()
    if (ids is None) == (filter is None):
        raise InvalidArgument("give exactly one of ids and filter", field="ids")
    level = parse_consistency(consistency, linearizable=True)
    if filter is not None:
        conditions.check_level(level)
        request = requests.delete_matching(collection, filter, operation_id=operation_id)
        reply = yield from ask(session, request, messages.WriteReply)
        return WriteResult(reply.count, operation_id)
    if level is Consistency.LINEARIZABLE:
        decided = requests.delete_if(collection, ids, operation_id=operation_id)
        yield from ask_each(session, decided, messages.WriteReply)
        return WriteResult(sum(len(part.ids) for part in decided), operation_id)
    parts = requests.delete(collection, ids, consistency=consistency, operation_id=operation_id)
    yield from ask_each(session, parts, messages.WriteReply)
    return WriteResult(sum(len(part.ids) for part in parts), operation_id)


def change_payload(
    session: Session, collection: str, ids: object, filter: object, *, update: object = None, remove: object = None
) -> Flow[WriteResult]:
    """`set_payload` and `delete_payload`: the count is of the points changed."""
    operation_id = session.operation_id()
    parts = requests.change_payload(collection, ids, filter, update=update, remove=remove, operation_id=operation_id)
    replies = yield from ask_each(session, parts, messages.WriteReply)
    return WriteResult(sum(reply.count for reply in replies), operation_id)


def get(
    session: Session, collection: str, ids: object, *, with_vector: object, with_payload: object, consistency: object
) -> Flow[list[Point | None]]:
    parts = requests.get(collection, ids, with_vector=with_vector, with_payload=with_payload, consistency=consistency)
    replies = yield from ask_each(session, parts, messages.GetReply)
    return [point for part, reply in zip(parts, replies, strict=True) for point in results.points(part.ids, reply)]


def search(
    session: Session,
    collection: str,
    vector: object,
    point_id: object,
    timeout: object,
    after: Attempt | None = None,
    **options: Any,
) -> Flow[SearchResult]:
    """`after`: as `ask`."""
    if (vector is None) == (point_id is None):
        raise InvalidArgument("give exactly one of vector and id", field="vector")
    seconds = session.timeout if timeout is None else check_timeout(timeout)
    raw, dimension = b"", 0
    if vector is not None:
        query = points.check_vector(vector)
        raw, dimension = points.wire_bytes(query), query.size
    request = requests.search(
        collection, vectors=raw, count=1, dimension=dimension, point_id=point_id, timeout=seconds, **options
    )
    reply = yield from ask(session, request, messages.SearchReply, timeout=seconds, after=after)
    return results.search_results(reply)[0]


def recommend(
    session: Session, collection: str, positive: object, negative: object, timeout: object, **options: Any
) -> Flow[SearchResult]:
    seconds = session.timeout if timeout is None else check_timeout(timeout)
    wanted = requests.examples(positive, field="positive")
    if not wanted:
        raise InvalidArgument("at least one positive example is needed", field="positive")
    request = requests.search(collection, vectors=b"", count=1, dimension=0, point_id=None, timeout=seconds, **options)
    request = replace(request, positive=wanted, negative=requests.examples(negative, field="negative"))
    reply = yield from ask(session, request, messages.SearchReply, timeout=seconds)
    return results.search_results(reply)[0]


def search_batch(
    session: Session, collection: str, vectors: object, timeout: object, **options: Any
) -> Flow[list[SearchResult]]:
    seconds = session.timeout if timeout is None else check_timeout(timeout)
    queries = points.check_matrix(vectors)
    count, dimension = queries.shape
    whole = requests.search(
        collection, vectors=b"", count=0, dimension=dimension, point_id=None, timeout=seconds, **options
    )
    if not count:
        return []
    most = BATCH_QUERIES_WITH_ROWS if whole.with_payload or whole.with_vector else BATCH_QUERIES
    step = max(1, min(most, BATCH_QUERY_BYTES // (4 * dimension), BATCH_HITS // (whole.k + whole.offset)))
    first = count if count <= step else max(1, step // FIRST_SHARE)
    cuts = [0, *range(first, count, step), count]
    blocks = [queries[start:end] for start, end in itertools.pairwise(cuts)]
    parts = [replace(whole, vectors=points.wire_bytes(block), count=len(block), together=True) for block in blocks]
    replies = yield from ask_each(session, parts, messages.SearchReply, timeout=seconds, width=BATCH_WIDTH)
    return [result for reply in replies for result in results.search_results(reply)]


def count(session: Session, collection: str, filter: object) -> Flow[int]:
    reply = yield from ask(session, messages.Count(collection, requests.check_filter(filter)), messages.CountReply)
    return reply.count


def scroll(session: Session, collection: str, **options: Any) -> Flow[Page]:
    reply = yield from ask(session, requests.scroll(collection, **options), messages.ScrollReply)
    return results.page(reply)
