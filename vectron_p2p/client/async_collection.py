"""`AsyncCollection`: points of one collection, awaitable calls; arguments and results as `Collection`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from vectron_p2p.client import async_upload, operations, point_operations
from vectron_p2p.model.collections import CollectionInfo, check_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from vectron_p2p.client.async_client import AsyncClient
    from vectron_p2p.model.ids import PointId
    from vectron_p2p.model.payload_fields import PayloadFields
    from vectron_p2p.model.points import Page, Point, SearchResult, UploadReport, WriteResult

Level = Literal["one", "quorum", "all"]
PointLevel = Literal["one", "quorum", "all", "linearizable"]
Mode = Literal["upsert", "insert", "update"]


class AsyncCollection:
    """A handle; making one asks nobody, so it may name a collection that does not exist. Tasks may share it."""

    def __init__(self, client: AsyncClient, name: str) -> None:
        self._client = client
        self._session = client.session
        self.name = check_name(name)

    def __repr__(self) -> str:
        return f"AsyncCollection({self.name!r})"

    async def upsert(
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
        """As `Collection.upsert`."""
        flow = point_operations.upsert(
            self._session, self.name, points, ids, vectors, payloads, consistency, mode, if_version
        )
        return await self._client.run(flow)

    async def upload(
        self,
        points: Iterable[Any] | Mapping[str, Any],
        *,
        batch_size: int | Literal["auto"] = "auto",
        parallel: int = 4,
        progress: Any = False,
        on_error: Literal["raise", "collect"] = "raise",
        consistency: Level = "quorum",
    ) -> UploadReport:
        """As `Collection.upload`."""
        return await async_upload.upload(
            self._client,
            self.name,
            points,
            batch_size=batch_size,
            parallel=parallel,
            progress=progress,
            on_error=on_error,
            consistency=consistency,
        )

    async def search(
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
        """As `Collection.search`."""
        flow = point_operations.search(
            self._session,
            self.name,
            vector,
            id,
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
        return await self._client.run(flow)

    async def search_batch(
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
        """As `Collection.search_batch`."""
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
        return await self._client.run(flow)

    async def recommend(
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
        """As `Collection.recommend`."""
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
        return await self._client.run(flow)

    async def get(
        self,
        ids: Iterable[PointId],
        *,
        with_vector: bool = False,
        with_payload: bool = True,
        consistency: PointLevel = "quorum",
    ) -> list[Point | None]:
        """As `Collection.get`."""
        flow = point_operations.get(
            self._session, self.name, ids, with_vector=with_vector, with_payload=with_payload, consistency=consistency
        )
        return await self._client.run(flow)

    async def delete(
        self,
        *,
        ids: Iterable[PointId] | None = None,
        filter: dict[str, Any] | None = None,
        consistency: PointLevel = "quorum",
    ) -> WriteResult:
        """As `Collection.delete`."""
        return await self._client.run(point_operations.delete(self._session, self.name, ids, filter, consistency))

    async def set_payload(
        self,
        payload: dict[str, Any],
        *,
        ids: Iterable[PointId] | None = None,
        filter: dict[str, Any] | None = None,
    ) -> WriteResult:
        """As `Collection.set_payload`."""
        return await self._client.run(
            point_operations.change_payload(self._session, self.name, ids, filter, update=payload)
        )

    async def delete_payload(
        self, keys: Iterable[str], *, ids: Iterable[PointId] | None = None, filter: dict[str, Any] | None = None
    ) -> WriteResult:
        """As `Collection.delete_payload`."""
        return await self._client.run(
            point_operations.change_payload(self._session, self.name, ids, filter, remove=keys)
        )

    async def count(self, *, filter: dict[str, Any] | None = None) -> int:
        """As `Collection.count`."""
        return await self._client.run(point_operations.count(self._session, self.name, filter))

    async def scroll(
        self,
        *,
        filter: dict[str, Any] | None = None,
        limit: int = 100,
        cursor: str | None = None,
        with_vector: bool = False,
        order_by: str | dict[str, Any] | None = None,
    ) -> Page:
        """As `Collection.scroll`."""
        flow = point_operations.scroll(
            self._session,
            self.name,
            filter=filter,
            limit=limit,
            cursor=cursor,
            with_vector=with_vector,
            order_by=order_by,
        )
        return await self._client.run(flow)

    async def info(self) -> CollectionInfo:
        """As `Collection.info`."""
        return await self._client.run(operations.collection_info(self._session, self.name))

    async def fields(self) -> PayloadFields:
        """As `Collection.fields`."""
        return await self._client.run(operations.payload_fields(self._session, self.name))
