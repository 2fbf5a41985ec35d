"""The catalog as the node uses it: the epoch log driven on this node's disk and network.

Invariant: `state` is the last one that is durable here; whoever needs a newer one waits for it, for a bounded time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import trio

from vectron_p2p.catalog.commands import Command, command_to_wire
from vectron_p2p.catalog.effects import (
    Alarm,
    Applied,
    Confirmed,
    Persist,
    ProposalFailed,
    Proposed,
    Rejected,
    Send,
)
from vectron_p2p.catalog.log import EpochLog
from vectron_p2p.model.errors import Unavailable, VectronError, from_wire
from vectron_p2p.net.interfaces import ConnectionLost
from vectron_p2p.node.driver import Driver
from vectron_p2p.node.runtime import Runtime, new_uuid
from vectron_p2p.observability.logs import get_logger
from vectron_p2p.protocol.messages import CatalogNote
from vectron_p2p.storage.kv import StorageError, out_of_space

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vectron_p2p.catalog.records import Persisted
    from vectron_p2p.catalog.state import ClusterState, Collection
    from vectron_p2p.catalog.vote import Accepted
    from vectron_p2p.model.ids import NodeId
    from vectron_p2p.net.pool import Pool
    from vectron_p2p.storage.kv import KeyValue

log = get_logger(__name__)

BEHIND = 2.0  # seconds a request waits for an epoch its sender has: a pull takes one round trip and an fsync
LOOK = 0.3  # seconds to look for a newer epoch before "not found" is said: three peers are asked, one round trip each;
# who has not answered by then is slow or gone, and one that has is enough
DISK_RETRY = 1.0  # between attempts to write on a full disk: its space is looked at as often
NOTE_TIMEOUT = 2.0  # a message of the log is resent by the log itself; older ones are worth nothing


@dataclass(slots=True)
class _Proposal:
    done: trio.Event = field(default_factory=trio.Event)
    result: dict[str, Any] = field(default_factory=dict)
    error: VectronError | None = None


@dataclass(slots=True)
class _Look:
    """A look for what is newer: how many members were asked, which of them know nothing, and whether it is over."""

    asked: int = 0
    heard: set[NodeId] = field(default_factory=set)
    done: trio.Event = field(default_factory=trio.Event)


class Catalog:
    """`on_applied` is told every new durable state, before anybody who waits for it; `on_left_behind` why the cluster
    has gone on without this node.
    """

    def __init__(
        self,
        node: NodeId,
        persisted: Persisted,
        system: KeyValue,
        pool: Pool,
        runtime: Runtime,
        *,
        on_applied: Callable[[ClusterState], None],
        on_left_behind: Callable[[str], None],
        background: trio.Nursery,
    ) -> None:
        self.state = persisted.state
        self.alarm: str | None = None
        self.waiting: str | None = None
        """Why nothing can be decided on this node at the moment."""
        self._system = system
        self._pool = pool
        self._runtime = runtime
        self._on_applied = on_applied
        self._on_left_behind = on_left_behind
        self._background = background
        self._changed = trio.Event()
        self._proposals: dict[str, _Proposal] = {}
        self._looks: dict[int, _Look] = {}
        self._last_look = 0
        self._driver = Driver(EpochLog(node, persisted, rng=runtime.random), runtime.clock, self._perform)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        await self._driver.run(task_status=task_status)

    def collections(self) -> list[Collection]:
        """By name."""
        return sorted(self.state.collections.values(), key=lambda collection: collection.name)

    async def propose(self, command: Command, *, timeout: float) -> dict[str, Any]:
        """Have `command` decided and applied here; its result.

        Raises:
            VectronError: The command was refused, or could not be decided in time (Unavailable: it still may be).
        """
        proposal_id, proposal = new_uuid(self._runtime.random), _Proposal()
        self._proposals[proposal_id] = proposal
        try:
            wire = command_to_wire(command)
            self._driver.post(lambda now: self._driver.core.propose(proposal_id, wire, now, timeout=timeout))
            await proposal.done.wait()
        finally:
            del self._proposals[proposal_id]
        if proposal.error is not None:
            raise proposal.error
        if "error" in proposal.result:
            raise from_wire(proposal.result["error"])
        return proposal.result

    @property
    def accepted(self) -> Accepted | None:
        """What this node voted for at the next epoch, not known to be decided."""
        return self._driver.core.accepted()

    async def recover(self, state: ClusterState) -> None:
        """Open the next generation with `state`; durable on return.

        Raises:
            Unavailable: Another one was opened meanwhile.
        """
        self._driver.post(lambda now: self._driver.core.recover(state))
        while self.state.generation < state.generation:
            await self._changed.wait()
        if self.state.generation != state.generation:
            raise Unavailable("another recovery was faster: look at `vectron status`", retryable=False)

    def observe(self, sender: NodeId, generation: int, epoch: int, digest: bytes | None) -> None:
        """A peer told its position."""
        if (generation, epoch) != (self.state.generation, self.state.epoch) or (digest and digest != self.state.hash):
            self._driver.offer(lambda now: self._driver.core.observe(sender, generation, epoch, digest, now))

    def receive(self, body: dict[str, Any], sender: NodeId) -> None:
        """A message of a peer's log."""
        self._driver.offer(lambda now: self._driver.core.receive(body, sender, now))

    async def catch_up(self, epoch: int) -> None:
        """Until this node is at `epoch`, pulling it.

        Raises:
            Unavailable: It could not get there in time.
        """
        if epoch > self.state.epoch:
            await self._wait_for(epoch, BEHIND)
            if epoch > self.state.epoch:
                raise Unavailable(
                    f"this node is at catalog epoch {self.state.epoch} and could not get {epoch} yet; retry elsewhere"
                )

    async def catch_up_with_peers(self) -> bool:
        """Ask some members for what is newer than this node's state, and take the first of it that comes.

        False: nobody answered, so there may be something newer all the same.
        """
        if len(self.state.current()) < 2:
            return True
        self._last_look += 1
        number, look, epoch = self._last_look, _Look(), self.state.epoch
        self._looks[number] = look

        def ask(now: float) -> list[Any]:
            sends = self._driver.core.look(number)
            look.asked = len(sends)
            return list(sends)

        try:
            self._driver.post(ask)
            with self._runtime.clock.move_on_after(LOOK):
                await look.done.wait()
        finally:
            del self._looks[number]
        return bool(look.heard) or self.state.epoch > epoch

    async def _wait_for(self, epoch: int, seconds: float) -> None:
        self._driver.post(lambda now: self._driver.core.want(epoch, now))
        with self._runtime.clock.move_on_after(seconds):
            while epoch > self.state.epoch:
                await self._changed.wait()

    async def changed(self) -> None:
        """Until the next new state."""
        await self._changed.wait()

    async def _perform(self, effect: Any) -> None:
        match effect:
            case Persist(puts):
                await self._persist(puts)
            case Send(node, body):
                self._background.start_soon(self._send, node, body)
            case Applied(state):
                self.state = state
                self._on_applied(state)
                self._changed.set()
                self._changed = trio.Event()
                for look in self._looks.values():
                    look.done.set()
            case Proposed(proposal_id, _, result):
                self._finish(proposal_id, result, None)
            case ProposalFailed(proposal_id, error):
                self._finish(proposal_id, {}, error)
            case Confirmed(number, sender) if number in self._looks:
                look = self._looks[number]
                look.heard.add(sender)
                if len(look.heard) == look.asked:
                    look.done.set()
            case Rejected(sender, reason):
                log.warning("catalog_message_rejected", sender=sender, reason=reason)
            case Alarm(text, leave):
                self.alarm = text
                log.critical("catalog_alarm", text=text)
                if leave:
                    self._on_left_behind(text)

    async def _persist(self, puts: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Nothing goes on with a vote that is not on disk: a failure here ends the node, but a full disk, which is
        waited out. The same records are written again, so it does not matter whether a failed write is there.
        """
        while True:
            try:
                await self._runtime.executor.run("system", self._write, puts)
            except StorageError as error:
                if not out_of_space(error):
                    raise
                self.waiting = "the disk is full: this node takes no part in catalog changes until there is room"
                log.error("catalog_waits_for_the_disk", error=str(error))
                await self._runtime.clock.sleep(DISK_RETRY)
            else:
                self.waiting = None
                return

    def _write(self, puts: Sequence[tuple[bytes, bytes | None]]) -> None:
        self._system.heal()  # the counter shares the store, and may have failed to be written
        self._system.write(puts, sync=True)

    def _finish(self, proposal_id: str, result: dict[str, Any], error: VectronError | None) -> None:
        proposal = self._proposals.get(proposal_id)
        if proposal is not None:
            proposal.result, proposal.error = result, error
            proposal.done.set()

    async def _send(self, node: NodeId, body: dict[str, Any]) -> None:
        try:
            await self._pool.note(node, CatalogNote(body), timeout=NOTE_TIMEOUT)
        except (VectronError, ConnectionLost) as error:
            log.debug("catalog_message_lost", peer=node, error=str(error))
