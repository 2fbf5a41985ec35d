"""How words about members become this node's opinion.

All that can be said of a node is totally ordered: by incarnation, and in one incarnation alive < suspect < dead. The
higher word wins and is passed on, so any two nodes that heard the same words agree, in whatever order they heard them.
Two deliberate exceptions, both local: after a pause of this process its suspicions are void (`forgive`), and the dead
of a push-pull come in as suspects (`push_pull.as_hearsay`).

Owns refutation, suspicion and the answers to old words. Invariants: the incarnation held of a member, and one's own,
never goes down, whatever kind of word raises it; a suspect has exactly one running suspicion, a dead member exactly one
timer for the next look.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vectron_p2p.membership.effects import Effect, MemberChanged, Refuted, SendPacket
from vectron_p2p.membership.messages import RANK, Gossip, Incarnation, Update
from vectron_p2p.membership.suspicion import Suspicion, SuspicionBudget
from vectron_p2p.model.nodes import Liveness

if TYPE_CHECKING:
    from random import Random

    from vectron_p2p.membership.awareness import Awareness
    from vectron_p2p.membership.config import SwimConfig
    from vectron_p2p.membership.dissemination import Dissemination
    from vectron_p2p.membership.local import Local
    from vectron_p2p.membership.members import Member, MemberTable
    from vectron_p2p.membership.timers import Timers
    from vectron_p2p.model.ids import NodeId

SUSPICION = "suspicion"
"""Timer: a suspect's time to refute is over."""
LOOK = "look"
"""Timer: a dead member is looked for."""
OUT_OF_TURN = "out of turn"
"""Timer: a member is probed although it is not its turn."""

ANSWER_INTERVAL = 1.0  # per member: while a word spreads, older ones still circulate and need no answer each
VERIFIERS = 8  # members that check a suspicion by a probe out of turn: enough to confirm it, too few for a storm
FIRST_LOOK = 1.0  # seconds after a death; doubled until the configured interval: false deaths heal soon


