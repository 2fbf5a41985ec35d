"""What this node says of itself."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vectron_p2p import __version__
from vectron_p2p.model.nodes import Liveness, NodeState, NodeStatus
from vectron_p2p.protocol import messages as m

if TYPE_CHECKING:
    from collections.abc import Callable

    from vectron_p2p.model.ids import Address
    from vectron_p2p.model.moves import MoveProgress
    from vectron_p2p.node.catalog import Catalog
    from vectron_p2p.node.identity import Identity
    from vectron_p2p.node.measuring import Measuring
    from vectron_p2p.node.replicas import Replicas
    from vectron_p2p.node.runtime import Runtime
    from vectron_p2p.node.services.hints import Hints


NO_FIGURES: dict[str, Any] = {
    "state": "failed",
    "points": -1,
    "bytes": -1,
    "merkle_root": "",
    "indexed": 0,
    "tombstones": 0,
}
"""Of a replica that this node owns and cannot open."""


class Status:
    """Figures of this node and its replicas."""

    def __init__(
        self,
        identity: Identity,
        address: Address,
        catalog: Catalog,
        replicas: Replicas,
        hints: Hints,
        measuring: Measuring,
        runtime: Runtime,
        *,
        connections: Callable[[], int],
        moves: Callable[[], list[MoveProgress]],
    ) -> None:
        self._identity = identity
        self._address = address
        self._catalog = catalog
        self._replicas = replicas
        self._hints = hints
        self._measuring = measuring
        self._runtime = runtime
        self._connections = connections
        self._moves = moves

    async def reply(self, message: m.GetNodeStatus) -> m.NodeStatusReply:
        """Disk sizes are asked off the loop."""
        uptime = self._runtime.clock.now() - self._measuring.health.started
        reply = await self._runtime.executor.run("read", self._reply, message.replicas, uptime)
        return replace(reply, moves=[dataclasses.asdict(move) for move in self._moves()])

    def _reply(self, with_replicas: bool, uptime: float) -> m.NodeStatusReply:
        replicas = self._replicas.all()
        figures = [
            {"collection": each.shard.collection, "shard": each.shard.index, **each.figures()} for each in replicas
        ]
        failed = self._replicas.failed
        lost = [{"collection": shard.collection, "shard": shard.index, **NO_FIGURES} for shard in sorted(failed)]
        cache = self._replicas.cache
        state = self._catalog.state
        member = state.members.get(self._identity.node)
        status = NodeStatus(
            id=self._identity.node,
            name=self._identity.name,
            address=str(self._address),
            zone=member.zone if member else "",
            state=(member.state if member else NodeState.JOINING).value,
            liveness=Liveness.ALIVE.value,
            version=__version__,
            epoch=state.epoch,
            uptime_s=uptime,
            loop_lag_ms=self._measuring.health.p99() * 1000,
            loop_lag_max_ms=self._measuring.health.largest * 1000,
            rss_bytes=self._runtime.usage.rss_bytes(),
            cpu_percent=self._measuring.sampler.cpu_percent,
            disk_free_bytes=self._runtime.disk.free_bytes(),
            data_bytes=sum(each["bytes"] for each in figures),
            shards=len(replicas),
            points=sum(each["points"] for each in figures),
            unindexed=sum(each.index.unlinked for each in replicas),
            hints=self._hints.book.count,
            connections=self._connections(),
            read_only=self._replicas.read_only,
            failed_shards=len(failed),
            cache_hits=cache.hits + cache.shared,
            cache_misses=cache.misses,
            cache_bytes=cache.bytes,
            payload_bytes=sum(each["payload_bytes"] for each in figures),
            learners=sum(each["state"] == "learner" for each in figures),
        )
        fields: dict[str, Any] = dataclasses.asdict(status)
        return m.NodeStatusReply(status=fields, replicas=figures + lost if with_replicas else [])
