"""The one worker that feeds the store: it connects, subscribes, and changes the peer when one falls silent.

Owns the only client of the process, opened and closed in the one task that runs `run`. Must not know Textual: it calls
`changed` after each write to the store. Invariants: one source is open at a time; it never gives up by itself; a peer
of another cluster is refused, however well it answers; whatever an answer raises ends up on the screen, not in a
traceback.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import anyio

from tui.precedence import Precedence
from tui.snapshot import TOPICS, Snapshots
from tui.store import HISTORY
from vectron_p2p.model.errors import Unavailable, VectronError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from tui.source import ClusterSource, Opener
    from tui.store import Store
    from vectron_p2p.model.nodes import ClusterStatus
    from vectron_p2p.model.watching import WatchEvent

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. The sum of `refresh` and `answer` bounds how long a silent peer is kept: with 1.0 and 2.5 another one
    answers within 5 s of its death."""

    refresh: float = 1.0
    answer: float = 2.5  # shorter: a busy node's p99 would look like death; longer: the switch would come too late
    action: float = 10.0  # what a person asked for may have to wait for a quorum; longer, and they would ask again
    retry_low: float = 0.5  # first pause after every peer failed
    retry_high: float = 5.0  # an outage seen to end within 5 s is soon enough, and costs nothing while it lasts


class _PeerFailed(Exception):
    """This peer gives no answer that can be used; the text says why."""


def describe(error: BaseException) -> str:
    """An error in one line."""
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    if isinstance(error, VectronError):
        return f"{error.code}: {error.message}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    text = str(error).strip()
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


class Connection:
    """Feeds `store` from whichever of the known peers answers."""

    def __init__(
        self,
        seeds: Sequence[str],
        opener: Opener,
        store: Store,
        *,
        timing: Timing | None = None,
        clock: Callable[[], float] = time.monotonic,
        changed: Callable[[], None] = lambda: None,
        precedence: Precedence | None = None,
    ) -> None:
        self._seeds = tuple(dict.fromkeys(seeds))
        self._opener = opener
        self._store = store
        self._timing = timing or Timing()
        self._clock = clock
        self._changed = changed
        self._wake = anyio.Event()
        self._answers = 0
        self._past_asked = False
        self._source: ClusterSource | None = None
        self._snapshots = Snapshots()
        self._precedence = precedence or Precedence(clock)

    async def perform(self, ask: Callable[[ClusterSource], Awaitable[T]]) -> T:
        """What `ask` gets from the node that is connected now.

        Raises:
            Unavailable: None is.
            VectronError: What the call raises.
        """
        if self._source is None:
            raise Unavailable("the console is not connected to a node; it goes on trying", retryable=True)
        return await ask(self._source)

    def wake(self) -> None:
        """Ends the pause that is on, and has everything come anew at once."""
        self._wake.set()
        self._wake = anyio.Event()

    def candidates(self) -> list[str]:
        """Addresses to try, best first: members last seen alive, the seeds, then the other members.

        The peer that answered last comes last of the living: it is only asked again when the others failed.
        """
        status = self._store.status.value
        nodes = status.nodes if status is not None else []
        last = self._store.link.address
        alive = [node.address for node in nodes if node.liveness == "alive"]
        if last in alive:
            cut = alive.index(last) + 1
            alive = alive[cut:] + alive[:cut]
        others = [node.address for node in nodes if node.liveness != "alive" and node.state not in ("left", "removed")]
        return list(dict.fromkeys([*alive, *self._seeds, *others]))

    async def run(self) -> None:
        """Runs until cancelled."""
        pause = self._timing.retry_low
        while True:
            answered = False
            addresses = self.candidates()
            for address in addresses:
                self._store.trying(address, len(addresses))
                self._changed()
                before = self._answers
                try:
                    await self._use(address)
                except _PeerFailed as failure:
                    self._store.failed(address, str(failure), self._clock())
                    self._changed()
                answered = self._answers != before
                if answered:  # it worked for a while: who is alive may have changed, so choose afresh
                    break
            if answered:
                pause = self._timing.retry_low
                continue
            self._store.exhausted(self._clock())
            self._changed()
            await self._pause(pause)
            pause = min(self._timing.retry_high, pause * 2)

    async def _use(self, address: str) -> None:
        """Follows one peer until it fails."""
        try:
            async with self._opener(address) as source:
                while True:
                    events = source.watch(*TOPICS, interval=self._timing.refresh)
                    await self._follow(events, source, address)
        except Exception as error:  # a console outlives whatever a peer does; the text is shown
            raise _PeerFailed(describe(error)) from error
        finally:
            self._source = None

    async def _follow(self, events: AsyncIterator[WatchEvent], source: ClusterSource, address: str) -> None:
        """Takes what comes, until somebody asks for everything anew."""
        while True:
            event = await self._next(events)
            if event is None:
                return
            if event.lost:
                raise _PeerFailed(event.lost)
            for _ in self._snapshots.steps(event):
                await self._precedence.turn()
            await self._precedence.turn()
            taken = self._snapshots.take(event)
            self._check_cluster(taken.status, address)
            await self._precedence.turn()
            self._answers += 1
            self._source = source
            # The client may have gone on to another member by itself: what is shown is who answered.
            answering = next((node.address for node in taken.status.nodes if node.id == event.node), address)
            self._store.answered(answering, taken, self._clock())
            if not self._past_asked:
                self._past_asked = True
                await self._ask_past(source)
            self._changed()

    async def _ask_past(self, source: ClusterSource) -> None:
        """The charts begin with what the nodes remember; without it they begin empty."""
        with anyio.move_on_after(self._timing.answer), contextlib.suppress(VectronError):
            self._store.begin_with(await source.history(seconds=HISTORY))

    async def _next(self, events: AsyncIterator[WatchEvent]) -> WatchEvent | None:
        """The next event; None when woken before it came."""
        with anyio.fail_after(self._timing.refresh + self._timing.answer):
            async with anyio.create_task_group() as tasks:

                async def woken() -> None:
                    await self._wake.wait()
                    tasks.cancel_scope.cancel()

                tasks.start_soon(woken)
                event = await anext(events)
                tasks.cancel_scope.cancel()
                return event
        return None

    def _check_cluster(self, status: ClusterStatus, address: str) -> None:
        held = self._store.status.value
        if held is not None and held.cluster_id != status.cluster_id:
            raise _PeerFailed(
                f"{address} belongs to another cluster, {status.cluster_id[:8]}; start the console anew for it"
            )

    async def _pause(self, seconds: float) -> None:
        with anyio.move_on_after(seconds):
            await self._wake.wait()
