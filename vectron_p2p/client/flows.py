"""Calls as generators: which node is asked, when again, and what the answers add up to.

Theory of operation. A flow yields steps (`Call`, `Sleep`) and is resumed with replies, or has errors thrown into it; it
returns the result. A shell drives it with sockets and a clock of its kind, so retries, failover and deadlines exist
once and are tested without either.

`ask` is the one flow that talks to nodes:
- A lost connection (broken, or of a node that has fallen silent) moves on to the next address at once; when a whole
  round was lost, it pauses (full jitter) and starts again, until the deadline. That is safe for writes: they are
  at-least-once until the call returns, and every attempt carries the same operation id.
- "Not now" (a retryable error) pauses, then asks another node, a bounded number of times; Overloaded until the
  deadline, because slowing down is all that it asks for.
- A change that was lost on its way may yet be done where it was sent, for a moment; the call does not end before that
  (see `client.leases`).
- Conditional operations are told apart: once an attempt may have reached a node, the next one says so (`retried`), and
  the node then answers "unknown" where it cannot tell whether that attempt did it. That is not tried again.
- A quorum known to be out of reach (`ConsistencyError` with no ack) is reported at once, but only after each address
  was asked: the one that said so may be the one that is cut off.

Must not know sockets, threads, clocks or randomness but through the session.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from vectron_p2p.client.leases import unsettled
from vectron_p2p.client.steps import SILENCE_S, UNDONE, Call, Flow, LinkLost, Sleep, Together
from vectron_p2p.model.errors import (
    ConsistencyError,
    DeadlineExceeded,
    Internal,
    Overloaded,
    Unavailable,
    VectronError,
)
from vectron_p2p.protocol.messages import ChangePayload, DeleteIf, Search, UpsertIf

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vectron_p2p.client.session import Session
    from vectron_p2p.model.ids import Address

R = TypeVar("R")

GRACE_S = 0.5  # waited beyond the deadline that the node was given: its own word on a timeout says more than ours
LAST_ATTEMPT_S = 0.25  # kept of the deadline for one more round after the last pause
DIAL_S = 5.0  # opening a connection with nowhere else to go: two lost SYNs (1 s, 2 s) are survived
CONDITIONAL = (UpsertIf, DeleteIf, ChangePayload)
DIAL_ELSEWHERE_S = 1.0  # ... when another address may answer
SILENCE_ELSEWHERE_S = 1.0  # a ping unanswered, when another address may answer; no loop of a node is blocked so long


class Attempt(NamedTuple):
    """A first attempt that was made without a flow, and failed."""

    address: Address
    started: float
    trace: int
    error: VectronError | LinkLost


def patience(session: Session) -> float:
    """How long an attempt waits for the answer to a ping."""
    return SILENCE_S if len(session.addresses) == 1 else SILENCE_ELSEWHERE_S


def ask(
    session: Session,
    message: Any,
    reply_type: type[R],
    *,
    timeout: float | None = None,
    spread: int | None = None,
    after: Attempt | None = None,
) -> Flow[R]:
    """Send `message` to one node after another until one answers with a `reply_type`.

    Args:
        session: Where to ask, and how often.
        message: A request; the `timeout` of a `Search` is set to the time left when it is sent again.
        reply_type: The class of a sound answer.
        timeout: Seconds for everything together; None for the client's.
        spread: Number of the seed to begin with, instead of the preferred node.
        after: The first attempt, if there was one: this goes on as if it had made that itself.

    Raises:
        VectronError: The node's own, or Unavailable/DeadlineExceeded when none answered in time; with the trace id
        under which the nodes know of all attempts.
    """
    trace = session.trace() if after is None else after.trace
    try:
        return (yield from _ask(session, message, reply_type, timeout, spread, trace, after))
    except VectronError as error:
        if trace and not error.trace and not isinstance(error, Unavailable):  # that one of ours: no node knows of it
            error.trace = f"{trace:016x}"
        raise


def _ask(
    session: Session,
    message: Any,
    reply_type: type[R],
    timeout: float | None,
    spread: int | None,
    trace: int,
    after: Attempt | None,
) -> Flow[R]:
    attempts = _Attempts(session, session.timeout if timeout is None else timeout, spread)
    pause = 0.0
    if after is not None:
        attempts.resume(after, message)
        pause = yield from attempts.failed(after.address, after.error)
    while True:
        left = attempts.time_left(pause)
        if pause:
            yield Sleep(pause)
            left = attempts.time_left()
            pause = 0.0
        address = attempts.next_address()
        request = attempts.request(message, left)
        dial = DIAL_S if len(session.addresses) == 1 else DIAL_ELSEWHERE_S
        try:
            reply = yield Call(address, request, left + GRACE_S, min(dial, left), patience(session), trace)
        except (LinkLost, VectronError) as error:
            pause = yield from attempts.failed(address, error)
        else:
            session.answered(address, prefer=spread is None)
            yield from attempts.out_of_reach_of_the_lost()
            if not isinstance(reply, reply_type):
                raise Internal(f"{address} answered {type(message).__name__} with {type(reply).__name__}")
            return reply


class _Attempts:
    """The attempts of one call: addresses not yet tried in this round, failures so far, the deadline."""

    def __init__(self, session: Session, timeout: float, spread: int | None) -> None:
        self.session = session
        self.policy = session.retry
        self.timeout = timeout
        self.started = session.now()
        self.spread = spread
        self.untried = session.route(spread)
        self.rounds_lost = 0
        self.refusals = 0
        self.overloads = 0
        self.again = False
        self.sent = False
        self.reached = False
        self.out_of_reach: ConsistencyError | None = None
        self.until = 0.0
        self.message: Any = None
        self.conditional = False
        self.last: Exception | None = None

    def resume(self, after: Attempt, message: Any) -> None:
        """Takes an attempt over that was made already."""
        self.started = after.started
        self.untried = [address for address in self.untried if address != after.address]
        self.request(message, self.timeout)

    def failed(self, address: Address, error: LinkLost | VectronError) -> Flow[float]:
        """The pause after an attempt that failed; raises what the call ends with when trying again cannot help."""
        if isinstance(error, LinkLost):
            self.session.lost(address)
            return self.after_loss(address, error)
        self.session.answered(address, prefer=False)
        try:
            return self.after_refusal(error)
        except VectronError:
            yield from self.out_of_reach_of_the_lost()
            raise

    def request(self, message: Any, left: float) -> Any:
        """`message` as it is to be sent in this attempt."""
        first, self.again = not self.again, True
        if isinstance(message, Search) and not first:
            return replace(message, timeout=left)
        self.message = message
        self.conditional = isinstance(message, CONDITIONAL)
        if self.conditional and self.sent:
            return replace(message, retried=True)
        return message

    def next_address(self) -> Address:
        if not self.untried:
            self.untried = self.session.route(self.spread)
        return self.untried.pop(0)

    def time_left(self, pause: float = 0.0) -> float:
        """Seconds left for an attempt after `pause`; raises what the call ends with when there are none."""
        left = self.started + self.timeout - self.session.now()
        if left > pause:
            return left - pause
        raise self.outcome()

    def outcome(self) -> VectronError:
        """What the call ends with when there is no time for another attempt."""
        return self.last if isinstance(self.last, VectronError) else self._unreachable()

    def _unreachable(self) -> VectronError:
        asked = ", ".join(map(str, self.session.addresses))
        cause = f" ({self.last})" if self.last is not None else ""
        if self.sent:
            return DeadlineExceeded(
                f"no answer from {asked} within {self.timeout:g} s; a write may or may not have been applied{cause}"
            )
        return Unavailable(f"no node can be reached at {asked}{cause}; is the cluster running?")

    def _out_of_reach(self, error: ConsistencyError) -> ConsistencyError:
        """`error`, which knows only of its own attempt: one before it may have been done, or be done yet."""
        if not self.until:
            return error
        text = f"{error.message}; an earlier attempt may have reached some owner: the outcome is unknown"
        return ConsistencyError(text, acked=1, required=error.required, retryable=not self.conditional)

    def after_loss(self, address: Address, error: LinkLost) -> float:
        """The pause after a lost connection."""
        self.sent = self.sent or error.sent
        self.until = max(self.until, error.until)
        if error.sent or not isinstance(
            self.last, VectronError
        ):  # a node's refusal says more than a refused connection
            self.last = error
        if self.untried:
            return 0.0
        if self.out_of_reach is not None:
            raise self._out_of_reach(self.out_of_reach)
        waited = self.session.now() - self.started
        if not self.reached and not self.sent and waited >= self.policy.unreachable_s:
            raise self.outcome()
        left = self.timeout - waited
        if left <= LAST_ATTEMPT_S:
            raise self.outcome()
        self.rounds_lost += 1
        pause = self.policy.pause(self.rounds_lost, self.session.rng)
        return min(pause, left - LAST_ATTEMPT_S)

    def out_of_reach_of_the_lost(self) -> Flow[None]:
        """Until no attempt that was lost can be begun any more."""
        left = self.until - self.session.now()
        if left > 0:
            yield Sleep(left)

    def after_refusal(self, error: VectronError) -> float:
        """The pause after a node's error; raises `error` when trying again cannot help."""
        self.reached = True
        self.last = error
        if not error.retryable or isinstance(error, DeadlineExceeded):
            raise error
        if isinstance(error, ConsistencyError) and error.acked:
            self.until = max(self.until, unsettled(self.message, self.session.now()))
        if isinstance(error, ConsistencyError) and error.acked == 0:
            self.out_of_reach = error
            if not self.untried:
                raise self._out_of_reach(error)
            return 0.0
        if isinstance(error, Overloaded):
            self.overloads += 1
            return error.retry_after + self.policy.pause(self.overloads, self.session.rng)
        self.refusals += 1
        if self.refusals > self.policy.refusals:
            raise error
        return self.policy.pause(self.refusals, self.session.rng)


