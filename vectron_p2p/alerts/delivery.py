"""Who tells the outside of an alert, and when again.

Theory of operation. The board counts along each route what was said of a cause: odd, that it is there; even, that it is
over. Where that differs from what is, the next number has to be said. All nodes rank the live ones by the same hash;
the first says it, the others later by their rank, if the count has not risen by then: somebody may be cut off from the
receiver alone. So each word arrives once while nodes see each other, and at least once otherwise.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable

    from vectron_p2p.alerts.episodes import Cause

SETTLE_S = 2.0  # after the first sight, so that nodes have joined what each of them saw, and know what was said
TAKEOVER_S = 30.0  # by which each rank waits longer: the first has tried three times by then
SENDERS = 3  # ranks that try at all
FIRST_RETRY_S = 2.0
LONGEST_RETRY_S = 60.0  # a receiver that is down for a night is asked some hundred times


@dataclass(frozen=True, slots=True)
class Word:
    """`number` of what is said along `route` about `cause`."""

    route: str
    cause: Cause
    number: int

    @property
    def firing(self) -> bool:
        return self.number % 2 == 1


def next_number(told: int, *, firing: bool) -> int:
    """What has to be said next where it `firing`; `told` when nothing has."""
    return told if (told % 2 == 1) == firing else told + 1


def ranked(key: str, nodes: Iterable[str]) -> list[str]:
    """`nodes` in an order that depends on `key` and each node alone."""
    return sorted(nodes, key=lambda node: (hashlib.blake2b(f"{key}\0{node}".encode(), digest_size=8).digest(), node))


@dataclass(slots=True)
class _Attempts:
    since: float
    due: float
    failed: int = 0
    under_way: bool = False


class Delivery:
    """Of one node."""

    def __init__(self, me: str, rng: random.Random) -> None:
        self._me = me
        self._random = rng
        self._attempts: dict[Word, _Attempts] = {}

    def due(self, wanted: Iterable[Word], live: Iterable[str], now: float) -> list[Word]:
        """Which of the words `wanted` this node says now; each is answered with `ended`."""
        nodes = list(live)
        attempts = {word: self._attempts.get(word) or _Attempts(now, now + SETTLE_S) for word in wanted}
        attempts |= {word: each for word, each in self._attempts.items() if each.under_way}
        self._attempts = attempts
        found = []
        for word, each in attempts.items():
            if each.under_way or now < max(each.due, each.since + SETTLE_S + TAKEOVER_S * self._rank(word, nodes)):
                continue
            each.under_way = True
            found.append(word)
        return found

    def _rank(self, word: Word, nodes: list[str]) -> float:
        first = ranked("\0".join((word.route, *word.cause)), nodes)[:SENDERS]
        return first.index(self._me) if self._me in first else math.inf

    def ended(self, word: Word, *, done: bool, now: float) -> None:
        """An attempt is over; again later, if it is not `done`."""
        each = self._attempts.pop(word)
        if not done:
            # Any moment within the pause: receivers that come back are not met by all senders at once.
            pause = min(LONGEST_RETRY_S, FIRST_RETRY_S * 2**each.failed)
            due = now + pause * self._random.uniform(0.5, 1.0)
            self._attempts[word] = _Attempts(each.since, due, min(each.failed + 1, 10))
