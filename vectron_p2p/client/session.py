"""What a client remembers between calls: where to ask, which cluster it is, which epoch it has seen, how to retry.

Owns the choice of the node to ask. Must not know sockets; clock, randomness and operation ids are handed in. Shared by
the threads of a blocking client without a lock: every change is one assignment or one dict operation, and a lost race
costs an attempt at a worse node, never a wrong answer.

Invariants: the cluster, once pinned, never changes; `epoch` never falls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vectron_p2p.model.errors import InvalidArgument

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable

    from vectron_p2p.model.ids import Address

AVOID_S = 2.0  # a node that was lost is asked last for as long as its restart takes, then tried again
MAX_ADDRESSES = 64  # learnt addresses are a help, not a directory


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long and how often a call is tried again."""

    base_s: float = 0.1
    """Upper bound of the first pause; doubled each time, drawn evenly from 0 (full jitter spreads a herd best)."""
    cap_s: float = 5.0
    """Largest upper bound: a node that comes back is found within seconds."""
    refusals: int = 6
    """Answers "not now" taken before the error is handed on; with `base_s` about 3 s of pauses, enough for a dead node
    to be noticed by the others. Lost connections and Overloaded are retried until the deadline."""
    unreachable_s: float = float("inf")
    """How long to go on when no node at all can be reached; the call's own deadline holds in any case."""

    def pause(self, count: int, rng: random.Random) -> float:
        """The pause before attempt `count` (from 1)."""
        return rng.uniform(0.0, min(self.cap_s, self.base_s * 2 ** min(count - 1, 16)))


class Session:
    """State shared by all calls of one client."""

    def __init__(
        self,
        seeds: Iterable[Address],
        *,
        timeout: float,
        now: Callable[[], float],
        rng: random.Random,
        operation_id: Callable[[], str],
        trace: Callable[[], int] | None = None,
        retry: RetryPolicy | None = None,
        learning: bool = True,
    ) -> None:
        """`trace` makes the trace ids of calls, 1..2^64-1 (None: the nodes make them). `learning` False: ask the
        seeds only.
        """
        self.timeout = check_timeout(timeout)
        self.now = now
        self.rng = rng
        self.operation_id = operation_id
        self.trace = trace or (lambda: 0)
        self.retry = retry or RetryPolicy()
        self.cluster: str | None = None
        self.generation = 0
        self.epoch = 0
        self._addresses = tuple(seeds)
        self._seeds = len(self._addresses)
        self._learning = learning
        # Clients of one seed list start at different nodes, or the first would coordinate for all of them.
        self._preferred = self._addresses[rng.randrange(self._seeds)]
        self._lost_until: dict[Address, float] = {}

    @property
    def seeds(self) -> tuple[Address, ...]:
        """The addresses that the client was given."""
        return self._addresses[: self._seeds]

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Seeds in their order, then addresses learnt."""
        return self._addresses

    def route(self, spread: int | None = None) -> list[Address]:
        """All addresses in the order to try them: the preferred one (or seed number `spread`, to use several
        coordinators at once), the other seeds, those learnt (which may be of no use from where the client is); each
        group at random, so that clients of a dead node do not all move to the same one; lost ones last.
        """
        first = self._preferred if spread is None else self._addresses[spread % self._seeds]
        if len(self._addresses) == 1:
            return [first]
        addresses = self._addresses
        route = [first]
        for group in (addresses[: self._seeds], addresses[self._seeds :]):
            others = [address for address in group if address != first]
            self.rng.shuffle(others)
            route += others
        if self._lost_until:
            now, lost = self.now(), self._lost_until
            route.sort(key=lambda address: lost.get(address, now) > now)
        return route

    def first(self, now: float) -> Address | None:
        """The address that `route` begins with; None while it is one that was lost."""
        address = self._preferred
        return None if self._lost_until and self._lost_until.get(address, now) > now else address

    def answered(self, address: Address, *, prefer: bool = True) -> None:
        """`address` gave an answer."""
        self._lost_until.pop(address, None)
        if prefer:
            self._preferred = address

    def lost(self, address: Address) -> None:
        """`address` could not be reached or broke the connection."""
        self._lost_until[address] = self.now() + AVOID_S

    def welcomed(self, address: Address, cluster: str, generation: int, epoch: int) -> None:
        """A node of `cluster` answered the handshake.

        Raises:
            InvalidArgument: The client already speaks to another cluster.
        """
        if self.cluster is None:
            self.cluster = cluster
        elif cluster != self.cluster:
            raise InvalidArgument(
                f"{address} belongs to cluster {cluster}, this client to {self.cluster}: name nodes of one cluster",
                field="target",
            )
        self.saw(generation, epoch)

    def saw(self, generation: int, epoch: int) -> None:
        """An answer carried this catalog epoch."""
        if (generation, epoch) > (self.generation, self.epoch):
            self.generation, self.epoch = generation, epoch

    def learn(self, addresses: Iterable[Address]) -> None:
        """The nodes of the cluster as one of them sees it now, to fail over to after the seeds."""
        if self._learning:
            seeds = self._addresses[: self._seeds]
            learnt = dict.fromkeys(address for address in addresses if address not in seeds)
            self._addresses = (*seeds, *list(learnt)[:MAX_ADDRESSES])


def check_timeout(timeout: object, *, field: str = "timeout") -> float:
    """`timeout` in seconds as a float.

    Raises:
        InvalidArgument: It is not a number above 0.
    """
    if isinstance(timeout, int | float) and not isinstance(timeout, bool) and 0 < timeout < float("inf"):
        return float(timeout)
    raise InvalidArgument(f"{field} is a number of seconds above 0, not {timeout!r}", field=field)
