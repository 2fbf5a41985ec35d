"""What an operator can set for a node, and the node's own limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vectron_p2p.model.ids import Address

if TYPE_CHECKING:
    from pathlib import Path

    from vectron_p2p.membership.config import SwimConfig
    from vectron_p2p.model.settings import Setting


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """The options of `vectron node`."""

    data: Path | None
    """Folder of the node; None keeps everything in memory."""
    listen: Address = Address("127.0.0.1", 7700)
    advertise: Address | None = None
    """The address others should use, when it is not `listen`."""
    join: list[Address] = field(default_factory=list)
    zone: str = "default"
    name: str | None = None
    """None: made from the node's UUID."""
    durability: str = "fsync"
    """"fsync": an ack is on disk; "interval": it is in memory of W owners and on disk within 100 ms."""
    search_cache: int = 32 * 1024 * 1024
    """Bytes of answers to queries asked again, of all shards together; 0: none. A fifth of what 100,000 vectors of 384
    dimensions take, and some 10,000 answers of 10 hits."""
    alert_command: str | None = None
    """A program that is handed each alert of the cluster. Of this machine alone, never of the catalog: who may change
    that must not be able to have anything run on all machines."""
    insecure: bool = False
    """Listen beyond loopback although nothing is encrypted yet."""
    slow_ms: float = 500.0
    """Requests that take as long are logged: some 50 times what most take, beyond the 0.3 s after which a second owner
    is asked, and where people notice. 0: all are.
    """
    http: Address | None = None
    """Where to serve /healthz, /readyz and /metrics; None: nowhere."""
    log_level: str = "info"
    log_format: str = "auto"
    """Of stderr: "text", "json", or "auto" for text on a terminal and else JSON."""
    max_requests_per_second: float = 0.0
    """Of clients on points, as `node.limiter` weighs them; 0: no limit. Off by default: what a node bears depends on
    its vectors and cores, and its bounded queues refuse what is too much in any case.
    """
    max_requests_per_second_per_connection: float = 0.0
    """The same of one connection, so that one client does not take what all are to share; 0: no limit."""
    max_concurrent_requests: int = 2048
    """Of clients on points: some 20 kB each while they wait; far above the hundred that keep a node busy."""
    settings: list[Setting] = field(default_factory=list, compare=False)
    """The same with their origins, to be shown; empty when no command line was read."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Times and bounds inside a node, each with its reason. Simulation uses the same."""

    swim: SwimConfig
    call_timeout: float = 10.0
    """A request between nodes that has no deadline of its own: longer than any healthy disk stall, shorter than a
    client's 30 s.
    """
    write_timeout: float = 10.0
    """How long a write waits for its acks: a client's retry at another coordinator should still fit its 30 s."""
    phase_timeout: float = 4.0
    """How long a round waits for promises, and its row for being taken: silent connections have ended by then. A
    replica that forgot its promises is a learner for both phases at least: then no round that has one is under way.
    """
    hedge_after: float = 0.3
    """A search or read not answered by then is asked at another owner too, while nothing is known of how long this one
    takes: about 10x a slow search.
    """
    hedge_least: float = 0.05
    """Sooner nobody is late: a busy node's loop may lag 20 ms, and a thread wait as long for a processor."""
    hedge_most: float = 1.0
    """Later nobody is in time, however slow it was before: routing has to leave a dead node within 1 s."""
    background_sends: int = 4096
    """Rows batches still being sent to slow owners after the ack; above it writes are refused as Overloaded."""
    hint_interval: float = 5.0
    """Looking for hints whose target is back, besides the moment it comes back."""
    repair_interval: float = 10.0
    """Between anti-entropy rounds with a peer: 16 bytes a shard. Half of it after a difference; up to twice as long
    while nothing differs.
    """
    repair_bytes_per_s: float = 16 * 1024 * 1024
    """Rows copied by repair and learning together, per node: a tenth of a gigabit link and some 8,000 rows of 384-d."""
    move_bytes_per_s: float = 64 * 1024 * 1024
    """Rows copied by moves to this node, over both streams: half a gigabit link; a shard of 100,000 rows of 384-d takes
    a few seconds. What slows it down before that is its yielding to requests.
    """
    balance_after: float = 5.0
    """Members and wishes stay as they are for so long before moves are planned: machines that are added or removed
    together differ by a few seconds, and what is moved between two of them may have to be moved again.
    """
    move_patience: float = 60.0
    """Seconds that a move waits for a dead node before it is given up: a node that is started anew is back by then, and
    all that was copied would be copied again."""
    floor_age: float = 600.0
    """Seconds that a tombstone is kept at least, PROTOCOLS §7: nothing that still travels is as old, hints neither."""
    floor_interval: float = 60.0
    """Between attempts to collect the tombstones of a shard: a scan of its versions, 0.2 s a 100,000 rows."""
    learn_interval: float = 1.0
    """Between a learner's attempts to find owners to learn from: it answers nothing until it has."""
    startup_repair: float = 3.0
    """How long a starting node compares its replicas with their owners before it says ready: enough for some 10,000
    missed
    rows, and for finding that nothing was missed; the rest is repaired while it serves."""
    drain_timeout: float = 5.0
    """How long a stopping node waits for the requests it is serving: longer than a search, shorter than a
    supervisor's kill.
    """
    counter_interval: float = 1.0
    """PROTOCOLS §1.4: the durable counter grows each second."""
