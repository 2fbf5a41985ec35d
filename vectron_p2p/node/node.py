"""One node: everything put together, started in order, stopped in order.

Start: folder, identity, catalog (found, join or rejoin), services, replicas, then ready. Stop: tell the peers, finish
the requests under way, close the replicas. A failure that this node cannot live with (its catalog cannot be written,
two histories exist) ends it: peers carry on, and a half-working node would only mislead them.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import trio

from vectron_p2p.catalog.state import BadCatalog
from vectron_p2p.model.errors import PermissionDenied, Unavailable, VectronError
from vectron_p2p.model.nodes import Liveness, NodeState
from vectron_p2p.net.pool import Pool
from vectron_p2p.net.rpc import RpcServer
from vectron_p2p.node.administration import Administration
from vectron_p2p.node.alerting import Alerting
from vectron_p2p.node.catalog import Catalog
from vectron_p2p.node.client_service import ClientService
from vectron_p2p.node.coordinator.coordinator import Coordinator
from vectron_p2p.node.dispatch import Dispatch
from vectron_p2p.node.fences import Fences
from vectron_p2p.node.gossip import Gossip
from vectron_p2p.node.greeting import Greeting
from vectron_p2p.node.identity import LOST_SELF, Identity, check_owned
from vectron_p2p.node.insight import Insight
from vectron_p2p.node.joining import found_cluster, join_cluster, meet_others, persisted_catalog
from vectron_p2p.node.logbook import Logbook
from vectron_p2p.node.measuring import Measuring, Requests
from vectron_p2p.node.payload_fields import CollectionFields
from vectron_p2p.node.peers import Peers
from vectron_p2p.node.recovery import Recovery
from vectron_p2p.node.replica import KV_PREFIX
from vectron_p2p.node.replica_service import ReplicaService
from vectron_p2p.node.replicas import Replicas
from vectron_p2p.node.reports import Reports
from vectron_p2p.node.routes import Routes
from vectron_p2p.node.services.heartbeat import Heartbeat
from vectron_p2p.node.services.hints import Hints
from vectron_p2p.node.services.lost import LookForLost
from vectron_p2p.node.services.promises import Promises
from vectron_p2p.node.services.upkeep import Upkeep
from vectron_p2p.node.settings import Settings
from vectron_p2p.node.shard_records import ShardRecords
from vectron_p2p.node.slow_requests import SlowRequests
from vectron_p2p.node.stamps import Stamps
from vectron_p2p.node.standing import Standing
from vectron_p2p.node.status import Status
from vectron_p2p.node.traffic import Traffic
from vectron_p2p.node.warnings import warnings_of
from vectron_p2p.observability import logs
from vectron_p2p.observability.journal import Journal
from vectron_p2p.replication.hlc import HybridClock
from vectron_p2p.storage.kv import Corrupt

if TYPE_CHECKING:
    from vectron_p2p.catalog.records import Persisted
    from vectron_p2p.catalog.state import ClusterState
    from vectron_p2p.model.ids import Address, NodeId
    from vectron_p2p.net.interfaces import Endpoint
    from vectron_p2p.node.config import Limits, NodeConfig
    from vectron_p2p.node.runtime import Runtime

log = logs.get_logger(__name__)

SYSTEM = "system"  # the key-value store of identity, catalog and clock mark
ANNOUNCE = 0.3  # seconds for the news of a clean stop to leave: one round of gossip


class Node:
    """`run` is the life of the node; `stop` asks for its orderly end."""

    def __init__(self, config: NodeConfig, runtime: Runtime, limits: Limits) -> None:
        self.config = config
        self._runtime = runtime
        self._limits = limits
        self._stopping = trio.Event()
        self._refusal: PermissionDenied | None = None
        self.journal = Journal(level=config.log_level)
        self.ended = trio.Event()
        """Set when `run` is over."""
        self.serving = False
        self.left = False
        """Whether it has left its cluster for good: drained, with nothing to do any more."""

    def enter(self) -> None:
        """What this task logs from now on belongs to this node."""
        logs.enter(self.journal, self._runtime.clock.wall)

    def stop(self) -> None:
        """Begin the orderly end."""
        self._stopping.set()

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    # --- life -------------------------------------------------------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[Node] = trio.TASK_STATUS_IGNORED) -> None:
        """From start to end; `started` once it serves.

        Raises:
            OSError: The address or the folder cannot be used.
            VectronError: The cluster does not take this node.
            WrongCluster: A seed is of another cluster than the folder.
        """
        self.enter()
        endpoint = await self._runtime.network.listen(self.config.listen)
        try:
            try:
                system = await self._runtime.executor.run("system", self._runtime.disk.open, SYSTEM)
                try:
                    await self._live(endpoint, system, task_status)
                finally:
                    system.close()
            except (Corrupt, BadCatalog) as error:
                raise Corrupt(f"{error}; {LOST_SELF}") from error
        finally:
            self.serving = False
            with trio.CancelScope(shield=True):
                await endpoint.aclose()
            self.ended.set()

    async def _live(self, endpoint: Endpoint, system: Any, task_status: trio.TaskStatus[Node]) -> None:
        runtime = self._runtime
        self.address = self.config.advertise or endpoint.address
        check_owned(system, holds_data=bool(runtime.disk.names(KV_PREFIX)))
        self.identity = Identity(system, runtime.random, name=self.config.name)
        self.journal.life = str(self.identity.boot)
        persisted = persisted_catalog(system)
        self._records = ShardRecords(system, runtime.executor)
        epoch = 0
        if persisted is not None:
            epoch = await meet_others(self.config, persisted.state, self.identity, runtime)
        elif self.config.join:
            persisted = await join_cluster(self.config, self.identity, self.address, system, runtime)
        else:
            persisted = await found_cluster(self.config, self.identity, self.address, system, runtime)
        async with trio.open_nursery() as background:
            self._assemble(endpoint, system, persisted, background)
            async with trio.open_nursery() as serving:
                await self._start(serving, epoch)
                self.serving = True
                task_status.started(self)
                await self._stopping.wait()
                if self._refusal is not None:
                    raise self._refusal
                await self._wind_down()
                serving.cancel_scope.cancel()
            background.cancel_scope.cancel()

    def _assemble(self, endpoint: Endpoint, system: Any, persisted: Persisted, background: trio.Nursery) -> None:
        runtime, limits, identity = self._runtime, self._limits, self.identity
        hlc = HybridClock(identity.mark)
        self._pool = Pool(
            runtime.network,
            runtime.clock,
            runtime.random,
            lambda: self._greeting.hello(),
            self._resolve,
            on_broken=self._broken,
            on_refused=self._turned_away,
        )
        records = self._records
        self.replicas = Replicas(
            identity.node, runtime, records, self.config.durability, self.config.search_cache, latest=lambda: hlc.last
        )
        self.replicas.assign(persisted.state)
        self.catalog = Catalog(
            identity.node,
            persisted,
            system,
            self._pool,
            runtime,
            on_applied=self._applied,
            on_left_behind=lambda why: self._leave(PermissionDenied(why, node=identity.node)),
            background=background,
        )
        self._standing = Standing(identity.node, self.address, self.catalog, runtime)
        self._greeting = Greeting(identity, self.catalog, self._pool, resolve=self._resolve, now=runtime.clock.now)
        self.gossip = Gossip(
            identity,
            self.address,
            endpoint,
            self.catalog,
            self._pool,
            hlc,
            runtime,
            limits,
            on_change=self._member_changed,
            alerts=lambda: self._alerting.exchange,
            background=background,
        )
        stamps = self.stamps = Stamps(hlc, identity, runtime, background=background)
        fences = Fences(identity.node, lambda: self.catalog.state)
        self._replica_service = ReplicaService(
            identity.node,
            self.replicas,
            fences,
            state=lambda: self.catalog.state,
            catch_up=self.catalog.catch_up,
            observe=stamps.observe,
        )
        peers = self._peers = Peers(
            identity.node, self._pool, runtime.clock, local=self._serve_peer, liveness=self.gossip.liveness
        )
        self.traffic = Traffic(self.config, limits, peers, runtime.clock)
        self.hints = Hints(runtime.clock, limits, epoch=lambda: self.catalog.state.epoch)
        self.upkeep = Upkeep(peers, self.replicas, fences, self.catalog, stamps, runtime, limits, background)
        self.repair = self.upkeep.repair
        requests = self.requests = Requests(runtime.clock)
        self._server = RpcServer(
            endpoint,
            clock=runtime.clock,
            welcome=self._greeting.welcome,
            handler=lambda message, caller: self._dispatch.handle(message, caller),
            quick=lambda *request: self._dispatch.begin(*request),
            on_note=lambda message, caller: self._dispatch.take_note(message, caller),
            on_answered=requests.answered,
        )
        measuring = self.measuring = Measuring(
            identity,
            runtime,
            requests,
            self.catalog,
            self.replicas,
            self.hints,
            self._pool,
            self.gossip,
            self._server,
            traffic=self.traffic.figures,
        )
        self._heartbeat = Heartbeat(
            identity, system, records, self.replicas, runtime, limits, look_at_disk=measuring.look_at_disk
        )
        routes = self._routes = Routes(lambda: self.catalog.state, self.catalog.catch_up)
        own, hedging = self._replica_service.own_search, self.traffic.hedging
        coordinator = Coordinator.build(
            peers, runtime, stamps, self.hints, hedging, limits, routes=routes, own=own, background=background
        )
        self._promises = Promises(runtime.clock, runtime.random, self.replicas, coordinator.rounds)
        reports = Reports(
            peers,
            state=lambda: self.catalog.state,
            liveness=self.gossip.liveness,
            warnings=lambda: warnings_of(self.catalog, self.gossip.liveness, self.replicas, self.upkeep.learning),
            alerts=lambda: self._alerting.active(),
        )
        self.insight = Insight(measuring, peers, self.upkeep, reports, runtime)
        about = (identity, self.catalog, peers, self.gossip, stamps, self.repair, self.insight, runtime)
        self._alerting = Alerting(*about, command=self.config.alert_command, background=background)
        passes = self.upkeep.passes
        administration = Administration(
            peers, self.catalog, reports, self.upkeep.balancer, self.gossip.liveness, runtime.clock
        )
        logbook = Logbook(self.journal, peers, runtime.clock, state=lambda: self.catalog.state)
        settings = Settings(self.config, limits, identity, peers, state=lambda: self.catalog.state)
        more = {**self.insight.handlers, **self._alerting.handlers, **logbook.handlers, **settings.handlers}
        fields = CollectionFields(self.replicas, peers, runtime, state=lambda: self.catalog.state)
        clients = ClientService(self.catalog, coordinator, reports, passes, administration, fields, runtime, more=more)
        self._look_for_lost = LookForLost(
            self._pool, runtime.clock, runtime.random, state=lambda: self.catalog.state, on_found=self._leave
        )
        recovery = Recovery(self._peers, self.catalog, self.gossip.liveness, runtime, limits)
        status = Status(
            identity,
            self.address,
            self.catalog,
            self.replicas,
            self.hints,
            measuring,
            runtime,
            connections=lambda: self._server.connections,
            moves=self.upkeep.moves.progress,
        )
        self._dispatch = Dispatch(
            identity,
            self.catalog,
            self.gossip,
            clients,
            [self._replica_service, self.insight, self._alerting, self.upkeep, logbook, settings, fields],
            recovery,
            status,
            SlowRequests(runtime.clock, self.config.slow_ms / 1000, state=lambda: self.catalog.state),
            self.traffic.limiter,
            runtime.clock,
            coordinator.local_searches,
            serving=lambda: self.serving,
        )

    async def _start(self, nursery: trio.Nursery, epoch: int) -> None:
        """`epoch`: one that others have; this node serves nobody before it knows it too."""
        await nursery.start(self._pool.run)
        await nursery.start(self.catalog.run)
        nursery.start_soon(self.gossip.run)
        nursery.start_soon(self.replicas.run)
        await nursery.start(self._server.run)
        nursery.start_soon(self.measuring.health.run)
        nursery.start_soon(self._heartbeat.run)
        await self._standing.become_active()
        with contextlib.suppress(Unavailable):  # gone again, whoever was ahead: better an old catalog than no node
            await self.catalog.catch_up(epoch)
        while not self.replicas.settled:
            await self.replicas.changed()
        # What this node missed while it was down, as far as that is quickly done: it is about to answer for its shards.
        with self._runtime.clock.move_on_after(self._limits.startup_repair):
            await self.upkeep.at_start()
        nursery.start_soon(self.replicas.linker.run)
        nursery.start_soon(self.hints.run, self._peers)
        self.upkeep.run(nursery)
        nursery.start_soon(self._promises.run)
        nursery.start_soon(self._keep_standing)
        nursery.start_soon(self._look_for_lost.run)
        nursery.start_soon(self._alerting.run)

    async def _wind_down(self) -> None:
        """Tell the peers, finish what is under way, close."""
        self.gossip.leave()
        with trio.CancelScope(shield=True), self._runtime.clock.move_on_after(2 * self._limits.drain_timeout):
            await self._runtime.clock.sleep(ANNOUNCE)
            self.insight.watching.stop()
            await self._server.drain(self._limits.drain_timeout)
            await self._heartbeat.run_once()  # how far the shards have come, to the last write
            await self.replicas.aclose()

    # --- membership -------------------------------------------------------------------------------------------------

    async def _keep_standing(self) -> None:
        await self._standing.keep()
        self._has_left()

    def _applied(self, state: ClusterState) -> None:
        self.replicas.assign(state)
        self.gossip.follow(state)
        self.insight.catalog_changed()
        for target in self.hints.book.targets:
            if target not in state.current():
                self.hints.book.forget(target)

    def _member_changed(self, node: NodeId, before: Liveness | None, after: Liveness | None) -> None:
        if after is None or after is Liveness.DEAD:
            self._pool.drop(node)  # calls under way fail now, and go to another owner
            if after is None:
                self._peers.forget(node)
        elif after is Liveness.ALIVE:
            self._pool.reset(node)
            self._peers.seen(node)
            self.hints.returned()
            self.repair.soon()
        self.insight.members_changed()

    def _broken(self, node: NodeId, silent: bool) -> None:
        self._peers.broken(node, silent)
        self.gossip.suspect(node)

    def _resolve(self, node: NodeId) -> Address | None:
        """Where a node is now, or was when it was last heard of."""
        return self.gossip.address(node) or self.identity.peer_address(node)

    def _turned_away(self, peer: NodeId, error: VectronError) -> None:
        """A peer wants nothing to do with this node."""
        state, member = self.catalog.state, self.catalog.state.members.get(peer)
        if state.branch is not None and member is not None and member.state is NodeState.REMOVED:
            # One that was given up. A greeting from before the recovery may have reached it, which says nothing to it
            # of two recoveries; `LookForLost` greets it anew, and both stop.
            return
        if isinstance(error, PermissionDenied):
            if self._standing.dispensable:
                self._has_left()  # as it asked for; the peer knew first that it was decided
                return
            # Removed, or with a memory older than what it acknowledged: whatever it still answered could be wrong.
            log.critical("turned_away", peer=peer, error=error.message)
            self._leave(error)

    def _has_left(self) -> None:
        """Nobody needs this node any more: it ends as if it was asked to."""
        log.info("left_the_cluster", member=self.identity.node)
        self.left = True
        self.stop()

    def _leave(self, why: PermissionDenied) -> None:
        self._refusal = why
        self.stop()

    # --- requests ---------------------------------------------------------------------------------------------------

    async def answer_client(self, message: Any) -> Any:
        """The reply to a client's request, within the deadline of the scope it is called in."""
        return await self._dispatch.answer_client(message)

    async def _serve_peer(self, message: Any) -> Any:
        return await self._dispatch.serve_peer(message)
