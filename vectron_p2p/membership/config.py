"""The numbers of membership, each with its formula and its trade-off.

Owns the defaults and the presets. The LAN numbers are those of HashiCorp's memberlist, proven in Consul, with the
changes that a database of tens of nodes asks for: dead members are probed for ever, and packets are answered in kind.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from vectron_p2p.model.errors import InvalidArgument


@dataclass(frozen=True, slots=True)
class SwimConfig:
    """All times in seconds. `n` below is the number of members not dead, this node among them."""

    probe_interval: float = 1.0
    """One member is probed per interval, times (health score + 1). A probe fails at the end of its interval. Shorter
    finds failures sooner, at one ping and one ack per node and interval."""

    probe_timeout: float = 0.5
    """Wait for a direct ack before help is asked for. Above the p99 round trip of the network, well below the interval:
    what is left of the interval is the time for indirect probes and the TCP fallback."""

    nack_fraction: float = 0.8
    """A relay says it got no ack after this part of `probe_timeout`, so that its nack arrives before the probe ends."""

    indirect_probes: int = 3
    """Members asked to probe on our behalf. Each costs four packets; three pass a link that loses a third of them."""

    suspicion_mult: int = 4
    """A suspect may refute for `suspicion_mult * max(1, log10(n)) * probe_interval` at least: 4 s for up to 10 nodes.
    Lower finds deaths sooner and kills slow members more often. Independent accusers that shorten the wait to this
    minimum: `suspicion_mult - 2`, none in clusters too small to have them."""

    suspicion_max_mult: int = 6
    """A lone accuser waits this many times the minimum (Lifeguard): if nobody else sees it, the fault may be ours."""

    suspicion_rate: float = 5.0
    """Suspicions this node may start per second, also the burst. A sick node must not accuse the whole cluster."""

    gossip_interval: float = 0.2
    """Between rounds of gossip while there is something to gossip; nothing is sent otherwise."""

    gossip_nodes: int = 3
    """Members a round of gossip goes to."""

    retransmit_mult: int = 4
    """An update leaves this node `retransmit_mult * ceil(log10(n + 1))` times. Higher survives more loss."""

    push_pull_interval: float = 30.0
    """Whole tables are exchanged with one member this often (times log2(n / 32) + 1 above 32 nodes), and with one dead
    member: what gossip lost is found, at the cost of ~100 bytes per member."""

    awareness_max: int = 8
    """The health score lies in 0..awareness_max - 1 and stretches the probe interval up to this many times."""

    dead_probe_interval: float = 10.0
    """A dead member is probed at the latest this long after its last probe, for ever. Bounds how long two healed sides
    of a partition stay apart."""

    lag_threshold: float = 0.25
    """A tick or event loop later than this is a sign of ill health; deadlines that it slept through are put off."""

    pause_threshold: float = 2.0
    """A tick later than this was a pause of the whole process: what it thought of others is void."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (isinstance(value, int | float) and math.isfinite(value) and value > 0):
                raise InvalidArgument(f"{field.name} is a number above 0, not {value!r}", field=field.name)
        if self.probe_timeout >= self.probe_interval:
            raise InvalidArgument("probe_timeout lies below probe_interval", field="probe_timeout")
        if self.nack_fraction >= 1:
            raise InvalidArgument("nack_fraction lies below 1", field="nack_fraction")
        if self.suspicion_mult < 2:
            raise InvalidArgument("suspicion_mult is 2 or more: a suspect needs time to refute", field="suspicion_mult")

    @classmethod
    def lan(cls) -> SwimConfig:
        """Machines of one site."""
        return cls()

    @classmethod
    def local(cls) -> SwimConfig:
        """Processes of one machine: no loss, tiny round trips, so everything may be quicker."""
        return cls(
            probe_timeout=0.2,
            suspicion_mult=3,
            gossip_interval=0.1,
            push_pull_interval=15.0,
            retransmit_mult=2,
            dead_probe_interval=5.0,
        )

    @classmethod
    def sim(cls) -> SwimConfig:
        """As `lan`, but whole tables are exchanged often enough to be seen in a minute of virtual time."""
        return cls(push_pull_interval=10.0)
