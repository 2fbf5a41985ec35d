"""`vectron node`: one process, from its options to its exit code.

Prints one line on stdout when it serves (`ready node=... `); logs go to stderr (`observability.logs`).
"""

from __future__ import annotations

import gc
import ipaddress
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING

import trio

from vectron_p2p.catalog.state import BadCatalog
from vectron_p2p.index import blas
from vectron_p2p.model.errors import InvalidArgument, VectronError
from vectron_p2p.net.sockets import RealNetwork
from vectron_p2p.node.hosting import causes, limits, open_runtime
from vectron_p2p.node.joining import WrongCluster
from vectron_p2p.node.node import Node
from vectron_p2p.observability.logs import write_to
from vectron_p2p.runtime.allocator import keep_tidy, use_few_heaps
from vectron_p2p.runtime.real import TrioClock

if TYPE_CHECKING:
    from vectron_p2p.net.http import HttpServer
    from vectron_p2p.node.config import NodeConfig
    from vectron_p2p.node.replicas import Replicas


# New objects before the youngest are looked at for cycles. A busy node has some hundred requests of 50 objects each
# under way: at Python's default of 700 all these are looked at anew after every dozen requests, an eighth of its work.
YOUNG_OBJECTS = 20_000  # looked at in a millisecond


def check_exposure(config: NodeConfig) -> None:
    """Refuse to listen beyond this machine unasked.

    Raises:
        InvalidArgument: An address is not loopback and `insecure` is not set, or nobody could tell what to advertise.
    """
    for field, address in (("listen", config.listen), ("http", config.http)):
        if address is not None and not config.insecure and not _reach(address.host)[0]:
            raise InvalidArgument(
                f"{address.host} can be reached from other machines, and nothing is encrypted or authenticated: "
                "listen on 127.0.0.1, or say --insecure if the network is yours alone",
                field=field,
            )
    if _reach(config.listen.host)[1] and config.advertise is None:
        raise InvalidArgument("--advertise HOST:PORT is needed when listening on all addresses", field="advertise")


def _reach(host: str) -> tuple[bool, bool]:
    """Whether it is this machine alone, and whether it is all addresses."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost", False
    return address.is_loopback, address.is_unspecified


def run_node(config: NodeConfig) -> int:
    """Run until SIGTERM or SIGINT; 0 after an orderly stop, 1 on failure (said on stderr), 2 for options that cannot
    be.
    """
    write_to(sys.stderr, level=config.log_level, form=config.log_format)
    use_few_heaps()
    blas.use_one_thread()  # our own threads share the cores already, and a fork needs it (see index.blas)
    try:
        check_exposure(config)
    except InvalidArgument as error:
        sys.stderr.write(f"vectron node: {error.message}\n")
        return 2
    # Collections need not look at the 60,000 objects of modules: 40 ms with every thread stopped, and 100 to 200 ms
    # when cores are short. Not even now: the few that are garbage stay.
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 20, 20)
    gc.enable()
    failures: list[BaseException] = []
    try:
        trio.run(_main, config)
    except* (VectronError, WrongCluster, BadCatalog, OSError) as group:
        failures = causes(group)
    for failure in failures:
        text = getattr(failure, "strerror", None) or str(failure)  # an OSError's str begins with its number
        sys.stderr.write(f"vectron node: {text}\n")
    return 1 if failures else 0


def _is_calm(replicas: Replicas) -> bool:
    return all(replica.index.calm for replica in replicas.all())


async def _main(config: NodeConfig) -> None:
    with open_runtime(config, RealNetwork(TrioClock())) as runtime:
        node = Node(config, runtime, limits())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_stop_on_signal, node, nursery.cancel_scope)
            http = "-"
            if config.http is not None:
                from vectron_p2p.node.probes import Probes  # h11 is for nodes that serve HTTP

                server = await Probes(node).open(config.http, runtime.clock)
                nursery.start_soon(_serve_http, node, server)
                http = str(server.address)
            await nursery.start(node.run)
            calm = partial(_is_calm, node.replicas)
            nursery.start_soon(partial(keep_tidy, runtime.executor, runtime.clock, calm=calm))
            name = f"node={node.identity.node} name={node.identity.name}"
            sys.stdout.write(f"ready {name} listen={node.address} http={http}\n")
            sys.stdout.flush()
            await node.ended.wait()
            if node.left:
                sys.stdout.write(f"left {name} (it was drained, and its folder can be deleted)\n")
                sys.stdout.flush()
            nursery.cancel_scope.cancel()


async def _serve_http(node: Node, server: HttpServer) -> None:
    node.enter()
    await server.run()


async def _stop_on_signal(node: Node, scope: trio.CancelScope) -> None:
    """The first signal asks for an orderly end, a second one ends at once; so does the first before it serves."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            if not node.serving:
                scope.cancel()
            node.stop()
            async for _ in signals:
                scope.cancel()
