"""What this node has measured of itself, put together when somebody asks.

Owns where each figure comes from. Must not know other nodes' figures. Invariant: disks are looked at off the event
loop.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
from typing import TYPE_CHECKING, Any

from vectron_p2p import __version__
from vectron_p2p.model.errors import VectronError
from vectron_p2p.model.statistics import CLIENT, PEER, WINDOWS_S, ConnectionStatistics, NodeStatistics
from vectron_p2p.node.services.health import LoopHealth
from vectron_p2p.node.services.sampler import Bytes, Sampler
from vectron_p2p.observability.meter import Meter, OperationMeter
from vectron_p2p.protocol import messages as m

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vectron_p2p.model.statistics import OperationStatistics
    from vectron_p2p.model.traffic import TrafficFigures
    from vectron_p2p.net.pool import Pool
    from vectron_p2p.net.rpc import Caller, RpcServer
    from vectron_p2p.node.catalog import Catalog
    from vectron_p2p.node.gossip import Gossip
    from vectron_p2p.node.identity import Identity
    from vectron_p2p.node.replicas import Replicas
    from vectron_p2p.node.runtime import Runtime
    from vectron_p2p.node.services.hints import Hints
    from vectron_p2p.runtime import Clock

HELD = frozenset({m.WatchNext})
"""Requests that wait for news: how long says nothing of the node."""

MAX_CALLERS = 100  # connections listed, the busiest first: 4,096 may be open, and nobody reads more than a screen
_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def operation_name(message: type) -> str:
    """`SearchShards` is counted as `search_shards`."""
    return _WORD.sub("_", message.__name__).lower()


VARIANTS: dict[type, Callable[[Any], str]] = {
    m.Search: lambda message: "search" if message.count <= 1 else "search_batch",
    m.ChangePayload: lambda message: "delete_payload" if message.remove else "set_payload",
}
"""Messages that carry what users call by different names."""


class Requests:
    """Counts the requests that are answered."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._meters: dict[tuple[str, type, str], OperationMeter] = {}
        self.meter = Meter(clock.now())

    def answered(
        self, message: Any, caller: Caller, seconds: float, error: VectronError | None, bytes_in: int, bytes_out: int
    ) -> None:
        """One that came over the network."""
        if type(message) not in HELD:
            self.count(message, caller.role, seconds, error=error, bytes_in=bytes_in, bytes_out=bytes_out)

    def count(
        self,
        message: Any,
        kind: str,
        seconds: float,
        *,
        error: BaseException | None,
        bytes_in: int = 0,
        bytes_out: int = 0,
    ) -> None:
        """One of `kind`, however it came. Of what a peer asks nothing is its fault alone: nodes are one program."""
        rejected = error is not None and kind == CLIENT and isinstance(error, VectronError) and error.callers_fault
        cls = type(message)
        variant = VARIANTS[cls](message) if cls in VARIANTS else ""
        meter = self._meters.get((kind, cls, variant))
        if meter is None:
            meter = self._meters[kind, cls, variant] = self.meter.operation(kind, variant or operation_name(cls))
        meter.record(
            self._clock.now(),
            seconds,
            failed=error is not None,
            rejected=rejected,
            bytes_in=bytes_in,
            bytes_out=bytes_out,
        )

    @contextlib.contextmanager
    def counted(self, message: Any, kind: str) -> Iterator[None]:
        """Counts one that no connection does: what is done in the block answers it."""
        began, failed = self._clock.now(), None
        try:
            yield
        except BaseException as error:
            failed = error
            raise
        finally:
            if type(message) not in HELD:
                self.count(message, kind, self._clock.now() - began, error=failed)


