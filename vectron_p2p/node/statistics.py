"""Statistics of the cluster: what every live node has measured of itself, gathered and added up at any of them.

Invariant: who does not answer is shown as absent; nothing is filled in from what it said before.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections import defaultdict
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import trio

from vectron_p2p.model.errors import Internal, InvalidArgument, NotFound, Unavailable, VectronError
from vectron_p2p.model.ids import CollectionId, NodeId, ShardId
from vectron_p2p.model.moves import MoveInfo
from vectron_p2p.model.statistics import (
    FIGURES,
    WINDOWS_S,
    CollectionTotals,
    History,
    NodeStatistics,
    OperationStatistics,
    ReplicaStatistics,
)
from vectron_p2p.node.services.sampler import LARGEST
from vectron_p2p.node.shortlist import shortlist
from vectron_p2p.observability.histogram import Histogram
from vectron_p2p.protocol import messages as m

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping

    from vectron_p2p.catalog.state import ClusterState
    from vectron_p2p.model.nodes import Liveness
    from vectron_p2p.node.catalog import Catalog
    from vectron_p2p.node.measuring import Measuring
    from vectron_p2p.node.peers import Peers
    from vectron_p2p.node.services.anti_entropy import AntiEntropy
    from vectron_p2p.node.services.moves import Moves
    from vectron_p2p.runtime import Clock

ASK_TIMEOUT = 1.5  # as `reports`: figures come soon or not at all, for consoles want them every second
DAY_S = 24 * 3600
SLICE = 250  # replicas between two moments for others: 1.5 ms
SUMMED = ("points", "tombstones", "indexed", "unlinked", "bytes")

Replies = dict[NodeId, m.NodeStatisticsReply]


class Statistics:
    """Answers of one node."""

    def __init__(
        self,
        measuring: Measuring,
        peers: Peers,
        clock: Clock,
        catalog: Catalog,
        liveness: Callable[[NodeId], Liveness],
        repair: AntiEntropy,
        moves: Moves,
    ) -> None:
        self._measuring = measuring
        self._peers = peers
        self._clock = clock
        self._catalog = catalog
        self._liveness = liveness
        self._repair = repair
        self._moves = moves
        self.handlers: dict[type, Callable[[Any, float], Awaitable[Any]]] = {
            m.GetStatistics: self._answer_statistics,
            m.GetHistory: self._answer_history,
        }
        """Requests of clients."""

    # --- of this node -----------------------------------------------------------------------------------------------

    def handles(self, message: object) -> bool:
        """Whether a peer's `message` is for `handle`."""
        return isinstance(message, m.GetNodeStatistics | m.GetNodeHistory)

    async def handle(self, message: Any) -> m.NodeStatisticsReply | m.NodeHistoryReply:
        if isinstance(message, m.GetNodeHistory):
            step, newest, figures = self._measuring.sampler.history.read(message.seconds, message.figures)
            return m.NodeHistoryReply(step, newest, figures)
        replicas = await self._measuring.replicas() if message.replicas else []
        for each in replicas:
            shard = ShardId(CollectionId(each["collection"]), each["shard"])
            each["compared_at"] = self._repair.compared_at(self._peers, shard)
        told = shortlist(await self._measuring.statistics(), len(self._catalog.state.current()))
        return m.NodeStatisticsReply(
            statistics=dataclasses.asdict(told),
            operations=self._measuring.operations(),
            replicas=replicas,
            moves=[dataclasses.asdict(move) for move in self._moves.progress()],
        )

    # --- of the cluster ---------------------------------------------------------------------------------------------

    async def _ask(self, nodes: Iterable[NodeId], message: Any) -> dict[NodeId, Any]:
        replies: dict[NodeId, Any] = {}

        async def ask(node: NodeId) -> None:
            with contextlib.suppress(VectronError):  # who does not answer shows by absence
                replies[node] = await self._peers.call(node, message, timeout=ASK_TIMEOUT, optional=True)

        async with trio.open_nursery() as nursery:
            for node in nodes:
                if self._peers.alive(node):
                    nursery.start_soon(ask, node)
        return replies

    async def gather(self, *, replicas: bool) -> Replies:
        """What all nodes say now."""
        return await self._ask(self._catalog.state.current(), m.GetNodeStatistics(replicas))

    async def cluster(self, *, replicas: bool) -> dict[str, Any]:
        """All of it, added up, as the fields of `ClusterStatistics`: of thousands of replicas, objects that only become
        plain values again would hold the loop.
        """
        replies = await self.gather(replicas=replicas)
        state = self._catalog.state
        shown = await replica_fields(state, replies) if replicas else {}
        nodes = []
        for each in self.nodes(replies):
            nodes.append(dataclasses.asdict(each))
            await trio.lowlevel.checkpoint()
        totals = await collection_totals(state, shown.values()) if replicas else []
        return {
            "at": self._clock.wall(),
            "answered_by": self._peers.me,
            "epoch": state.epoch,
            "nodes": nodes,
            "operations": [dataclasses.asdict(each) for each in await operations_of_all(replies)],
            "collections": [dataclasses.asdict(each) for each in totals],
            "replicas": list(shown.values()),
        }

    def nodes(self, replies: Replies) -> Iterator[NodeStatistics]:
        """Every current member, with what it says."""
        state = self._catalog.state
        return (self._node(state, node, replies.get(node)) for node in state.current())

    def _node(self, state: ClusterState, node: NodeId, reply: m.NodeStatisticsReply | None) -> NodeStatistics:
        member = state.members[node]
        said = {} if reply is None else known(NodeStatistics, reply.statistics)
        operations = [] if reply is None else [known(OperationStatistics, each) for each in reply.operations]
        return NodeStatistics(
            **{
                **said,
                "node": node,
                "name": member.name,
                "zone": member.zone,
                "state": member.state.value,
                "address": str(member.address),
                "liveness": self._liveness(node).value,
                "operations": operations,
            }
        )

    async def _answer_statistics(self, message: m.GetStatistics, timeout: float) -> m.StatisticsReply:
        return m.StatisticsReply(await self.cluster(replicas=message.replicas))

    # --- the past ---------------------------------------------------------------------------------------------------

    async def _answer_history(self, message: m.GetHistory, timeout: float) -> m.HistoryReply:
        if not 0 < message.seconds <= DAY_S:
            raise InvalidArgument(
                f"seconds is above 0 and at most {DAY_S}: older figures are not kept", field="seconds"
            )
        for name in message.figures:
            if name not in FIGURES:
                raise InvalidArgument(f"{name!r:.40} is none of {', '.join(FIGURES)}", field="figures")
        return m.HistoryReply(dataclasses.asdict(await self.history(message.seconds, message.figures, message.node)))

    async def history(self, seconds: float, figures: list[str], name: str | None) -> History:
        """Of one node, by name or id, or of all that answer.

        Raises:
            NotFound: There is no such node.
            Unavailable: It does not answer.
        """
        state = self._catalog.state
        nodes = list(state.current())
        if name is not None:
            nodes = [node for node in nodes if name in (node, state.members[node].name)]
            if not nodes:
                raise NotFound(f"there is no node {name!r}", field="node")
        replies = await self._ask(nodes, m.GetNodeHistory(seconds, figures or list(FIGURES)))
        if not replies:
            raise Unavailable(f"node {name or 'of this cluster'} gives no figures now", node=nodes[0])
        return joined_history(replies, "" if name is None else nodes[0])


