"""The epoch log: a leaderless, agreed sequence of catalog entries.

Entry e+1 is chosen by single-decree Paxos among the voters of the state at epoch e; any member proposes. A node that
is behind pulls entries, or a snapshot, from any peer that it hears to be ahead. Owns votes, proposals and catching
up; must not know what the commands mean, nor how messages and records travel.

What the driver must guarantee:

- Effects are performed in the order in which they were returned, over all calls: one queue. No effect is performed
  before every `Persist` ahead of it in that queue is synced. Calls may be made while a `Persist` is under way; their
  effects queue.
- A crash may fall between any two effects. A failed `Persist` is a crash of the log: no later effect is performed,
  and a new log is made from what `records.load` finds. Another process or log on the same records must not exist.
- `state`, `epoch` and `hash` run ahead of the disk while effects wait. What leaves the node by other ways (gossip,
  answers to clients) takes the state of the last `Applied` effect instead.

Messages may be lost, repeated and reordered. Invariants: one entry per epoch, over all nodes and for ever; a voter
answers for e+1 only with e applied and e+1 unknown, and with its vote on disk; the vote is dropped in the batch that
stores the entry; a node never uses a ballot twice. Evidence of a second history stops the log: it votes, proposes and
answers no more.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from vectron_p2p.catalog import messages as wire
from vectron_p2p.catalog.commands import command_from_wire, operation_of
from vectron_p2p.catalog.config import CatalogConfig
from vectron_p2p.catalog.effects import Alarm, Applied, Confirmed, Persist, ProposalFailed, Proposed, Rejected, Send
from vectron_p2p.catalog.entry import Entry
from vectron_p2p.catalog.failures import not_decided, stopped
from vectron_p2p.catalog.history import History, Step
from vectron_p2p.catalog.proposals import Proposal, Proposals
from vectron_p2p.catalog.records import VOTE, Persisted, Put, round_put
from vectron_p2p.catalog.recovery import Meeting, meet, number
from vectron_p2p.catalog.round import Round
from vectron_p2p.catalog.state import BadCatalog, ClusterState
from vectron_p2p.catalog.vote import Accepted, Ballot, Vote
from vectron_p2p.catalog.voters import majority
from vectron_p2p.model.errors import InvalidArgument

if TYPE_CHECKING:
    from random import Random

    from vectron_p2p.catalog.effects import Effect
    from vectron_p2p.model.ids import NodeId

SOON = -math.inf
WANT_FROM = 3  # peers asked when nobody in particular is known to be ahead; one of them being dead does not matter then


class EpochLog:
    """The log on one node, starting from what its disk holds."""

    def __init__(self, node: NodeId, persisted: Persisted, *, rng: Random, config: CatalogConfig | None = None) -> None:
        self.node = node
        self.halted: str | None = None
        """Why the log has stopped, if it has."""
        self._leaving = False  # stopped for good: the cluster has gone on in another generation
        self._rng = rng
        self._config = config or CatalogConfig()
        self._history = History(persisted.state, persisted.entries, self._config.kept_entries)
        self._vote = persisted.vote or Vote(self.epoch + 1)
        self._highest_round = max(persisted.round, self._vote.promised.round)
        self._pending = Proposals(node)
        self._round: Round | None = None
        self._lost = 0  # ballots of ours in a row that met a higher one
        self._begin_at = SOON
        self._finish_at = math.inf if self._vote.accepted is None else SOON
        self._pull_again_at = SOON
        self._heard: dict[NodeId, float] = {}

    @property
    def state(self) -> ClusterState:
        return self._history.state

    @property
    def epoch(self) -> int:
        return self.state.epoch

    @property
    def hash(self) -> bytes:
        return self.state.hash

    @property
    def next_deadline(self) -> float:
        if self.halted is not None:
            return math.inf
        times = self._pending.deadlines
        if self._round is not None:
            times.append(self._round.resend_at)
        else:
            times.append(max(self._begin_at, SOON if self._pending else self._finish_at))
        return min(times)

    # --- what the node asks -------------------------------------------------------------------------------------------

    def propose(
        self, proposal_id: str, command: dict[str, Any], now: float, *, timeout: float | None = None
    ) -> list[Effect]:
        """Have `command` decided; ends in `Proposed` or `ProposalFailed` with that id, which is never used again."""
        if proposal_id in self._pending:
            raise ValueError(f"proposal {proposal_id} is under way")
        if self.halted is not None:
            return [ProposalFailed(proposal_id, stopped(self.halted))]
        try:
            parsed = command_from_wire(command)
        except InvalidArgument as error:
            return [ProposalFailed(proposal_id, error)]
        operation = operation_of(parsed)
        if operation is not None and (known := self.state.result(operation)) is not None:
            return [Proposed(proposal_id, self.epoch, known)]
        wait = self._config.proposal_timeout if timeout is None else timeout
        self._pending.add(Proposal(proposal_id, parsed, command, now + wait))
        out: list[Effect] = []
        self._drive(now, out)
        return out

    def observe(self, sender: NodeId, generation: int, epoch: int, digest: bytes | None, now: float) -> list[Effect]:
        """`sender` says it is at `epoch` with state hash `digest` (None: it did not say)."""
        out: list[Effect] = []
        if generation != self.state.generation:
            if not self._leaving:
                self._across(generation, None, sender, now, out)
        elif self.halted is None and self._shares_history(sender, epoch, digest, out):
            self._pull(sender, epoch, now, out)
        return out

    def want(self, epoch: int, now: float) -> list[Effect]:
        """A client has seen `epoch`: pull from some members when it is ahead of this node."""
        if self.halted is not None or epoch <= self.epoch or now < self._pull_again_at:
            return []
        self._pull_again_at = now + self._config.pull_timeout
        return self._ask_some(wire.Pull())

    def look(self, number: int) -> list[Effect]:
        """Ask some members whether anything is newer; those that know of nothing are `Confirmed`. `number`: above 0."""
        return [] if self.halted is not None else self._ask_some(wire.Pull(number))

    def _ask_some(self, pull: wire.Pull) -> list[Effect]:
        others = [node for node in self.state.current() if node != self.node]
        return [self._send(node, pull) for node in self._rng.sample(others, min(WANT_FROM, len(others)))]

    def tick(self, now: float) -> list[Effect]:
        out: list[Effect] = []
        if self.halted is not None:
            return out
        for late in self._pending.expire(now):
            heard = {node for node, at in self._heard.items() if at >= now - self._config.proposal_timeout}
            out.append(ProposalFailed(late, not_decided(self.state, heard | {self.node})))
        if self._round is not None and not self._pending and self._vote.accepted is None:
            self._round = None  # nothing left to decide; an accepted value is still worth finishing
        if self._round is not None and self._round.resend_at <= now:
            self._send_round(self._round, now, out)
        self._drive(now, out)
        return out

    def receive(self, message: dict[str, Any], sender: NodeId, now: float) -> list[Effect]:
        out: list[Effect] = []
        if self._leaving:
            return out
        try:
            position, body = wire.from_wire(message)
            if position.cluster != self.state.cluster:
                raise BadCatalog(f"message of another cluster, {position.cluster[:40]}")
            if position.generation != self.state.generation:
                self._across(position.generation, body, sender, now, out)
            elif self.halted is None and self._shares_history(sender, position.epoch, position.hash, out):
                self._handle(body, position.epoch, sender, now, out)
                if isinstance(body, wire.Entries) and body.look and position.epoch <= self.epoch:
                    out.append(Confirmed(body.look, sender))
                self._pull(sender, position.epoch, now, out)
        except BadCatalog as error:
            out += [Rejected(sender, str(error))] if self.halted is None else []
        self._drive(now, out)
        return out

    # --- being a voter ------------------------------------------------------------------------------------------------

    def _handle(self, body: wire.Message, epoch: int, sender: NodeId, now: float, out: list[Effect]) -> None:
        match body:
            case wire.Pull(look):
                self._serve(sender, epoch, out, look)
            case wire.Entries(first, entries):
                match self._history.read(first, entries):
                    case str(evidence):
                        self._halt(evidence, out)
                    case Step() as step:
                        self._follow(step, out)
            case wire.Snapshot(data):
                self._take_snapshot(data, out)
            case wire.Prepare(ballot) | wire.Accept(ballot, _):
                if epoch < self.epoch:
                    self._serve(sender, epoch, out)
                elif epoch == self.epoch and self.node in self.state.voters:
                    if ballot.node != sender or sender not in self.state.current():
                        raise BadCatalog(f"a ballot of {ballot.node} from {sender}")
                    self._answer(body, sender, now, out)
            case wire.Promise() | wire.AcceptedNote() | wire.Refused():
                if epoch == self.epoch and sender in self.state.voters:
                    self._count(body, sender, now, out)

    def _answer(self, body: wire.Prepare | wire.Accept, sender: NodeId, now: float, out: list[Effect]) -> None:
        reply: wire.Message
        self._highest_round = max(self._highest_round, body.ballot.round)
        if isinstance(body, wire.Prepare):
            vote = self._vote.promise(body.ballot)
            reply = wire.Promise(body.ballot, self._vote.accepted)
        else:
            self._check_value(body.value)
            vote = self._vote.accept(body.ballot, body.value)
            reply = wire.AcceptedNote(body.ballot)
        if vote is None:
            out.append(self._send(sender, wire.Refused(body.ballot, self._vote.promised)))
            return
        self._set_vote(vote, now, out)
        out.append(self._send(sender, reply))

    def _set_vote(self, vote: Vote, now: float, out: list[Effect], also: Put | None = None) -> None:
        if vote.accepted != self._vote.accepted:
            self._finish_at = self._finish_time(now)
        if vote != self._vote:
            self._vote = vote
            out.append(Persist([*([also] if also else []), (VOTE, vote.to_bytes())]))

    def _check_value(self, value: bytes) -> None:
        """Never vote for what could not be applied here."""
        entry = Entry.from_bytes(value)
        if not entry.follows(self.state):
            raise BadCatalog(f"a proposal for epoch {entry.epoch} that does not follow epoch {self.epoch}")
        entry.parse()

    def _finish_time(self, now: float) -> float:
        return now + self._rng.uniform(1, 2) * self._config.finish_after

    # --- proposing ----------------------------------------------------------------------------------------------------

    def _drive(self, now: float, out: list[Effect]) -> None:
        """Begin rounds while there is something to decide: a lone voter finishes them on the spot."""
        if self._finish_at == SOON:  # found on disk; now there is a clock
            self._finish_at = self._finish_time(now)
        while self.halted is None and self._round is None and now >= self._begin_at:
            if not self._pending and now < self._finish_at:
                return
            self._begin(now, out)

    def _begin(self, now: float, out: list[Effect]) -> None:
        self._highest_round += 1
        ballot = Ballot(self._highest_round, self.node)
        own = self._round = Round(ballot, majority(self.state), self._config.resend)
        if self._vote.accepted is not None:
            self._finish_at = self._finish_time(now)
        used = round_put(ballot.round)  # on disk before the ballot is sent: a restarted proposer must not use it again
        if self.node in self.state.voters:
            vote = self._vote.promise(ballot)
            if vote is None:
                raise AssertionError(f"own ballot {ballot} is below the promise {self._vote.promised}")
            own.promises[self.node] = vote.accepted
            self._set_vote(vote, now, out, also=used)
        else:
            out.append(Persist([used]))
        self._send_round(own, now, out)
        self._progress(own, now, out)

    def _send_round(self, own: Round, now: float, out: list[Effect]) -> None:
        silent = [node for node in self.state.voters if node != self.node and not own.answered(node)]
        out += [self._send(node, own.message()) for node in silent]
        own.resend_at = now + own.interval
        own.interval = min(2 * own.interval, self._config.resend_cap)

    def _count(
        self, body: wire.Promise | wire.AcceptedNote | wire.Refused, sender: NodeId, now: float, out: list[Effect]
    ) -> None:
        self._heard[sender] = now
        own = self._round
        if isinstance(body, wire.Refused):
            self._highest_round = max(self._highest_round, body.promised.round)
        if own is None or body.ballot != own.ballot:
            return
        match body:
            case wire.Promise(_, accepted):
                if accepted is not None:
                    self._check_value(accepted.value)
                own.promises[sender] = accepted
                self._progress(own, now, out)
            case wire.AcceptedNote():
                own.accepted.add(sender)
                self._progress(own, now, out)
            case wire.Refused():
                self._lose(now)

    def _lose(self, now: float) -> None:
        """Another proposer holds a higher ballot: let it finish, for a random time that grows with each loss."""
        self._round = None
        self._lost += 1
        longest = min(self._config.backoff * 2 ** min(self._lost, 16), self._config.backoff_cap)
        self._begin_at = now + self._rng.uniform(0.2, 1.0) * longest

    def _progress(self, own: Round, now: float, out: list[Effect]) -> None:
        if own.value is None:
            if not own.promised:
                return
            own.value = own.bound_value() or self._pending.next_entry(self.state)
            if own.value is None:
                self._round = None
                return
            if self.node in self.state.voters:
                vote = self._vote.accept(own.ballot, own.value)
                if vote is None:  # this voter has promised another proposer meanwhile
                    self._lose(now)
                    return
                own.accepted.add(self.node)
                self._set_vote(vote, now, out)
            own.interval = self._config.resend
            self._send_round(own, now, out)
        if own.decided:
            self._follow(self._history.extend([own.value]), out)
            if self.halted is None:
                note = wire.Entries(self.epoch, [own.value])
                out += [self._send(node, note) for node in self.state.current() if node != self.node]

    # --- following ----------------------------------------------------------------------------------------------------

    def _follow(self, step: Step, out: list[Effect]) -> None:
        """The state has moved: what was under way for the next epoch is over, and some proposals are answered."""
        if step.puts:
            self._vote = Vote(self.epoch + 1)
            self._round = None
            self._lost = 0
            self._begin_at = self._pull_again_at = SOON
            self._finish_at = math.inf
            out += [Persist(step.puts), Applied(self.state), *self._pending.settle(step, self.state)]
        if step.trouble is not None:
            self._halt(f"a decided entry cannot be applied here: {step.trouble}", out)

    def _take_snapshot(self, data: bytes, out: list[Effect]) -> None:
        state = ClusterState.from_bytes(data)
        if (state.cluster, state.generation) != (self.state.cluster, self.state.generation):
            raise BadCatalog("snapshot of another cluster or generation")
        if state.epoch > self.epoch:
            self._follow(self._history.replace(state), out)

    def _serve(self, node: NodeId, epoch: int, out: list[Effect], look: int = 0) -> None:
        answer = self._history.answer(epoch, self._config.pull_entries, look)
        if answer is not None:
            out.append(self._send(node, answer))

    def _shares_history(self, sender: NodeId, epoch: int, digest: bytes | None, out: list[Effect]) -> bool:
        """Whether `sender` is on our history, as far as can be told; evidence of another one stops this log."""
        known = self._history.hash_at(epoch)
        if digest is not None and known is not None and digest != known:
            self._halt(f"{sender} holds another state at epoch {epoch}", out)
            return False
        return True

    def _pull(self, sender: NodeId, epoch: int, now: float, out: list[Effect]) -> None:
        if epoch > self.epoch and now >= self._pull_again_at and self.halted is None:
            self._pull_again_at = now + self._config.pull_timeout
            out.append(self._send(sender, wire.Pull()))

    # --- other generations (catalog.recovery) -------------------------------------------------------------------------

    def recover(self, state: ClusterState) -> list[Effect]:
        """Go over to `state`, of a higher generation, by force or following others; nothing when it is no higher."""
        out: list[Effect] = []
        if number(state.generation) > number(self.state.generation):
            self.halted = None  # two histories of the last generation are over with it
            self._follow(self._history.replace(state), out)
        return out

    def accepted(self) -> Accepted | None:
        return self._vote.accepted

    def _across(self, theirs: int, body: wire.Message | None, sender: NodeId, now: float, out: list[Effect]) -> None:
        """`sender` is of generation `theirs`, not ours: such nodes only tell each other where they are."""
        match meet(self.state, self.node, theirs, body):
            case Meeting.ASK if now >= self._pull_again_at:
                self._pull_again_at = now + self._config.pull_timeout
                out.append(self._send(sender, wire.Pull()))
            case Meeting.TELL:
                out.append(self._send(sender, wire.Snapshot(self.state.to_bytes())))
            case ClusterState() as state:
                out += self.recover(state)
            case str(reason):
                self._leaving = True
                self._halt(reason, out)

    # --- words --------------------------------------------------------------------------------------------------------

    def _send(self, node: NodeId, body: wire.Message) -> Send:
        state = self.state
        return Send(node, wire.to_wire(wire.Position(state.cluster, state.generation, state.epoch, state.hash), body))

    def _halt(self, text: str, out: list[Effect]) -> None:
        self.halted = text
        self._round = None
        out.append(Alarm(text if self._leaving else f"the catalog of this node has stopped: {text}", self._leaving))
        out += [ProposalFailed(each, stopped(text)) for each in self._pending.expire(math.inf)]
