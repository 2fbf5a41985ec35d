"""SWIM with Lifeguard: the core that a driver runs.

    swim = Swim(me, address, config, boot=boot, random=random, now=clock.now())
    perform(swim.set_members(seeds, now))       # at start and after every change of the catalog's members
    loop:
        wait until swim.next_deadline, for a packet, or for a call below
        perform(swim.tick(now))  |  perform(swim.receive(message, envelope.sender, source, now))

`boot` is the persisted boot number, raised before each start and at least 1. After *every* call wait anew for
`next_deadline`: any input may bring it forward. All calls come from one task at a time; none blocks.

The driver performs effects in order:
- `SendPacket`: `encode_packet(envelope, message)` to `address` by UDP. Never waits, loss is expected.
- `SendStream`: the same bytes in a `SwimNote` over the connection pool, in a task of its own. When the peer's machine
  *refuses* the connection (or another node answers there), call `stream_refused(node)`. A timeout, a connection that
  breaks or a pool that is backing off says less: no report.
- `MemberChanged`: for routing, the pool (`resolve` from `address(node)`; end its backoff when a member is alive again)
  and the log. `Refuted`: for the log.

The driver hands in:
- `receive` for each packet whose envelope names our cluster; `source` is the UDP address it came from, None for a
  `SwimNote`. Packets of nodes that the catalog does not name are the driver's to answer; here they are ignored.
- `probe_now` when a connection to a member broke or was refused (as often as it likes).
- `loop_lag` with each sample (every 100 ms) of the event loop's lag; `local_pause` when it notices a pause itself (a
  `tick` that comes late notices too, and one pause counts once).
- `leave` on a clean stop; perform its effects, then tick for about half a second more, so that the news spreads.

Dead members are never given up: each is probed at the latest every `dead_probe_interval`, and gets a push-pull now and
then. A ping to a member that is thought not to be alive, and the ack to such a one, carry the accusation: two nodes
that can talk agree that both live after one exchange.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from vectron_p2p.membership import push_pull
from vectron_p2p.membership.awareness import Awareness
from vectron_p2p.membership.dissemination import Dissemination
from vectron_p2p.membership.effects import Effect, MemberChanged, SendPacket, SendStream
from vectron_p2p.membership.local import Local
from vectron_p2p.membership.members import Member, MemberSeed, MemberTable, MemberView
from vectron_p2p.membership.messages import (
    UNHEARD,
    Ack,
    Gossip,
    Incarnation,
    Message,
    Nack,
    Ping,
    PingReq,
    PushPull,
    PushPullReply,
    Update,
)
from vectron_p2p.membership.opinions import LOOK, OUT_OF_TURN, SUSPICION, Opinions
from vectron_p2p.membership.probing import PROBE, RELAY, Prober
from vectron_p2p.membership.timers import Timers
from vectron_p2p.model.errors import InvalidArgument
from vectron_p2p.model.ids import Address, NodeId
from vectron_p2p.model.nodes import Liveness

if TYPE_CHECKING:
    from collections.abc import Iterable
    from random import Random

    from vectron_p2p.membership.config import SwimConfig

TURN = ("turn", 0)
"""Timer: the next member in turn is probed."""
GOSSIP = ("gossip", 0)
"""Timer, armed while there is news."""
EXCHANGE = ("exchange", 0)
"""Timer: push-pull."""

GREETED = 32
"""New members that a node probes at once, and nodes that so probe a new member, on average. If all did, a start of a
thousand nodes would be two million packets in a fifth of a second. The rest is known from the first push-pull."""


class Swim:
    """One node's view of who is alive."""

    def __init__(
        self, me: NodeId, address: Address, config: SwimConfig, *, boot: int, random: Random, now: float
    ) -> None:
        if boot < 1:
            raise InvalidArgument("boot is raised before the first start: 1 or more", field="boot")
        self._config = config
        self._random = random
        self._local = Local(me, address, Incarnation(boot, 0))
        self._timers = Timers()
        self._awareness = Awareness(config.awareness_max)
        self._news = Dissemination(config.retransmit_mult)
        self._table = MemberTable(random)
        parts = (self._local, config, self._table, self._timers, self._news, self._awareness, random)
        self._prober = Prober(*parts)
        self._opinions = Opinions(*parts, now)
        self._gossiped_at = -math.inf
        self._paused_at = -math.inf
        self._granted_at = -math.inf
        self._unanswered: int | None = 0
        """Push-pulls sent in vain since the start; None once one was answered."""

    # --- what it knows ----------------------------------------------------------------------------------------------

    @property
    def next_deadline(self) -> float:
        """When to call `tick`; inf when there is nothing to do."""
        return self._timers.next

    @property
    def health_score(self) -> int:
        """Lifeguard's local health: 0 healthy, up to `awareness_max - 1`."""
        return self._awareness.score

    @property
    def incarnation(self) -> Incarnation:
        return self._local.incarnation

    def members(self) -> list[MemberView]:
        """All members but this node, in the order of the catalog."""
        return [MemberView(m.node, m.address, m.liveness, m.incarnation, m.since, m.rtt) for m in self._table]

    def liveness(self, node: NodeId) -> Liveness | None:
        """What this node thinks of `node`; None if it is no member."""
        if node == self._local.node:
            return Liveness.ALIVE
        member = self._table.get(node)
        return None if member is None else member.liveness

    def address(self, node: NodeId) -> Address | None:
        """Where `node` is reached; None if it is no member."""
        if node == self._local.node:
            return self._local.address
        member = self._table.get(node)
        return None if member is None else member.address

    # --- what happens to it -----------------------------------------------------------------------------------------

    def set_members(self, seeds: Iterable[MemberSeed], now: float) -> list[Effect]:
        """The catalog names these members (this node may be among them). New ones are greeted
        at once, in large clusters by some."""
        out: list[Effect] = []
        local = self._local
        wanted = {seed.node: seed.address for seed in seeds if seed.node != local.node}
        for member in [member for member in self._table if member.node not in wanted]:
            self._remove(member, out)
        for node, address in sorted(wanted.items()):
            known = self._table.get(node)
            if known is None:
                self._table.add(Member(node, address, address, since=now, by=node))
                if self._random.random() * len(wanted) < GREETED:
                    soon = self._random.uniform(0.0, self._config.gossip_interval)
                    self._arm((OUT_OF_TURN, node), now + soon)
                out.append(MemberChanged(node, None, Liveness.ALIVE, address, "a new member"))
            elif known.seed_address != address:
                known.seed_address = address
                if known.incarnation == UNHEARD:
                    known.address = address
                    out.append(MemberChanged(node, known.liveness, known.liveness, address, "the catalog says so"))
        if self._table and not local.leaving:
            if TURN not in self._timers:
                self._timers.set(TURN, now + self._random.uniform(0.0, self._config.probe_interval))
            if EXCHANGE not in self._timers:
                self._timers.set(EXCHANGE, now + self._random.uniform(0.5, 1.0) * push_pull.FIRST_WAIT)
        return out

    def receive(self, message: Message, sender: NodeId, source: Address | None, now: float) -> list[Effect]:
        """A message of the member `sender`, from the UDP address `source` or (None) over TCP."""
        out: list[Effect] = []
        peer = self._table.get(sender)
        if peer is None or self._local.leaving:
            return out
        match message:
            case Ping():
                self._hear(message.updates, sender, now, out)
                self._pinged(message, peer, source, now, out)
            case Ack():
                self._hear(message.updates, sender, now, out)
                self._hear_from(message.node, message.incarnation, message.address, sender, now, out)
                self._prober.acknowledged(message, sender, now, packet=source is not None, out=out)
            case PingReq():
                self._hear(message.updates, sender, now, out)
                self._prober.relay(message, peer, source or peer.address, now, out)
            case Nack():
                self._prober.nacked(message)
            case Gossip():
                self._hear(message.updates, sender, now, out)
            case PushPull():
                self._merge(message.updates, sender, now, out)
                out.append(SendStream(sender, PushPullReply(self._everything())))
            case PushPullReply():
                self._unanswered = None
                self._merge(message.updates, sender, now, out)
        self._arm_gossip(now)
        return out

    def tick(self, now: float) -> list[Effect]:
        """Do what is due."""
        out: list[Effect] = []
        late = now - self._timers.next
        if late > self._config.pause_threshold:
            out += self.local_pause(now, late)
        elif late > self._config.lag_threshold and now - self._granted_at > self._config.pause_threshold:
            self._grant(now)
        while (key := self._timers.pop_due(now)) is not None:
            self._due(key[0], key[1], now, out)
        self._arm_gossip(now)
        return out

    def probe_now(self, node: NodeId, now: float) -> list[Effect]:
        """A connection to `node` broke: probe it out of turn."""
        member = self._table.get(node)
        if member is not None and member.liveness is not Liveness.DEAD and not self._local.leaving:
            # A pool may report many broken connections at once: one probe tells as much as ten.
            self._arm((OUT_OF_TURN, node), max(now, member.probed_at + self._config.probe_timeout))
        return []

    def stream_refused(self, node: NodeId, now: float) -> list[Effect]:
        """The machine of `node` refused the connection of a `SendStream`: nobody listens there."""
        out: list[Effect] = []
        member = self._table.get(node)
        if member is not None:
            failed = self._prober.refused(member)
            if failed is not None:
                self._opinions.accuse(failed, now, out, certain=True)
                self._arm_gossip(now)
        return out

    def loop_lag(self, seconds: float) -> None:
        """A sample of the event loop's lag."""
        if seconds > self._config.lag_threshold:
            self._awareness.add(1)

    def local_pause(self, now: float, seconds: float) -> list[Effect]:
        """This process stood still for `seconds` until `now`: whoever seemed silent may have been speaking."""
        out: list[Effect] = []
        if self._paused_at > now - seconds:
            return out  # the same pause, noticed twice
        self._paused_at = now
        self._awareness.add(1)
        self._prober.drop_all()
        self._opinions.forgive(now, out)
        return out

    def leave(self, now: float) -> list[Effect]:
        """This node stops by its own will: all others shall know at once, without suspicion. It can not come back."""
        self._local.leaving = True
        self._timers.clear()
        self._news.clear()
        word = self._local.word()
        self._news.put(word)
        out: list[Effect] = []
        for member in self._table.living:
            out.append(SendPacket(member.address, member.node, Gossip((word,))))
            out.append(SendStream(member.node, Gossip((word,))))
        self._gossiped_at = now
        self._arm_gossip(now)
        return out

    # --- inside -----------------------------------------------------------------------------------------------------

    def _due(self, kind: str, about: str | int, now: float, out: list[Effect]) -> None:
        if kind in (PROBE, RELAY):
            assert isinstance(about, int)
            if kind == RELAY:
                self._prober.relay_due(about, out)
            elif (failed := self._prober.due(about, now, out)) is not None:
                self._opinions.accuse(failed, now, out)
        elif kind == TURN[0]:
            self._timers.set(TURN, now + self._awareness.scale(self._config.probe_interval))
            if (member := self._table.next_in_turn()) is not None:
                self._prober.start(member, now, out)
        elif kind == GOSSIP[0]:
            self._gossip(now, out)
        elif kind == EXCHANGE[0]:
            self._exchange(now, out)
        elif (member := self._table.get(NodeId(str(about)))) is not None:
            if kind == OUT_OF_TURN:
                if member.liveness is not Liveness.DEAD:
                    self._prober.start(member, now, out)
            elif kind == SUSPICION:
                self._opinions.convict(member, now, out)
            elif kind == LOOK:
                self._look(member, now, out)

    def _look(self, member: Member, now: float, out: list[Effect]) -> None:
        """Is a dead member back? It may be where it was, where the catalog says, or where another one once was.

        The last finds each other again after a restart of all at exchanged addresses: who is there says so (`_pinged`).
        """
        self._opinions.look_again(member, now)
        places = dict.fromkeys((member.address, member.seed_address, self._table.any_seed_address()))
        out += [SendPacket(address, member.node, self._prober.ping(member)) for address in places]

    def _gossip(self, now: float, out: list[Effect]) -> None:
        self._gossiped_at = now
        for member in self._table.some(self._config.gossip_nodes):
            updates = self._news.take(self._table.nodes)
            if not updates:
                return
            out.append(SendPacket(member.address, member.node, Gossip(updates)))

    def _arm_gossip(self, now: float) -> None:
        if self._news and GOSSIP not in self._timers and self._table.living:
            self._timers.set(GOSSIP, max(now, self._gossiped_at + self._config.gossip_interval))

    def _exchange(self, now: float, out: list[Effect]) -> None:
        configured = push_pull.interval(self._config.push_pull_interval, self._table.nodes)
        wait = configured
        if self._unanswered is not None:
            wait = push_pull.first_intervals(configured, self._unanswered)
            self._unanswered += 1
        self._timers.set(EXCHANGE, now + wait * self._random.uniform(0.8, 1.0))  # no two nodes march in step
        partners = self._table.some(1, alive=True)
        if wait == configured and (dead := self._table.a_dead_one()) is not None:
            partners.append(dead)
        out += [SendStream(member.node, PushPull(self._everything())) for member in partners]

    def _everything(self) -> tuple[Update, ...]:
        return (self._local.word(), *self._table.words())

    def _merge(self, updates: tuple[Update, ...], sender: NodeId, now: float, out: list[Effect]) -> None:
        for update in updates:
            self._opinions.hear(push_pull.as_hearsay(update, sender), sender, now, out, answer=False)

    def _hear(self, updates: tuple[Update, ...], sender: NodeId, now: float, out: list[Effect]) -> None:
        for update in updates:
            self._opinions.hear(update, sender, now, out)

    def _hear_from(
        self, node: NodeId, incarnation: Incarnation, address: Address, sender: NodeId, now: float, out: list[Effect]
    ) -> None:
        """`node` lives in `incarnation`. Most often nothing new: then nothing is allocated."""
        member = self._table.get(node)
        if member is not None and incarnation > member.incarnation:
            self._opinions.hear(Update(node, address, incarnation, Liveness.ALIVE, node), sender, now, out)

    def _pinged(self, ping: Ping, peer: Member, source: Address | None, now: float, out: list[Effect]) -> None:
        local = self._local
        self._hear_from(peer.node, ping.incarnation, ping.address, peer.node, now, out)
        if ping.target != local.node:
            # Somebody else was at this address once. The sender learns who is now, and misses the other one's ack.
            if source is not None:
                out.append(SendPacket(source, peer.node, Gossip((local.word(),))))
            return
        contrary = peer.liveness is not Liveness.ALIVE or peer.incarnation > ping.incarnation
        updates = self._news.take(self._table.nodes, peer.update() if contrary else None)
        ack = Ack(ping.sequence, local.node, local.incarnation, local.address, updates)
        out.append(SendStream(peer.node, ack) if source is None else SendPacket(source, peer.node, ack))

    def _remove(self, member: Member, out: list[Effect]) -> None:
        node = member.node
        self._table.remove(node)
        self._prober.drop(node)
        self._news.drop(node)
        for kind in (SUSPICION, LOOK, OUT_OF_TURN):
            self._timers.cancel((kind, node))
        if not self._table:
            self._timers.cancel(TURN)
            self._timers.cancel(EXCHANGE)
        out.append(MemberChanged(node, member.liveness, None, member.address, "no longer a member"))

    def _arm(self, key: tuple[str, str], at: float) -> None:
        """Arm a timer, unless it is armed for earlier."""
        if key not in self._timers or self._timers[key] > at:
            self._timers.set(key, at)

    def _grant(self, now: float) -> None:
        """This process was late: answers may lie unread in its socket, so what falls due gets a little longer.

        Not again and again: where every node lags all the time, deaths must still be found.
        """
        self._granted_at = now
        for kind in (PROBE, SUSPICION):
            self._timers.postpone(kind, now + self._config.probe_timeout)
