"""The interfaces for time and threads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    import outcome
    import trio

T = TypeVar("T")
Done: TypeAlias = "Callable[[outcome.Outcome[T]], None]"


class Clock(Protocol):
    """Time, sleeping and deadlines of one node."""

    def now(self) -> float:
        """Seconds on a monotonic clock."""
        ...

    def ticks(self) -> float:
        """Seconds on a monotonic clock that jobs on threads may read too; only differences mean anything."""
        ...

    def wall(self) -> float:
        """Seconds since 1970 as this machine believes; may step."""
        ...

    async def sleep(self, seconds: float) -> None: ...

    async def sleep_until(self, at: float) -> None:
        """Until `now()` is `at`; inf sleeps until cancelled."""
        ...

    def move_on_after(self, seconds: float) -> trio.CancelScope:
        """A scope that is cancelled after `seconds` (inf: never)."""
        ...

    def fail_after(self, seconds: float) -> AbstractContextManager[trio.CancelScope]:
        """As `move_on_after`, but raises `trio.TooSlowError` when the deadline cut the block short."""
        ...


class Executor(Protocol):
    """Runs blocking or long work off the event loop.

    Lanes keep kinds of work from waiting for each other: "system" (the node's own records), "disk" (batches, fsync),
    "read" (gets and scans), "admit" (checks of large requests), "search" (queries), "index" (linking, rebuilding),
    "notify" (what is sent out of the cluster).
    """

    async def run(self, lane: str, fn: Callable[..., T], *args: object) -> T:
        """`fn(*args)` on a thread of `lane`; its result or exception.

        Cancelling waits for nothing: `fn` runs on to its end and its result is dropped.
        """
        ...

    def start(
        self, nursery: trio.Nursery, lane: str, fn: Callable[..., T], args: Sequence[object], done: Done[T]
    ) -> None:
        """Begins `fn(*args)` on a thread of `lane`, and calls `done` with the outcome on the event loop: no task has to
        be woken for that. Not called any more, maybe, once `nursery` is cancelled. `done` must not raise.
        """
        ...


class Crew(Protocol):
    """Threads for one piece of work at a time that is done together."""

    @property
    def size(self) -> int: ...

    def run(self, fn: Callable[[], None]) -> None:
        """`fn` on `size` threads at once, the caller's among them; until all have ended. Raises what one raised."""
        ...


class CountedExecutor(Executor, Protocol):
    """An executor that says how much waits for it."""

    def waiting(self) -> dict[str, int]:
        """Jobs not yet begun, by lane."""
        ...


class Usage(Protocol):
    """What this process takes of its machine, and how much others leave."""

    def cpu_seconds(self) -> float:
        """Processor time of all threads since the start."""
        ...

    def rss_bytes(self) -> int:
        """Memory that is in RAM."""
        ...

    def memory_percent(self) -> float:
        """How much of the whole machine's memory is in use, by whomever, and cannot be had at once."""
        ...