class Measuring:
    """Of one node."""

    def __init__(
        self,
        identity: Identity,
        runtime: Runtime,
        requests: Requests,
        catalog: Catalog,
        replicas: Replicas,
        hints: Hints,
        pool: Pool,
        gossip: Gossip,
        server: RpcServer,
        *,
        traffic: Callable[[], TrafficFigures],
    ) -> None:
        self._identity = identity
        self._runtime = runtime
        self._catalog = catalog
        self._replicas = replicas
        self._hints = hints
        self._pool = pool
        self._gossip = gossip
        self._server = server
        self._traffic = traffic
        self.meter = requests.meter
        self.disk_used = 0
        """As of the last look at the disk."""
        self.sampler = Sampler(
            runtime.clock,
            runtime.usage,
            requests.meter,
            transferred=self._transferred,
            points=self._points,
            disk_used=lambda: self.disk_used,
        )
        self.health = LoopHealth(
            runtime.clock, on_lag=gossip.lag, on_pause=gossip.paused, on_second=self.sampler.run_once
        )

    async def statistics(self) -> NodeStatistics:
        """All figures of this node but its operations: see `operations`."""
        clock = self._runtime.clock
        free, total = await self._runtime.executor.run("read", self._look)
        replicas = self._replicas.all()
        cache = self._replicas.cache
        lag = self.health.quantiles(0.50, 0.99, 1.0)
        node = self._identity.node
        member = self._catalog.state.members.get(node)
        return NodeStatistics(
            node=node,
            name=self._identity.name,
            zone=member.zone if member else "",
            at=clock.wall(),
            uptime_s=clock.now() - self.health.started,
            version=__version__,
            epoch=self._catalog.state.epoch,
            cpu_percent=self.sampler.cpu_percent,
            rss_bytes=self._runtime.usage.rss_bytes(),
            disk_used_bytes=self.disk_used,
            disk_free_bytes=free,
            disk_total_bytes=total,
            loop_lag_p50_ms=lag[0] * 1000,
            loop_lag_p99_ms=lag[1] * 1000,
            loop_lag_max_ms=lag[2] * 1000,
            shards=len(replicas),
            points=self._points(),
            unlinked=sum(each.index.unlinked for each in replicas),
            hints=self._hints.book.count,
            hint_bytes=self._hints.book.bytes,
            read_only=self._replicas.read_only,
            in_flight=self._server.in_flight,
            connections=self._server.connections,
            network=self.sampler.rates,
            queues=self._runtime.executor.waiting(),
            callers=self._callers(),
            peers=self._pool.statistics(),
            cache_hits=cache.hits + cache.shared,
            cache_misses=cache.misses,
            cache_bytes=cache.bytes,
            traffic=self._traffic(),
        )

    def operations(self) -> list[dict[str, Any]]:
        """The fields of `OperationStatistics` of each window, and what its percentiles are made of: those of a cluster
        cannot be had from those of its nodes.
        """
        return [
            {**dataclasses.asdict(figures), "histogram": tally.histogram.to_bytes()}
            for figures, tally in self.meter.windows(self._runtime.clock.now())
        ]

    def last_minute(self) -> list[OperationStatistics]:
        """What the operations of the last minute came to."""
        return [figures for figures, _ in self.meter.windows(self._runtime.clock.now(), WINDOWS_S[:1])]

    async def replicas(self) -> list[dict[str, Any]]:
        """The figures of each replica here, with the collection's UUID."""
        figures = await self._runtime.executor.run("read", self._replica_figures)
        lost = [
            {"collection": shard.collection, "shard": shard.index, "state": "failed"}
            for shard in sorted(self._replicas.failed)
        ]
        return figures + lost

    def look_at_disk(self) -> None:
        """How much the replicas take. Blocking."""
        self.disk_used = sum(each.store.approximate_size() for each in self._replicas.all())

    def _look(self) -> tuple[int, int]:
        self.look_at_disk()
        disk = self._runtime.disk
        return disk.free_bytes(), disk.total_bytes()

    def _replica_figures(self) -> list[dict[str, Any]]:
        return [
            {
                "collection": each.shard.collection,
                "shard": each.shard.index,
                **each.figures(),
                "unlinked": each.index.unlinked,
            }
            for each in self._replicas.all()
        ]

    def _points(self) -> int:
        return sum(each.store.live for each in self._replicas.all())

    def _callers(self) -> list[ConnectionStatistics]:
        wall = self._runtime.clock.wall()
        busiest = sorted(self._server.served(), key=lambda each: (-each.in_flight, -each.requests))[:MAX_CALLERS]
        return [
            ConnectionStatistics(
                address=str(each.address),
                kind=each.role,
                node=each.node or "",
                since=wall - each.age,
                requests=each.requests,
                in_flight=each.in_flight,
                bytes_in=each.bytes_in,
                bytes_out=each.bytes_out,
            )
            for each in busiest
        ]

    def _transferred(self) -> Bytes:
        client_in, client_out = self._server.transferred(CLIENT)
        peer_in, peer_out = self._server.transferred(PEER)
        pool_in, pool_out = self._pool.transferred()
        return Bytes(
            client_in,
            client_out,
            peer_in + pool_in + self._gossip.bytes_in,
            peer_out + pool_out + self._gossip.bytes_out,
        )
