"""The metrics of a node for Prometheus: each declared once, with where its samples come from.

Names begin with `vectron_`, in base units (seconds, bytes), totals end in `_total`. Invariant: every label has few
values: operations are names of messages, peers are members of the cluster; ids, addresses and collections are none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vectron_p2p.model.ids import NodeId
from vectron_p2p.model.nodes import Liveness
from vectron_p2p.node.readiness import not_ready
from vectron_p2p.observability.exposition import BOUNDS_S, Buckets, Metric, Sample
from vectron_p2p.observability.histogram import middle_us

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vectron_p2p.model.statistics import NodeStatistics
    from vectron_p2p.node.node import Node
    from vectron_p2p.observability.meter import Tally

OPERATION = ("kind", "operation")

INFO = Metric("vectron_node_info", "gauge", "Always 1; who this node is.", ("name", "zone", "version"))
READY = Metric("vectron_ready", "gauge", "Whether /readyz says ready.")
UPTIME = Metric("vectron_uptime_seconds", "gauge", "Since the process serves.")
EPOCH = Metric("vectron_catalog_epoch", "gauge", "Number of the newest catalog entry here.")
CPU = Metric("vectron_cpu_usage_cores", "gauge", "Processor use over the last second, in cores.")
RSS = Metric("vectron_memory_resident_bytes", "gauge", "Resident memory of the process.")
DISK_USED = Metric("vectron_disk_used_bytes", "gauge", "Taken by this node's replicas, approximately.")
DISK_FREE = Metric("vectron_disk_free_bytes", "gauge", "Free on the file system of the node's folder.")
DISK_SIZE = Metric("vectron_disk_size_bytes", "gauge", "Size of that file system.")
READ_ONLY = Metric("vectron_read_only", "gauge", "Whether writes are refused because the disk is nearly full.")
LAG_P99 = Metric("vectron_event_loop_lag_p99_seconds", "gauge", "p99 of the event loop's lag over the last minute.")
LAG_MAX = Metric("vectron_event_loop_lag_max_seconds", "gauge", "Largest lag of the event loop over the last minute.")
REPLICAS = Metric("vectron_replicas", "gauge", "Shard replicas by state.", ("state",))
POINTS = Metric("vectron_points", "gauge", "Live points in all replicas of this node.")
UNLINKED = Metric("vectron_points_unlinked", "gauge", "Points that are searched exactly until they are linked.")
HINTS = Metric("vectron_hints", "gauge", "Rows kept for owners that were away.")
HINT_BYTES = Metric("vectron_hint_bytes", "gauge", "Memory that these take.")
CONNECTIONS = Metric("vectron_connections", "gauge", "Connections being served.")
IN_FLIGHT = Metric("vectron_requests_in_flight", "gauge", "Requests being answered.")
QUEUE = Metric("vectron_queue_jobs", "gauge", "Jobs that wait for a thread.", ("lane",))
REQUESTS = Metric("vectron_requests_total", "counter", "Requests answered, errors included.", OPERATION)
ERRORS = Metric("vectron_request_errors_total", "counter", "Requests that failed by no fault of the caller.", OPERATION)
REJECTED = Metric(
    "vectron_requests_rejected_total", "counter", "Requests of clients that were at fault themselves.", OPERATION
)
DURATION = Metric(
    "vectron_request_duration_seconds",
    "histogram",
    "From a request's last byte to its answer being queued; buckets within 3.2 %.",
    OPERATION,
)
REQUEST_BYTES = Metric("vectron_request_bytes_total", "counter", "Of requests, without framing.", OPERATION)
RESPONSE_BYTES = Metric("vectron_response_bytes_total", "counter", "Of answers, without framing.", OPERATION)
NETWORK = Metric(
    "vectron_network_bytes_total", "counter", "On TCP connections and in gossip packets.", ("kind", "direction")
)
PEER_ALIVE = Metric("vectron_peer_alive", "gauge", "0 for a member that this node holds for dead.", ("peer",))
PEER_OPEN = Metric("vectron_peer_breaker_open", "gauge", "Whether calls to it are being avoided.", ("peer",))
PEER_FAILURES = Metric("vectron_peer_failures_total", "counter", "Calls, dials, connections that failed.", ("peer",))
PEER_LATE = Metric("vectron_peer_late_total", "counter", "Answers that were late.", ("peer",))
HEDGES = Metric("vectron_hedges_total", "counter", "Second owners asked because the first was late.", ("outcome",))
LIMITED = Metric("vectron_requests_refused_total", "counter", "Requests of clients over a limit.", ("limit",))
LOG_BYTES = Metric("vectron_log_bytes", "gauge", "Log records kept in memory.")

METRICS = [value for value in globals().values() if isinstance(value, Metric)]

Found = tuple[Metric, list[Sample | Buckets]]


async def scrape(node: Node) -> list[Found]:
    """All metrics of a node; of one that is starting, only that it is not ready."""
    ready: Found = (READY, [Sample(float(not not_ready(node)))])
    if not node.serving:
        return [ready]
    figures = await node.measuring.statistics()
    return [ready, *_of_node(node, figures), *_of_requests(node), *_of_peers(node, figures)]


def _of_node(node: Node, figures: NodeStatistics) -> Iterator[Found]:
    yield INFO, [Sample(1, (figures.name, figures.zone, figures.version))]
    for metric, value in (
        (UPTIME, figures.uptime_s),
        (EPOCH, figures.epoch),
        (CPU, figures.cpu_percent / 100),
        (RSS, figures.rss_bytes),
        (DISK_USED, figures.disk_used_bytes),
        (DISK_FREE, figures.disk_free_bytes),
        (DISK_SIZE, figures.disk_total_bytes),
        (READ_ONLY, figures.read_only),
        (LAG_P99, figures.loop_lag_p99_ms / 1000),
        (LAG_MAX, figures.loop_lag_max_ms / 1000),
        (POINTS, figures.points),
        (UNLINKED, figures.unlinked),
        (HINTS, figures.hints),
        (HINT_BYTES, figures.hint_bytes),
        (CONNECTIONS, figures.connections),
        (IN_FLIGHT, figures.in_flight),
        (LOG_BYTES, node.journal.size),
    ):
        yield metric, [Sample(value)]
    learners = len(node.replicas.learners)
    states = {"open": len(node.replicas.all()) - learners, "learner": learners, "failed": len(node.replicas.failed)}
    yield REPLICAS, [Sample(count, (state,)) for state, count in states.items()]
    yield QUEUE, [Sample(count, (lane,)) for lane, count in sorted(figures.queues.items())]
    network = figures.network
    yield (
        NETWORK,
        [
            Sample(network.client_in_bytes, ("client", "in")),
            Sample(network.client_out_bytes, ("client", "out")),
            Sample(network.peer_in_bytes, ("peer", "in")),
            Sample(network.peer_out_bytes, ("peer", "out")),
        ],
    )


def _of_requests(node: Node) -> Iterator[Found]:
    totals = node.measuring.meter.since_start()
    yield REQUESTS, [Sample(tally.count, labels) for labels, tally in totals]
    yield ERRORS, [Sample(tally.errors, labels) for labels, tally in totals]
    yield REJECTED, [Sample(tally.rejected, labels) for labels, tally in totals]
    yield DURATION, [_buckets(tally, labels) for labels, tally in totals]
    yield REQUEST_BYTES, [Sample(tally.bytes_in, labels) for labels, tally in totals]
    yield RESPONSE_BYTES, [Sample(tally.bytes_out, labels) for labels, tally in totals]


def _buckets(tally: Tally, labels: tuple[str, ...]) -> Buckets:
    counts = [(middle_us(bucket) / 1e6, count) for bucket, count in tally.histogram.buckets.items()]
    below = tuple(sum(count for seconds, count in counts if seconds <= bound) for bound in BOUNDS_S)
    return Buckets(below, tally.count, tally.total_us / 1e6, labels)


def _of_peers(node: Node, figures: NodeStatistics) -> Iterator[Found]:
    state, me = node.catalog.state, node.identity.node
    names = {peer: state.members[peer].name for peer in state.current() if peer != me}
    alive = [Sample(node.gossip.liveness(peer) is not Liveness.DEAD, (name,)) for peer, name in names.items()]
    yield PEER_ALIVE, list(alive)
    peers = [(each, (names[NodeId(each.node)],)) for each in figures.traffic.peers if each.node in names]
    yield PEER_OPEN, [Sample(each.breaker != "closed", labels) for each, labels in peers]
    yield PEER_FAILURES, [Sample(each.failures, labels) for each, labels in peers]
    yield PEER_LATE, [Sample(each.late, labels) for each, labels in peers]
    hedges, limits = figures.traffic.hedges, figures.traffic.limits
    yield HEDGES, [Sample(hedges.sent, ("sent",)), Sample(hedges.won, ("won",)), Sample(hedges.denied, ("denied",))]
    yield (
        LIMITED,
        [
            Sample(limits.limited, ("node_rate",)),
            Sample(limits.limited_by_connection, ("connection_rate",)),
            Sample(limits.refused, ("concurrency",)),
        ],
    )
