"""The requests of clients: admit each argument at the edge, have it done, answer.

Invariant: nothing reaches a coordinator unchecked, whatever client sent it; every refusal names the field.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from vectron_p2p.catalog import commands
from vectron_p2p.model.collections import MAX_REPLICAS, CollectionOptions, check_int, check_name, check_options
from vectron_p2p.model.consistency import parse_consistency
from vectron_p2p.model.errors import ConsistencyError, InvalidArgument, NotFound, Unavailable
from vectron_p2p.model.ids import CollectionId, OperationId, PointId
from vectron_p2p.node.admission import (
    INLINE_POINTS,
    MAX_BATCH,
    Rows,
    admit_conditions,
    admit_deletes,
    admit_ids,
    admit_payload_edit,
    admit_points,
    require_in_time,
)
from vectron_p2p.node.coordinator import changes
from vectron_p2p.node.hit_lists import together
from vectron_p2p.node.runtime import Runtime, new_uuid
from vectron_p2p.node.search_admission import admit_search
from vectron_p2p.protocol import messages as m
from vectron_p2p.query.filters import Filter, parse_filter
from vectron_p2p.query.ordering import parse_order

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from vectron_p2p.catalog.state import Collection
    from vectron_p2p.model.moves import MovesReport
    from vectron_p2p.node.administration import Administration
    from vectron_p2p.node.catalog import Catalog
    from vectron_p2p.node.coordinator.coordinator import Coordinator
    from vectron_p2p.node.payload_fields import CollectionFields
    from vectron_p2p.node.reports import Reports
    from vectron_p2p.node.services.repairs import Repairs
    from vectron_p2p.replication.rounds import Decide

ANSWER_S = 0.5  # kept of a catalog change's time, for the word on why it was not decided to be there in time
DEFAULT_TIMEOUT = 30.0  # seconds, for a request that came without a deadline: the client library's own default


class ClientService:
    """Answers the messages of `protocol.messages` "client requests"."""

    def __init__(
        self,
        catalog: Catalog,
        coordinator: Coordinator,
        reports: Reports,
        repairs: Repairs,
        administration: Administration,
        fields: CollectionFields,
        runtime: Runtime,
        *,
        more: Mapping[type, Callable[[Any, float], Awaitable[Any]]],
    ) -> None:
        """`more`: handlers of requests that have services of their own."""
        self._catalog = catalog
        self._writes = coordinator.writes
        self._reads = coordinator.reads
        self._searches = coordinator.searches
        self._local_searches = coordinator.local_searches
        self._scrolls = coordinator.scrolls
        self._conditional = coordinator.conditional
        self._reports = reports
        self._runtime = runtime
        self._repairs = repairs
        self._administration = administration
        self._fields = fields
        self._handlers: dict[type, Callable[[Any, float], Awaitable[Any]]] = {
            m.GetCluster: self._cluster,
            m.GetStatus: self._status,
            m.CreateCollection: self._create_collection,
            m.DeleteCollection: self._delete_collection,
            m.ListCollections: self._list_collections,
            m.DescribeCollection: self._describe_collection,
            m.GetPayloadFields: self._payload_fields,
            m.Upsert: self._upsert,
            m.Delete: self._delete,
            m.UpsertIf: self._upsert_if,
            m.DeleteIf: self._delete_if,
            m.ChangePayload: self._change_payload,
            m.Get: self._get,
            m.Search: self._search,
            m.Count: self._count,
            m.Scroll: self._scroll,
            m.Repair: self._repair,
            m.SetReplicas: self._set_replicas,
            m.DrainNode: self._drain,
            m.RemoveNode: self._remove,
            m.GetMoves: self._moves,
            **more,
        }

    def handles(self, message: object) -> bool:
        return type(message) in self._handlers

    async def handle(self, message: Any, timeout: float | None) -> Any:
        return await self._handlers[type(message)](message, DEFAULT_TIMEOUT if timeout is None else timeout)

    async def _collection(self, name: str) -> Collection:
        """By name; a name not known here is looked for in newer epochs first (PROTOCOLS §1.6).

        Raises:
            NotFound: There is none.
            Unavailable: This node knows of none, and could ask nobody whether it is behind.
        """
        found, seen, asked = self._catalog.state.collection(name), -1, True
        if found is None:
            check_name(name, field="collection")
        while found is None and seen != self._catalog.state.epoch:  # each that is found may be followed by the next
            seen = self._catalog.state.epoch
            asked = await self._catalog.catch_up_with_peers()
            found = self._catalog.state.collection(name)
        if found is None and not asked:
            raise Unavailable(f"this node knows no collection {name!r}, but reaches no other node that might; retry")
        if found is None:
            raise NotFound(f"there is no collection {name!r}", field="collection")
        return found

    # --- cluster and collections -------------------------------------------------------------------------------------

    async def _cluster(self, message: m.GetCluster, timeout: float) -> m.ClusterReply:
        return m.ClusterReply(dataclasses.asdict(await self._reports.cluster(replicas=message.shards)))

    async def _status(self, message: m.GetStatus, timeout: float) -> m.StatusReply:
        return m.StatusReply(dataclasses.asdict(await self._reports.status()))

    async def _create_collection(self, message: m.CreateCollection, timeout: float) -> m.CollectionReply:
        check_name(message.name)
        options = check_options(
            CollectionOptions(
                message.dimension,
                message.metric,
                message.shards,
                message.replicas,
                message.m,
                message.ef_construction,
                message.payload_index if isinstance(message.payload_index, bool) else tuple(message.payload_index),
            )
        )
        await self._catalog.propose(
            commands.CreateCollection(
                operation_id=_operation(message.operation_id),
                collection_id=CollectionId(new_uuid(self._runtime.random)),
                name=message.name,
                options=options,
                if_not_exists=message.if_not_exists,
            ),
            timeout=_deciding(timeout),
        )
        collection = await self._collection(message.name)
        return m.CollectionReply(dataclasses.asdict(self._reports.collection(collection, [])))

    async def _delete_collection(self, message: m.DeleteCollection, timeout: float) -> m.Done:
        check_name(message.name)
        await self._catalog.propose(
            commands.DeleteCollection(operation_id=_operation(message.operation_id), name=message.name),
            timeout=_deciding(timeout),
        )
        return m.Done()

    async def _list_collections(self, message: m.ListCollections, timeout: float) -> m.CollectionsReply:
        replicas = await self._reports.replicas()
        infos = [self._reports.collection(collection, replicas) for collection in self._catalog.collections()]
        return m.CollectionsReply([dataclasses.asdict(info) for info in infos])

    async def _describe_collection(self, message: m.DescribeCollection, timeout: float) -> m.CollectionReply:
        collection = await self._collection(message.name)
        replicas = await self._reports.replicas()
        return m.CollectionReply(dataclasses.asdict(self._reports.collection(collection, replicas)))

    async def _payload_fields(self, message: m.GetPayloadFields, timeout: float) -> m.PayloadFieldsReply:
        collection = await self._collection(message.name)
        return m.PayloadFieldsReply(await self._fields.of(collection, timeout), [])

    async def _repair(self, message: m.Repair, timeout: float) -> m.RepairReply:
        _operation(message.token)
        return await self._repairs.ask(message)

    async def _set_replicas(self, message: m.SetReplicas, timeout: float) -> m.CollectionReply:
        replicas = check_int(message.replicas, 1, MAX_REPLICAS, field="replicas")
        collection = await self._collection(message.name)
        await self._catalog.propose(
            commands.SetReplicas(_operation(message.operation_id), collection.name, replicas),
            timeout=_deciding(timeout),
        )
        collection = await self._collection(message.name)
        return m.CollectionReply(dataclasses.asdict(self._reports.collection(collection, [])))

    async def _drain(self, message: m.DrainNode, timeout: float) -> m.MovesReply:
        operation = _operation(message.operation_id)
        return _moves_reply(
            await self._administration.drain(message.node, operation, cancel=message.cancel, timeout=_deciding(timeout))
        )

    async def _remove(self, message: m.RemoveNode, timeout: float) -> m.MovesReply:
        operation = _operation(message.operation_id)
        return _moves_reply(await self._administration.remove(message.node, operation, timeout=_deciding(timeout)))

    async def _moves(self, message: m.GetMoves, timeout: float) -> m.MovesReply:
        if message.newest:
            await self._catalog.catch_up_with_peers()
        return _moves_reply(await self._administration.moves(message.node))

    # --- points -----------------------------------------------------------------------------------------------------

    async def _upsert(self, message: m.Upsert, timeout: float) -> m.WriteReply:
        collection = await self._collection(message.collection)
        level = parse_consistency(message.consistency)
        rows = await self._admitted(message, collection)
        await self._writes.write(
            collection,
            rows,
            level,
            operation_id=_operation(message.operation_id),
            timeout=timeout,
            expires=message.expires,
        )
        return m.WriteReply(len(message.ids))

    async def _admitted(self, message: m.Upsert | m.UpsertIf, collection: Collection) -> Rows:
        if len(message.ids) <= INLINE_POINTS:
            return admit_points(message, collection.options)
        rows: Rows = await self._runtime.executor.run("admit", admit_points, message, collection.options)
        return rows

    async def _delete(self, message: m.Delete, timeout: float) -> m.WriteReply:
        collection = await self._collection(message.collection)
        level = parse_consistency(message.consistency)
        rows = admit_deletes(message.ids)
        await self._writes.write(
            collection,
            rows,
            level,
            operation_id=_operation(message.operation_id),
            timeout=timeout,
            expires=message.expires,
        )
        return m.WriteReply(len(message.ids))

    async def _upsert_if(self, message: m.UpsertIf, timeout: float) -> m.WriteReply:
        collection = await self._collection(message.collection)
        mode, versions = admit_conditions(message)
        rows = await self._admitted(message, collection)
        require_in_time(self._runtime.clock.now(), message.expires)
        await self._conditional.upsert(
            collection,
            rows,
            mode=mode,
            versions=versions,
            operation_id=_operation(message.operation_id),
            retried=message.retried,
            timeout=_deciding(timeout),
        )
        return m.WriteReply(len(message.ids))

    async def _delete_if(self, message: m.DeleteIf, timeout: float) -> m.WriteReply:
        changed = await self._change(message, lambda point, filter: changes.delete(filter), timeout)
        return m.WriteReply(len(message.ids) or changed)

    async def _change_payload(self, message: m.ChangePayload, timeout: float) -> m.WriteReply:
        edit = admit_payload_edit(message)
        return m.WriteReply(
            await self._change(message, lambda point, filter: changes.edit_payload(point, edit, filter), timeout)
        )

    async def _change(
        self,
        message: m.DeleteIf | m.ChangePayload,
        decide: Callable[[PointId, Filter | None], Decide],
        timeout: float,
    ) -> int:
        collection = await self._collection(message.collection)
        require_in_time(self._runtime.clock.now(), message.expires)
        operation_id, timeout = _operation(message.operation_id), _deciding(timeout)
        if (message.filter is None) == (not message.ids):
            raise InvalidArgument("give either ids or a filter", field="ids")
        if message.filter is None:
            return await self._conditional.change(
                collection,
                admit_ids(message.ids),
                lambda point: decide(point, None),
                operation_id=operation_id,
                retried=message.retried,
                timeout=timeout,
            )
        filter = parse_filter(message.filter)
        if message.retried:
            raise ConsistencyError(
                "the connection was lost meanwhile: some points may have been changed; call again to change those left",
                acked=1,
                retryable=False,
            )
        return await self._conditional.change_matching(
            collection,
            message.filter,
            lambda point: decide(point, filter),
            operation_id=operation_id,
            timeout=timeout,
        )

    async def _get(self, message: m.Get, timeout: float) -> m.GetReply:
        collection = await self._collection(message.collection)
        rows = await self._reads.get(
            collection,
            admit_ids(message.ids),
            parse_consistency(message.consistency, linearizable=True),
            with_vector=message.with_vector,
            with_payload=message.with_payload,
            timeout=timeout,
        )
        live = [row if row is not None and row.live else None for row in rows]
        return m.GetReply(
            versions=[row.content if row else None for row in live],
            vectors=[row.vector if row and message.with_vector else None for row in live],
            payloads=[row.payload if row and message.with_payload else None for row in live],
        )

    async def _search(self, message: m.Search, timeout: float) -> m.SearchReply:
        collection = await self._collection(message.collection)
        admit_search(message, collection.options)
        bounded = message.timeout is None and timeout != DEFAULT_TIMEOUT  # the request's own scope ends then
        timeout = min(timeout, message.timeout or timeout)
        reply = await self._local_searches.search(message, timeout=timeout, bounded=bounded)
        reply = reply or await self._searches.search(collection, message, timeout=timeout)
        return together(reply) if message.together and message.count > 1 and not reply.groups else reply

    async def _count(self, message: m.Count, timeout: float) -> m.CountReply:
        collection = await self._collection(message.collection)
        parse_filter(message.filter)
        return m.CountReply(await self._scrolls.count(collection, message.filter, timeout=timeout))

    async def _scroll(self, message: m.Scroll, timeout: float) -> m.ScrollReply:
        collection = await self._collection(message.collection)
        parse_filter(message.filter)
        check_int(message.limit, 1, MAX_BATCH, field="limit")
        if message.order_by is not None:
            parse_order(message.order_by)
        return await self._scrolls.scroll(collection, message, timeout=timeout)


def _moves_reply(report: MovesReport) -> m.MovesReply:
    return m.MovesReply(dataclasses.asdict(report))


def _deciding(timeout: float) -> float:
    return max(timeout - ANSWER_S, timeout / 2)


def _operation(operation_id: str) -> OperationId:
    if not 0 < len(operation_id) <= 64:  # a UUID with room to spare: the last 1,000 are kept in every catalog state
        raise InvalidArgument("operation_id has 1 to 64 characters", field="operation_id")
    return OperationId(operation_id)