def known(cls: type, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that this version knows: a newer node may say more."""
    names = {each.name for each in dataclasses.fields(cls)}
    return {name: value for name, value in fields.items() if name in names}


async def operations_of_all(replies: Replies) -> list[OperationStatistics]:
    """The operations of all nodes together."""
    found: defaultdict[tuple[str, str, int], list[dict[str, Any]]] = defaultdict(list)
    for reply in replies.values():
        for each in reply.operations:
            if each["window_s"] in WINDOWS_S:
                found[each["kind"], each["operation"], each["window_s"]].append(each)
        await trio.lowlevel.checkpoint()
    together = []
    for key, parts in sorted(found.items()):
        together.append(_together(*key, parts))
        await trio.lowlevel.checkpoint()  # a hundred nodes' histograms are a millisecond
    return together


def _together(kind: str, operation: str, window_s: int, parts: list[dict[str, Any]]) -> OperationStatistics:
    histogram = Histogram()
    for each in parts:
        try:
            histogram.add(Histogram.from_bytes(each["histogram"]))
        except ValueError as error:
            raise Internal(f"a node's figures of {operation} cannot be read: {error}") from error
    count, longest = sum(each["count"] for each in parts), max(each["max_ms"] for each in parts)
    p50, p95, p99 = (min(each * 1000, longest) for each in histogram.quantiles(0.50, 0.95, 0.99))
    return OperationStatistics(
        operation=operation,
        kind=kind,
        window_s=window_s,
        count=count,
        rate=sum(each["rate"] for each in parts),
        errors=sum(each["errors"] for each in parts),
        mean_ms=sum(each["mean_ms"] * each["count"] for each in parts) / count,
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        max_ms=longest,
        bytes_in=sum(each["bytes_in"] for each in parts),
        bytes_out=sum(each["bytes_out"] for each in parts),
        rejected=sum(each.get("rejected", 0) for each in parts),
    )


async def replica_fields(
    state: ClusterState, replies: Replies, before: Mapping[str, dict[str, Any]] | None = None
) -> dict[str, dict[str, Any]]:
    """The fields of `ReplicaStatistics` of every replica that the catalog names, with what its node says of it, by
    collection/shard/node, in the order of collections and shards. Those that are as `before` are the same objects.
    """
    before = before or {}
    said: dict[tuple[str, str, int], dict[str, Any]] = {}
    for node, reply in replies.items():
        said |= {(node, each["collection"], each["shard"]): each for each in reply.replicas}
        await trio.lowlevel.checkpoint()
    driven = {(each["collection"], each["shard"]): each for reply in replies.values() for each in reply.moves}
    names = tuple(each.name for each in dataclasses.fields(ReplicaStatistics))
    unknown = {each.name: each.default for each in dataclasses.fields(ReplicaStatistics)}
    found: dict[str, dict[str, Any]] = {}
    for collection in sorted(state.collections.values(), key=lambda each: each.name):
        for index in range(collection.shards):
            shard = ShardId(collection.id, index)
            move = state.moves.get(shard)
            for node in state.route(shard).owners:
                known_of = said.get((node, shard.collection, index), {})
                fields = {name: known_of.get(name, unknown[name]) for name in names}
                fields |= {"collection": collection.name, "shard": index, "node": node}
                if move is not None and node in (move.leaving, move.coming):
                    progress = driven.get((shard.collection, index), {})
                    fields["move"] = move.step.value
                    fields["moving"] = "leaving" if node == move.leaving else "coming"
                    fields["moved_rows"] = progress.get("rows", 0)
                    fields["move_rows"] = progress.get("total", -1)
                key = f"{collection.name}/{index}/{node}"
                held = before.get(key)
                found[key] = held if held == fields else fields
                if len(found) % SLICE == 0:
                    await trio.lowlevel.checkpoint()
    return found


async def collection_totals(state: ClusterState, replicas: Iterable[Mapping[str, Any]]) -> list[CollectionTotals]:
    """Sums of `replicas` (as `replica_fields` gives them), by the name of the collection."""
    groups = itertools.groupby(replicas, key=itemgetter("collection"))
    ahead = next(groups, None)
    found = []
    for collection in sorted(state.collections.values(), key=lambda each: each.name):
        shards: list[list[Mapping[str, Any]]] = [[] for _ in range(collection.shards)]
        if ahead is not None and ahead[0] == collection.name:
            for each in ahead[1]:
                if each["points"] >= 0:
                    shards[each["shard"]].append(each)
            ahead = next(groups, None)
        await trio.lowlevel.checkpoint()
        fullest = [max(each, key=lambda replica: replica["points"]) for each in shards if each]
        sums = {name: sum(each[name] for each in fullest) for name in SUMMED}
        found.append(
            CollectionTotals(
                name=collection.name,
                shards=collection.shards,
                replicas=collection.options.replicas,
                all_bytes=sum(each["bytes"] for shard in shards for each in shard),
                missing_shards=sum(not each for each in shards),
                **sums,
            )
        )
    return found


def move_infos(state: ClusterState, said: Iterable[Mapping[str, Any]]) -> list[MoveInfo]:
    """The moves under way, with how far they are as their drivers said (`MoveProgress`)."""
    by_shard = {(each["collection"], each["shard"]): each for each in said}
    found = []
    for shard, move in sorted(state.moves.items()):
        progress = by_shard.get((shard.collection, shard.index), {})
        fields = known(MoveInfo, progress) if progress.get("move") == move.id else {}
        fields |= {
            "collection": state.collections[shard.collection].name,
            "shard": shard.index,
            "leaving": "" if move.leaving is None else state.members[move.leaving].name,
            "coming": "" if move.coming is None else state.members[move.coming].name,
            "step": move.step.value,
        }
        found.append(MoveInfo(**fields))
    return found


def joined_history(replies: Mapping[NodeId, m.NodeHistoryReply], node: str) -> History:
    """The past of all together, step by step: sums, or the largest where a sum says nothing."""
    begun = [reply for reply in replies.values() if reply.newest >= 0]
    step = next(iter(replies.values())).step_s
    newest = max((reply.newest for reply in begun), default=-1)
    figures: dict[str, list[float | None]] = {}
    for name in next(iter(replies.values())).figures:
        columns = [(reply.newest, reply.figures[name]) for reply in begun]
        length = max((len(column) for _, column in columns), default=0)
        fold = max if name in LARGEST else sum
        joined: list[float | None] = []
        for back in range(length - 1, -1, -1):
            slot = newest - back
            there = [
                column[len(column) - 1 - (last - slot)]
                for last, column in columns
                if 0 <= last - slot < len(column) and column[len(column) - 1 - (last - slot)] is not None
            ]
            joined.append(fold(there) if there else None)
        figures[name] = joined
    return History(node, step, (newest + 1) * step if newest >= 0 else 0.0, figures, len(begun))
