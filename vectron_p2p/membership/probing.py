"""One probe, from the ping to the verdict, and the probes that others ask for.

    ping ──ack──────────────────────────────────────────▶ alive, health -1
      │ probe_timeout
      ├─ ping-req to k members ──ack─────────────────────▶ alive, health -1
      ├─ ping over TCP ──ack─────────────────────────────▶ alive, health -1
      │        └──── connection refused ─────────────────▶ failed
      │ end of the interval (longer in ill health)
      └──────────────────────────────────────────────────▶ failed, health + missing nacks

Owns running probes and relays. Must not judge members: a failed probe is returned to `swim`. Invariants: at most one
probe per member; a probe accuses only the incarnation that it was started on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vectron_p2p.membership.effects import Effect, SendPacket, SendStream
from vectron_p2p.membership.messages import Ack, Incarnation, Nack, Ping, PingReq
from vectron_p2p.model.nodes import Liveness

if TYPE_CHECKING:
    from random import Random

    from vectron_p2p.membership.awareness import Awareness
    from vectron_p2p.membership.config import SwimConfig
    from vectron_p2p.membership.dissemination import Dissemination
    from vectron_p2p.membership.local import Local
    from vectron_p2p.membership.members import Member, MemberTable
    from vectron_p2p.membership.timers import Timers
    from vectron_p2p.model.ids import Address, NodeId

PROBE = "probe"
"""Timer: a probe's direct ack, later its interval, is over."""
RELAY = "relay"
"""Timer: the asker of an indirect probe gets a nack."""


@dataclass(slots=True)
class Probe:
    sequence: int
    node: NodeId
    incarnation: Incarnation
    sent_at: float
    ends_at: float
    asked: int = -1
    """Relays asked; -1 while only the direct ping is out."""
    nacks: int = 0


@dataclass(slots=True)
class Relay:
    asker: NodeId
    address: Address
    sequence: int
    """The asker's."""
    target: NodeId


class Prober:
    """The probes of one node."""

    def __init__(
        self,
        local: Local,
        config: SwimConfig,
        table: MemberTable,
        timers: Timers,
        news: Dissemination,
        awareness: Awareness,
        random: Random,
    ) -> None:
        self._local = local
        self._config = config
        self._table = table
        self._timers = timers
        self._news = news
        self._awareness = awareness
        self._sequence = random.getrandbits(32)  # an ack to an earlier life of this node matches nothing
        self._probes: dict[int, Probe] = {}
        self._by_node: dict[NodeId, Probe] = {}
        self._relays: dict[int, Relay] = {}

    # --- our own probes ---------------------------------------------------------------------------------------------

    def start(self, member: Member, now: float, out: list[Effect]) -> None:
        """Probe `member`, unless that is under way."""
        if member.node in self._by_node:
            return
        ping = self.ping(member)
        probe = Probe(
            ping.sequence,
            member.node,
            member.incarnation,
            now,
            now + self._awareness.scale(self._config.probe_interval),
        )
        self._probes[probe.sequence] = self._by_node[member.node] = probe
        self._timers.set((PROBE, probe.sequence), now + self._config.probe_timeout)
        member.probed_at = now
        out.append(SendPacket(member.address, member.node, ping))

    def ping(self, member: Member, sequence: int | None = None) -> Ping:
        """A ping. One that we do not take for alive is told so first: it can refute in its ack (Lifeguard's buddy)."""
        if sequence is None:
            self._sequence += 1
            sequence = self._sequence
        accusation = None if member.liveness is Liveness.ALIVE else member.update()
        local = self._local
        updates = self._news.take(self._table.nodes, accusation)
        return Ping(sequence, member.node, local.incarnation, local.address, updates)

    def due(self, sequence: int, now: float, out: list[Effect]) -> Member | None:
        """The timer of a probe: get help, or give up and return the member that did not answer."""
        probe = self._probes[sequence]
        member = self._table.get(probe.node)
        if member is None or member.liveness is Liveness.DEAD:
            self._forget(probe)
            return None
        if probe.asked < 0:
            helpers = self._table.some(self._config.indirect_probes, alive=True, but=member)
            probe.asked = len(helpers)
            for helper in helpers:
                request = PingReq(sequence, member.node, self._news.take(self._table.nodes))
                out.append(SendPacket(helper.address, helper.node, request))
            out.append(SendStream(member.node, self.ping(member, sequence)))
            self._timers.set((PROBE, sequence), max(probe.ends_at, now))
            return None
        # Helpers that say nothing at all are a sign that it is us who hear nothing; without helpers, any failure is.
        self._awareness.add(probe.asked - probe.nacks if probe.asked else 1)
        return self._fail(probe, member)

    def refused(self, member: Member) -> Member | None:
        """`member`'s machine refuses connections: a probe over TCP has failed, without doubt about our own health."""
        probe = self._by_node.get(member.node)
        if probe is None or probe.asked < 0:
            return None
        return self._fail(probe, member)

    def acknowledged(self, ack: Ack, sender: NodeId, now: float, *, packet: bool, out: list[Effect]) -> None:
        """An ack, to a probe of ours or to one that we relay."""
        probe = self._probes.get(ack.sequence)
        if probe is not None and probe.node == ack.node:
            self._forget(probe)
            self._awareness.add(-1)
            member = self._table.get(ack.node)
            if member is not None and packet and sender == ack.node:
                member.sample_rtt(now - probe.sent_at)
            return
        relay = self._relays.get(ack.sequence)
        if relay is not None and relay.target == ack.node:
            del self._relays[ack.sequence]
            self._timers.cancel((RELAY, ack.sequence))
            updates = self._news.take(self._table.nodes)
            message = Ack(relay.sequence, ack.node, ack.incarnation, ack.address, updates)
            out.append(SendPacket(relay.address, relay.asker, message))

    def nacked(self, nack: Nack) -> None:
        probe = self._probes.get(nack.sequence)
        if probe is not None and probe.nacks < probe.asked:
            probe.nacks += 1

    def drop(self, node: NodeId) -> None:
        """`node` is no longer a member."""
        probe = self._by_node.get(node)
        if probe is not None:
            self._forget(probe)

    def drop_all(self) -> None:
        for probe in list(self._probes.values()):
            self._forget(probe)

    def _fail(self, probe: Probe, member: Member) -> Member | None:
        self._forget(probe)
        return member if member.incarnation == probe.incarnation else None  # it spoke up meanwhile

    def _forget(self, probe: Probe) -> None:
        del self._probes[probe.sequence]
        del self._by_node[probe.node]
        self._timers.cancel((PROBE, probe.sequence))

    # --- probes for others ------------------------------------------------------------------------------------------

    def relay(self, request: PingReq, asker: Member, address: Address, now: float, out: list[Effect]) -> None:
        """Probe `request.target` for `asker`, who spoke from `address`."""
        target = self._table.get(request.target)
        if target is None:
            return
        ping = self.ping(target)
        self._relays[ping.sequence] = Relay(asker.node, address, request.sequence, target.node)
        self._timers.set((RELAY, ping.sequence), now + self._config.probe_timeout * self._config.nack_fraction)
        out.append(SendPacket(target.address, target.node, ping))

    def relay_due(self, sequence: int, out: list[Effect]) -> None:
        """No ack yet: tell the asker that at least we are there."""
        relay = self._relays.pop(sequence)
        out.append(SendPacket(relay.address, relay.asker, Nack(relay.sequence)))