class Opinions:
    """Takes words in, writes the member table, queues what is news."""

    def __init__(
        self,
        local: Local,
        config: SwimConfig,
        table: MemberTable,
        timers: Timers,
        news: Dissemination,
        awareness: Awareness,
        random: Random,
        now: float,
    ) -> None:
        self._local = local
        self._config = config
        self._table = table
        self._timers = timers
        self._news = news
        self._awareness = awareness
        self._random = random
        self._budget = SuspicionBudget(config.suspicion_rate, now)

    def hear(self, update: Update, sender: NodeId, now: float, out: list[Effect], *, answer: bool = True) -> None:
        """Take in one word that `sender` passed on; with `answer`, tell who is behind."""
        if update.node == self._local.node:
            self._hear_about_me(update, out)
            return
        member = self._table.get(update.node)
        if member is None:
            return  # not (yet, or no longer) a member by our catalog
        heard, held = update.word, member.word
        if heard > held:
            self._adopt(member, update, now, out)
        elif heard == held:
            if member.suspicion is not None and member.suspicion.confirm(update.by):
                self._timers.set((SUSPICION, member.node), member.suspicion.deadline)
                self._news.put(update)  # told again: it is a further accuser
        elif answer:
            self._answer(member, sender, now, out)

    def accuse(self, member: Member, now: float, out: list[Effect], *, certain: bool = False) -> None:
        """A probe by this node failed; `certain`: not by silence, which could be our own fault."""
        if member.liveness is Liveness.ALIVE and not self._budget.take(now):
            self._timers.set((OUT_OF_TURN, member.node), now + self._config.probe_interval)
            return
        self._hear_myself(member, Liveness.SUSPECT, now, out)
        if certain and member.suspicion is not None:
            member.suspicion.confirm_all()
            self._timers.set((SUSPICION, member.node), member.suspicion.deadline)

    def convict(self, member: Member, now: float, out: list[Effect]) -> None:
        """The suspect did not refute in time."""
        self._hear_myself(member, Liveness.DEAD, now, out)

    def forgive(self, now: float, out: list[Effect]) -> None:
        """Drop all suspicions and look again at the suspects."""
        for member in list(self._table):
            if member.liveness is Liveness.SUSPECT:
                member.by = member.node
                self._change(member, Liveness.ALIVE, now, out, "this process was paused")
                self._news.drop(member.node)
                self._timers.set((OUT_OF_TURN, member.node), now)

    def look_again(self, member: Member, now: float) -> None:
        """Arm the timer for the next look at a dead member."""
        longest = self._config.dead_probe_interval
        wait = min(longest, FIRST_LOOK * 2.0 ** min(member.dead_probes, 16))
        member.dead_probes += 1
        self._timers.set((LOOK, member.node), now + wait * self._random.uniform(0.5, 1.0))

    def _hear_myself(self, member: Member, liveness: Liveness, now: float, out: list[Effect]) -> None:
        me = self._local.node
        self.hear(Update(member.node, member.address, member.incarnation, liveness, me), me, now, out)

    def _hear_about_me(self, update: Update, out: list[Effect]) -> None:
        local = self._local
        if local.leaving or update.word <= (local.incarnation, RANK[Liveness.ALIVE]):
            return
        local.incarnation = Incarnation(update.incarnation.boot, update.incarnation.counter + 1)
        if update.liveness is not Liveness.ALIVE:
            self._awareness.add(1)  # perhaps I am too slow to answer
        self._news.put(local.word())
        out.append(Refuted(local.incarnation, update.liveness, update.by))

    def _adopt(self, member: Member, update: Update, now: float, out: list[Effect]) -> None:
        moved = update.incarnation > member.incarnation and update.address != member.address
        expected = member.unheard and not moved and update.liveness is Liveness.ALIVE
        if update.incarnation > member.incarnation:  # an address belongs to a life: the word of a later life knows it
            member.incarnation = update.incarnation
            member.address = update.address
        member.by = update.by
        if not expected:
            # Else it is alive and where the catalog says, as who has not heard of it supposes: a node that starts would
            # tell everybody what they told it, in a large cluster for minutes.
            self._news.put(update)
        self._change(member, update.liveness, now, out, _reason(update), moved=moved)

    def _change(
        self, member: Member, liveness: Liveness, now: float, out: list[Effect], reason: str, *, moved: bool = False
    ) -> None:
        before, node = member.liveness, member.node
        self._table.set_liveness(member, liveness, now if liveness is not before else member.since)
        self._timers.cancel((SUSPICION, node))
        member.suspicion = None
        if liveness is not Liveness.DEAD:
            self._timers.cancel((LOOK, node))
            member.dead_probes = 0
        if liveness is Liveness.SUSPECT:
            nodes = self._table.nodes
            member.suspicion = Suspicion(self._config, nodes, member.by, now)
            self._timers.set((SUSPICION, node), member.suspicion.deadline)
            if member.by != self._local.node and self._random.random() * nodes < VERIFIERS:
                # See for ourselves: the ping tells it that it is accused, and our failure would confirm.
                soon = now + self._random.uniform(0.0, self._config.probe_timeout)
                self._timers.set((OUT_OF_TURN, node), soon)
        elif liveness is Liveness.DEAD and before is not Liveness.DEAD:
            self._timers.cancel((OUT_OF_TURN, node))
            self.look_again(member, now)
        if liveness is not before or moved:
            out.append(MemberChanged(node, before, liveness, member.address, reason))

    def _answer(self, member: Member, sender: NodeId, now: float, out: list[Effect]) -> None:
        """`sender` spoke of what is past: tell it our word, and an accused member its accusation (it may refute)."""
        if now - member.answered_at < ANSWER_INTERVAL:
            return
        member.answered_at = now
        message = Gossip((member.update(),))
        if member.liveness is not Liveness.ALIVE or sender == member.node:
            out.append(SendPacket(member.address, member.node, message))
        other = self._table.get(sender)
        if other is not None and other is not member:
            out.append(SendPacket(other.address, other.node, message))


def _reason(update: Update) -> str:
    if update.left:
        return "it stopped"
    if update.liveness is Liveness.ALIVE:
        return f"it says so in incarnation {update.incarnation.boot}.{update.incarnation.counter}"
    if update.liveness is Liveness.SUSPECT:
        return f"no answer to {update.by}"
    return f"no refutation reached {update.by}"
