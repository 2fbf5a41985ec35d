"""`Cluster`: N real nodes in one trio program, on a simulated network, disk, executor and clock.

    async with open_cluster(nodes=3, seed=7) as cluster:
        async with cluster.client() as db:
            docs = await db.create_collection("docs", dimension=8)
            ...
            cluster.kill("n1")                      # as SIGKILL; power=True loses what was not synced
            await cluster.start("n1")               # the same disk, the next boot

Use it under a virtual clock (pytest-trio's `autojump_clock`, or `determinism.run_deterministic`). Invariant: all that
a node does is a function of the seed and of the calls made here.
"""

from __future__ import annotations

import random
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import trio

from vectron_p2p.membership.config import SwimConfig
from vectron_p2p.model.ids import Address, ShardId
from vectron_p2p.model.nodes import Liveness, NodeState
from vectron_p2p.node.config import Limits, NodeConfig
from vectron_p2p.node.node import Node
from vectron_p2p.node.runtime import Runtime
from vectron_p2p.runtime.crew import ThreadCrew
from vectron_p2p.testing.client import SimClient, open_client
from vectron_p2p.testing.clock import SimClock
from vectron_p2p.testing.disk import SimDisk
from vectron_p2p.testing.executor import SimExecutor
from vectron_p2p.testing.network import MemoryNetwork
from vectron_p2p.testing.outlet import Outside
from vectron_p2p.testing.usage import SimUsage
from vectron_p2p.testing.virtual_time import PROCESS, VirtualClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping

    from vectron_p2p.model.ids import NodeId

PORT = 7700
START_WITHIN = 120.0  # virtual seconds: a start that takes longer, with a majority there, is a defect
CLIENT_HOST = "client"
POLL = 0.02  # virtual seconds: below anything a test measures


@dataclass(slots=True)
class Host:
    """One machine: its disk and clock outlive its processes."""

    name: str
    disk: SimDisk
    clock: SimClock
    address: Address
    random: random.Random
    zone: str = "default"
    durability: str = "fsync"
    usage: SimUsage = field(default_factory=SimUsage)
    alert_command: str | None = None
    node_name: str = ""
    """What the node here calls itself; "" for the host's name."""
    installs: int = 1
    """How often a node was set up here; each is another node."""
    boots: int = 1
    """Of the machine: power cuts make it another one."""
    left: bool = False
    """The node that was here last was drained, and has left its cluster."""
    node: Node | None = None
    executor: SimExecutor | None = None
    scope: trio.CancelScope | None = None
    failures: list[BaseException] = field(default_factory=list)
    """What processes here died of, other than `kill`."""

    @property
    def up(self) -> bool:
        return self.node is not None and self.node.serving