def ask_each(
    session: Session,
    messages: Sequence[Any],
    reply_type: type[R],
    *,
    timeout: float | None = None,
    spread: int | None = None,
    width: int = 1,
) -> Flow[list[R]]:
    """The answers to `messages`, asked within one deadline.

    Args:
        session: As `ask`, like all that is not named here.
        width: How many are under way at once. More than one is for what may be done in any order, and again.
    """
    if len(messages) == 1:
        return [(yield from ask(session, messages[0], reply_type, timeout=timeout, spread=spread))]
    whole = session.timeout if timeout is None else timeout
    end = session.now() + whole
    flows = [_part(session, message, reply_type, end, spread, again=bool(at)) for at, message in enumerate(messages)]
    replies: list[R] = []
    if width > 1:
        outcomes = yield Together(flows, width)
        failed = next((outcome for outcome in outcomes if isinstance(outcome, Exception)), None)
        replies = [outcome for outcome in outcomes if outcome is not UNDONE and not isinstance(outcome, Exception)]
        if failed is not None:
            raise _so_far(failed, len(replies), len(messages), whole)
        return replies
    for flow in flows:
        try:
            replies.append((yield from flow))
        except (VectronError, _TooLate) as error:
            raise _so_far(error, len(replies), len(messages), whole) from error.__cause__
    return replies


class _TooLate(Exception):
    """No time was left to begin a part."""


def _part(
    session: Session, message: Any, reply_type: type[R], end: float, spread: int | None, *, again: bool
) -> Flow[R]:
    """The answer to one of several messages; `again`: time may have passed since it was made."""
    left = end - session.now()
    if left <= 0:
        raise _TooLate
    if again and isinstance(message, Search):
        message = replace(message, timeout=left)
    return (yield from ask(session, message, reply_type, timeout=left, spread=spread))


def _so_far(error: Exception, done: int, parts: int, whole: float) -> Exception:
    """`error`, which ended a call of several parts, with how far it had come."""
    if isinstance(error, _TooLate):
        return DeadlineExceeded(
            f"{done} of {parts} parts of this call were done within {whole:g} s; split it or raise timeout"
        )
    if isinstance(error, VectronError) and done:
        error.message = f"{error.message} ({done} of {parts} parts of this call were done before)"
        error.args = (error.message,)
    return error
