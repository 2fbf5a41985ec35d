"""How a node gets its first catalog: by founding a cluster, or by asking a member in.

Invariant (DESIGN §4): a node started with `--join` never founds a cluster, however long nobody answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from vectron_p2p.catalog import commands
from vectron_p2p.catalog.records import PREFIX, Persisted, bootstrap, load
from vectron_p2p.catalog.state import BadCatalog, ClusterState, found
from vectron_p2p.model.errors import InvalidArgument, PermissionDenied, VectronError
from vectron_p2p.model.ids import Address, ClusterId, NodeId, parse_address
from vectron_p2p.net.interfaces import ConnectionLost
from vectron_p2p.net.rpc import RpcConnection
from vectron_p2p.node.runtime import Runtime, new_uuid
from vectron_p2p.observability.logs import get_logger
from vectron_p2p.protocol import messages as m
from vectron_p2p.protocol.connection import PROTOCOL_VERSIONS

if TYPE_CHECKING:
    from vectron_p2p.node.catalog import Catalog
    from vectron_p2p.node.config import NodeConfig
    from vectron_p2p.node.identity import Identity
    from vectron_p2p.storage.kv import KeyValue

log = get_logger(__name__)

SEED_TIMEOUT = 3.0  # a live seed answers in milliseconds; another one is tried after this
MEMBER_TIMEOUT = 1.0  # members that are gone without a word should not hold up a start for longer
RETRY_FIRST, RETRY_LAST = 0.5, 5.0  # between rounds over all seeds, with jitter: quick while a cluster is being started
JOIN_TIMEOUT = 10.0  # the member asked has to get an entry decided
LET_IN_TIMEOUT = 5.0  # for the entry that lets a node in


class WrongCluster(Exception):
    """A seed belongs to another cluster than this node's folder."""


def persisted_catalog(system: KeyValue) -> Persisted | None:
    """What this node's disk knows of a cluster. Blocking.

    Raises:
        BadCatalog: It cannot be read.
    """
    return load(system.iterate(PREFIX, PREFIX + b"\xff"))


def _start_from(system: KeyValue, state: ClusterState) -> Persisted:
    system.write(bootstrap(state), sync=True)
    persisted = persisted_catalog(system)
    assert persisted is not None
    return persisted


async def found_cluster(
    config: NodeConfig, identity: Identity, address: Address, system: KeyValue, runtime: Runtime
) -> Persisted:
    """A new cluster with this node as its only member."""
    cluster = ClusterId(new_uuid(runtime.random))
    state = found(cluster, identity.node, identity.name, address, config.zone)
    log.info("cluster_founded", cluster=cluster)
    return await runtime.executor.run("system", _start_from, system, state)


async def join_cluster(
    config: NodeConfig, identity: Identity, address: Address, system: KeyValue, runtime: Runtime
) -> Persisted:
    """Ask the seeds in turn until one lets this node in, for ever.

    Raises:
        VectronError: A member refused, for a reason that asking again does not change (the name is taken, say).
    """
    message = m.JoinCluster(node=identity.node, name=identity.name, address=str(address), zone=config.zone)
    wait = RETRY_FIRST
    while True:
        for seed in config.join:
            try:
                reply = await _ask(seed, message, None, identity, runtime, JOIN_TIMEOUT)
                state = ClusterState.from_bytes(reply.snapshot)
                log.info("joined", cluster=state.cluster, through=str(seed))
                return await runtime.executor.run("system", _start_from, system, state)
            except (ConnectionLost, BadCatalog) as error:
                log.warning("seed_unreachable", seed=str(seed), error=str(error), advice="retrying for ever")
            except VectronError as error:
                if not error.retryable:
                    raise
                log.warning("join_not_possible_yet", seed=str(seed), error=error.message)
        await runtime.clock.sleep(wait * runtime.random.uniform(0.5, 1.0))
        wait = min(2 * wait, RETRY_LAST)


async def meet_others(config: NodeConfig, state: ClusterState, identity: Identity, runtime: Runtime) -> int:
    """A node that has a cluster greets its seeds and the other members before it takes part: it learns where seeds are
    now, and whether it is still the one that the others know. Returns the highest epoch that any of them has.

    Who does not answer is no obstacle: after a restart of all nodes nobody may be there yet.

    Raises:
        WrongCluster: A seed is of another cluster.
        PermissionDenied: This node was removed, or its folder was restored or copied.
    """
    members = [
        identity.peer_address(node) or state.members[node].address for node in state.current() if node != identity.node
    ]
    failures: list[Exception] = []
    epochs = [state.epoch]

    async def meet(address: Address) -> None:
        message, seed = m.GetNodeStatus(replicas=False), address in config.join
        try:
            reply = await _ask(
                address, message, state.cluster, identity, runtime, SEED_TIMEOUT if seed else MEMBER_TIMEOUT
            )
        except ConnectionLost as error:
            log.info("member_unreachable", address=str(address), seed=seed, error=str(error))
        except InvalidArgument as error:
            if seed and error.field == "cluster":
                failures.append(WrongCluster(f"{address}: {error.message}"))
        except PermissionDenied as error:
            failures.append(error)
        except VectronError as error:
            log.info("member_not_ready", address=str(address), error=error.message)
        else:
            epochs.append(int(reply.status.get("epoch", 0)))
            if seed:
                identity.found_at(NodeId(str(reply.status.get("id"))), address)

    async with trio.open_nursery() as nursery:
        for address in dict.fromkeys([*config.join, *members]):
            nursery.start_soon(meet, address)
    if failures:
        raise failures[0]
    return max(epochs)


async def _ask(
    seed: Address, message: object, cluster: ClusterId | None, identity: Identity, runtime: Runtime, timeout: float
) -> Any:
    hello = m.Hello(
        versions=list(PROTOCOL_VERSIONS),
        role="peer",
        cluster=cluster,
        node=identity.node,
        counter=identity.first,
        boot=identity.boot,
        lives=identity.lives,
    )
    dial = min(timeout, SEED_TIMEOUT)
    async with RpcConnection.open(runtime.network, seed, hello, runtime.clock, timeout=dial) as connection:
        return await connection.call(message, timeout=timeout)


async def let_in(catalog: Catalog, message: m.JoinCluster) -> m.JoinReply:
    """Makes another node a member."""
    command = commands.AddMember(NodeId(message.node), message.name, parse_address(message.address), message.zone)
    await catalog.propose(command, timeout=LET_IN_TIMEOUT)
    return m.JoinReply(catalog.state.to_bytes())
