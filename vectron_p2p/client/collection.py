"""`Collection`: points of one collection, blocking calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from vectron_p2p.client import operations, point_operations, sync_upload
from vectron_p2p.model.collections import CollectionInfo, check_name
from vectron_p2p.model.points import SearchResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from vectron_p2p.client.flows import Attempt
    from vectron_p2p.client.sync_client import Client
    from vectron_p2p.model.ids import PointId
    from vectron_p2p.model.payload_fields import PayloadFields
    from vectron_p2p.model.points import Page, Point, UploadReport, WriteResult

Level = Literal["one", "quorum", "all"]
PointLevel = Literal["one", "quorum", "all", "linearizable"]
Mode = Literal["upsert", "insert", "update"]


class Collection:
    """A handle; making one asks nobody, so it may name a collection that does not exist. Safe to use from several
    threads.
    """

    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self._session = client.session
        self._straight = client.straight
        self.name = check_name(name)

    def __repr__(self) -> str:
        return f"Collection({self.name!r})"

    def upsert(
        self,
        points: Iterable[Any] | None = None,
        *,
        ids: Iterable[PointId] | None = None,
        vectors: Any = None,
        payloads: Sequence[dict[str, Any] | None] | None = None,
        consistency: PointLevel = "quorum",
        mode: Mode = "upsert",
        if_version: str | Sequence[str | None] | None = None,
    ) -> WriteResult:
        """Writes points, replacing those of the same ids. Each point is written whole or not at all.

        Args:
            points: Rows: dicts with `id`, `vector` and optional `payload`, or tuples (id, vector, payload). Instead of:
            ids: Their ids.
            vectors: A two-dimensional array, one vector a row.
            payloads: A dict per point, or None.
            consistency: How many of a point's owners must have it on disk; "linearizable": in one order with all other
                linearizable and conditional operations on the point.
            mode: "insert" only where there is no such point, "update" only where there is one.
            if_version: Only if the point is at this version (that of a `get`): a str for one point, a list for several.

        Returns:
            The number of points written (of duplicate ids the last one) and the id of the operation.

        Raises:
            InvalidArgument: Names the field at fault; nothing was written.
            AlreadyExists, NotFound, VersionConflict: A condition does not hold; `failed` names the points it is about,
                the others are written.
            ConsistencyError: Fewer owners acknowledged than asked; the outcome is unknown. A conditional write whose
                outcome is unknown is not tried again: read, and decide.
        """
        flow = point_operations.upsert(
            self._session, self.name, points, ids, vectors, payloads, consistency, mode, if_version
        )
        return self._client.run(flow)

    def upload(
        self,
        points: Iterable[Any] | Mapping[str, Any],
        *,
        batch_size: int | Literal["auto"] = "auto",
        parallel: int = 4,
        progress: Any = False,
        on_error: Literal["raise", "collect"] = "raise",
        consistency: Level = "quorum",
    ) -> UploadReport:
        """Writes many points in batches, several at once; the source is read as it goes.

        Args:
            points: Rows as `upsert` takes them, from any iterable, or a dict of `ids`, `vectors` and `payloads`.
            batch_size: Rows per batch; "auto" takes about 1 MiB.
            parallel: Batches in flight.
            progress: True for a bar on stderr, or a callable(rows settled, rows in all or None).
            on_error: "raise" stops at the first error; "collect" goes on and reports rows not written.
            consistency: As `upsert`.

        Returns:
            Rows sent and failed, and for each failure a dict: `rows` [first, after last), `code`, `message`, `field`.
        """
        return sync_upload.upload(
            self._client,
            self.name,
            points,
            batch_size=batch_size,
            parallel=parallel,
            progress=progress,
            on_error=on_error,
            consistency=consistency,
        )

    def search(
        self,
        vector: Any = None,
        *,
        id: PointId | None = None,
        k: int = 10,
        filter: dict[str, Any] | None = None,
        ef: int | None = None,
        exact: bool = False,
        offset: int = 0,
        group_by: str | None = None,
        group_size: int | None = None,
        score_threshold: float | None = None,
        with_payload: bool = True,
        with_vector: bool = False,
        consistency: Level = "one",
        timeout: float | None = None,
        explain: bool = False,
    ) -> SearchResult:
        """The nearest points to `vector`, or to the point `id` (itself left out), best first.

        Args:
            vector: The query; exactly one of `vector` and `id` is given.
            id: A stored point to take the query from.
            k: How many hits; more than there are returns all.
            filter: Only points whose payload matches.
            ef: Effort in the graph; None chooses by k.
            exact: Compare with every point instead.
            offset: Hits to skip; offset + k is at most 10,000.
            group_by: A payload field: the k best groups of points that have one value there (each element of a list is
                one), found in `groups`; points without the field are left out.
            group_size: Hits per group, 1 unless given; k * group_size is at most 1,000, and there is no offset.
            score_threshold: Keep scores at least (cosine, dot) or at most (l2) this.
            with_payload: Return payloads.
            with_vector: Return vectors.
            consistency: Owners searched per shard.
            timeout: Seconds; what arrived by then is returned with `partial`. None: the client's.
            explain: Return the plan of each shard.
        """
        attempt: Attempt | None = None
        if self._straight is not None and (
            id is None and group_by is None and group_size is None and score_threshold is None and not explain
        ):
            found = self._straight.search(
                self.name, vector, k, ef, offset, exact, with_payload, with_vector, consistency, filter, timeout
            )
            if isinstance(found, SearchResult):
                return found
            attempt = found
        flow = point_operations.search(
            self._session,
            self.name,
            vector,
            id,
            timeout,
            attempt,
            k=k,
            filter=filter,
            ef=ef,
            exact=exact,
            offset=offset,
            group_by=group_by,
            group_size=group_size,
            score_threshold=score_threshold,
            with_payload=with_payload,
            with_vector=with_vector,
            consistency=consistency,
            explain=explain,
        )
        return self._client.run(flow)

    def search_batch(
        self,
        vectors: Any,
        *,
        k: int = 10,
        filter: dict[str, Any] | None = None,
        ef: int | None = None,
        exact: bool = False,
        offset: int = 0,
        group_by: str | None = None,
        group_size: int | None = None,
        score_threshold: float | None = None,
        with_payload: bool = True,
        with_vector: bool = False,
        consistency: Level = "one",
        timeout: float | None = None,
        explain: bool = False,
    ) -> list[SearchResult]:
        """One result per row of `vectors`; arguments as `search`, and faster than as many searches."""
        flow = point_operations.search_batch(
            self._session,
            self.name,
            vectors,
            timeout,
            k=k,
            filter=filter,
            ef=ef,
            exact=exact,
            offset=offset,
            group_by=group_by,
            group_size=group_size,
            score_threshold=score_threshold,
            with_payload=with_payload,
            with_vector=with_vector,
            consistency=consistency,
            explain=explain,
        )
        return self._client.run(flow)

    def recommend(
        self,
        positive: Iterable[PointId],
        negative: Iterable[PointId] = (),
        *,
        k: int = 10,
        filter: dict[str, Any] | None = None,
        ef: int | None = None,
        exact: bool = False,
        offset: int = 0,
        group_by: str | None = None,
        group_size: int | None = None,
        score_threshold: float | None = None,
        with_payload: bool = True,
        with_vector: bool = False,
        consistency: Level = "one",
        timeout: float | None = None,
        explain: bool = False,
    ) -> SearchResult:
        """The points most like the points `positive` and least like `negative`, these themselves left out.

        The query is mean(positive) + (mean(positive) - mean(negative)); under cosine each counts by its direction.
        Other arguments as `search`.

        Raises:
            NotFound: Some of these points do not exist; `failed` names them.
        """
        flow = point_operations.recommend(
            self._session,
            self.name,
            positive,
            negative,
            timeout,
            k=k,
            filter=filter,
            ef=ef,
            exact=exact,
            offset=offset,
            group_by=group_by,
            group_size=group_size,
            score_threshold=score_threshold,
            with_payload=with_payload,
            with_vector=with_vector,
            consistency=consistency,
            explain=explain,
        )
        return self._client.run(flow)

    def get(
        self,
        ids: Iterable[PointId],
        *,
        with_vector: bool = False,
        with_payload: bool = True,
        consistency: PointLevel = "quorum",
    ) -> list[Point | None]:
        """The points of `ids` in the order asked, None where there is none."""
        flow = point_operations.get(
            self._session, self.name, ids, with_vector=with_vector, with_payload=with_payload, consistency=consistency
        )
        return self._client.run(flow)

    def delete(
        self,
        *,
        ids: Iterable[PointId] | None = None,
        filter: dict[str, Any] | None = None,
        consistency: PointLevel = "quorum",
    ) -> WriteResult:
        """Deletes points, by `ids` or all that match `filter` (`{}`: all).

        `count` is the number of ids asked, or of the points that matched; deleting what is not there is no error.

        Raises:
            Unavailable: With a filter: some shards have no quorum that answers; `missing_shards` names them.
        """
        return self._client.run(point_operations.delete(self._session, self.name, ids, filter, consistency))

    def set_payload(
        self,
        payload: dict[str, Any],
        *,
        ids: Iterable[PointId] | None = None,
        filter: dict[str, Any] | None = None,
    ) -> WriteResult:
        """Sets the top-level keys of `payload` in the payloads of `ids`, or of all points that match `filter`.

        Atomic per point. What is not there is left out; `count` is the number of points changed.

        Raises:
            Unavailable: As `delete`.
        """
        return self._client.run(point_operations.change_payload(self._session, self.name, ids, filter, update=payload))

    def delete_payload(
        self, keys: Iterable[str], *, ids: Iterable[PointId] | None = None, filter: dict[str, Any] | None = None
    ) -> WriteResult:
        """Takes top-level keys out of payloads; as `set_payload` otherwise."""
        return self._client.run(point_operations.change_payload(self._session, self.name, ids, filter, remove=keys))

    def count(self, *, filter: dict[str, Any] | None = None) -> int:
        """The number of points, or of those that match."""
        return self._client.run(point_operations.count(self._session, self.name, filter))

    def scroll(
        self,
        *,
        filter: dict[str, Any] | None = None,
        limit: int = 100,
        cursor: str | None = None,
        with_vector: bool = False,
        order_by: str | dict[str, Any] | None = None,
    ) -> Page:
        """One page of all points in the order of their ids; the next one begins at the page's `cursor` (None after the
        last).

        `order_by`, a payload field or {"key": field, "direction": "asc" or "desc", "start_from": value}: in the order
        of the values there (numbers, then texts; of a list the first in that order; equal ones by id). Points without a
        number or a text there are left out. Pass it again with each cursor.
        """
        flow = point_operations.scroll(
            self._session,
            self.name,
            filter=filter,
            limit=limit,
            cursor=cursor,
            with_vector=with_vector,
            order_by=order_by,
        )
        return self._client.run(flow)

    def info(self) -> CollectionInfo:
        """Options and figures of the collection."""
        return self._client.run(operations.collection_info(self._session, self.name))

    def fields(self) -> PayloadFields:
        """What stands in the payloads, field by field, as the payload index knows it: kinds, points, values.

        Counted when asked for, in some milliseconds for 100,000 points; of one live replica of each shard.
        """
        return self._client.run(operations.payload_fields(self._session, self.name))