class Cluster:
    """Made by `open_cluster`."""

    def __init__(
        self, seed: int, nursery: trio.Nursery, limits: Limits | None, options: Mapping[str, Any] | None = None
    ) -> None:
        self.random = random.Random(seed)
        self.clock = SimClock()
        self.network = MemoryNetwork(self.clock, random.Random(self.random.getrandbits(64)))
        self.outside = Outside()
        self.hosts: dict[str, Host] = {}
        self.limits = limits or Limits(swim=SwimConfig.sim())
        self._nursery = nursery
        self._options = dict(options or {})

    # --- hosts and processes ----------------------------------------------------------------------------------------

    def add_host(self, name: str, *, zone: str = "default", durability: str = "fsync") -> Host:
        host = Host(
            name,
            SimDisk(random.Random(self.random.getrandbits(64))),
            SimClock(),
            Address(name, PORT),
            random.Random(self.random.getrandbits(64)),
            zone,
            durability,
        )
        self.hosts[name] = host
        return host

    def reinstall(self, name: str) -> None:
        """The machine `name`, whose process has ended, gets an empty disk; what starts there next is another node."""
        host = self.hosts[name]
        host.disk = SimDisk(random.Random(host.random.getrandbits(64)))
        host.installs += 1
        host.left = False
        host.node_name = f"{name}-{host.installs}"

    async def start(
        self, name: str, *, zone: str | None = None, join: list[Address] | None = None, wait: bool = True
    ) -> Node:
        """A process on `name`: founds the cluster on the first host, joins or rejoins it on the others (and where
        another node was before), or through the seeds given in `join`.
        """
        host = self.hosts[name]
        assert host.scope is None, f"{name} is running"
        host.zone = zone or host.zone
        first = next(iter(self.hosts.values()))
        if join is None and host.installs > 1:
            join = [other.address for other in self.hosts.values() if other is not host]
        elif join is None:
            join = [] if host is first else [first.address]
        executor = SimExecutor(host.clock, random.Random(host.random.getrandbits(64)))
        runtime = Runtime(
            clock=host.clock,
            random=random.Random(host.random.getrandbits(64)),
            executor=executor,
            network=self.network.host(name),
            disk=host.disk,
            outlet=self.outside.outlet(name),
            link_threads=ThreadCrew(1),
            search_threads=2,
            usage=host.usage,
            machine=f"{name}-{host.boots}",
        )
        config = NodeConfig(
            data=None,
            listen=host.address,
            join=join,
            name=host.node_name or name,
            zone=host.zone,
            durability=host.durability,
            alert_command=host.alert_command,
            **self._options,
        )
        node = Node(config, runtime, self.limits)
        host.node, host.executor, host.scope = node, executor, trio.CancelScope()
        self._nursery.start_soon(self._run, host, node, host.scope)
        if wait:
            await self.until(lambda: node.serving or host.node is not node, within=START_WITHIN, what=f"{name} serves")
            if host.failures:
                raise host.failures[-1]
        return node

    async def _run(self, host: Host, node: Node, scope: trio.CancelScope) -> None:
        PROCESS.set(host.name)
        try:
            with scope:
                await node.run()
        except* Exception as group:
            if host.node is node:  # what a killed process fails at on its dead handles is no failure
                host.failures.append(group)
        finally:
            host.left = node.left
            if host.node is node:  # it ended by itself: its machine closes what it left open
                self._end(host, power=False, silent=False)

    def kill(self, name: str, *, power: bool = False) -> None:
        """SIGKILL, or (`power`) the machine's end: handles go dead first, so that no clean-up does what the dead
        cannot.
        """
        host = self.hosts[name]
        scope = host.scope
        if scope is not None:
            self._end(host, power=power, silent=None)
            scope.cancel()

    def _end(self, host: Host, *, power: bool, silent: bool | None) -> None:
        if host.executor is not None:
            host.executor.dead = True
        self.network.kill(host.name, silent=silent)
        host.disk.crash(power=power)
        self.thaw(host.name)
        host.boots += power
        host.node = host.scope = None

    def freeze(self, name: str) -> None:
        """SIGSTOP, or a machine that gets no processor: needs a virtual clock."""
        self._virtual.freeze(name)

    def thaw(self, name: str) -> None:
        """SIGCONT: the process finds all that came meanwhile at once."""
        clock = trio.lowlevel.current_clock()
        if isinstance(clock, VirtualClock):
            clock.thaw(name)

    @property
    def _virtual(self) -> VirtualClock:
        clock = trio.lowlevel.current_clock()
        assert isinstance(clock, VirtualClock), "processes freeze in virtual time only: see testing.determinism"
        return clock

    async def stop(self, name: str) -> None:
        """SIGTERM, and the wait for its orderly end."""
        node = self.hosts[name].node
        if node is not None:
            node.stop()
            await node.ended.wait()

    @property
    def up(self) -> list[Host]:
        """Hosts whose process serves."""
        return [host for host in self.hosts.values() if host.up]

    def node(self, name: str) -> Node:
        """The running process on `name`."""
        node = self.hosts[name].node
        assert node is not None, f"{name} is down"
        return node

    # --- clients ----------------------------------------------------------------------------------------------------

    def client(
        self, *names: str, timeout: float = 30.0, nursery: trio.Nursery | None = None, learning: bool = False
    ) -> AbstractAsyncContextManager[SimClient]:
        """The real client, with `names` (default: all hosts) as seeds, on a host of its own. It asks only these, unless
        it is `learning` of other nodes, as clients do.
        """
        seeds = [self.hosts[name].address for name in names or self.hosts]
        return open_client(
            seeds,
            self.network.host(CLIENT_HOST),
            self.clock,
            random.Random(self.random.getrandbits(64)),
            nursery or self._nursery,
            timeout=timeout,
            learning=learning,
        )

    # --- looking ----------------------------------------------------------------------------------------------------

    async def until(self, condition: Callable[[], bool], *, within: float, what: str = "condition") -> None:
        """Until `condition()`; AssertionError after `within` virtual seconds."""
        with trio.move_on_after(within):
            while not condition():  # noqa: ASYNC110  (no event stands for "all nodes agree")
                await trio.sleep(POLL)
            return
        raise AssertionError(f"not within {within:g} s: {what}")

    def agreed(self) -> bool:
        """Whether every running node knows the same catalog and sees every other running node alive."""
        nodes = [host.node for host in self.up if host.node is not None]
        if len({(node.catalog.state.epoch, node.catalog.state.hash) for node in nodes}) != 1:
            return False
        return all(
            node.gossip.liveness(other.identity.node) is Liveness.ALIVE for node in nodes for other in nodes
        ) and all(
            node.catalog.state.members[other.identity.node].state is NodeState.ACTIVE
            for node in nodes
            for other in nodes
        )

    def replica_roots(self) -> dict[ShardId, dict[NodeId, bytes]]:
        """The Merkle root of every open replica."""
        roots: dict[ShardId, dict[NodeId, bytes]] = {}
        for host in self.up:
            node = self.node(host.name)
            for replica in node.replicas.all():
                roots.setdefault(replica.shard, {})[node.identity.node] = replica.store.merkle_root()
        return roots

    def replicas_equal(self) -> bool:
        """Whether all running owners of each shard hold the same rows."""
        return all(len(set(roots.values())) == 1 for roots in self.replica_roots().values())


@asynccontextmanager
async def open_cluster(
    *,
    nodes: int = 3,
    seed: int = 0,
    zones: Iterable[str] = (),
    limits: Limits | None = None,
    durability: str = "fsync",
    options: Mapping[str, Any] | None = None,
) -> AsyncIterator[Cluster]:
    """A cluster of hosts n1..nN, all started and agreed; killed at the end of the block.

    Args:
        options: Further fields of each node's `NodeConfig`.
    """
    places = list(zones)
    async with trio.open_nursery() as nursery:
        cluster = Cluster(seed, nursery, limits, options)
        for number in range(1, nodes + 1):
            zone = places[(number - 1) % len(places)] if places else "default"
            cluster.add_host(f"n{number}", zone=zone, durability=durability)
            await cluster.start(f"n{number}")
        await cluster.until(cluster.agreed, within=60.0, what="all nodes agree after the start")
        try:
            yield cluster
        finally:
            for name in cluster.hosts:
                cluster.kill(name)
            nursery.cancel_scope.cancel()
