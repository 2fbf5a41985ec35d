"""Is a history of calls on one register one that the calls, done one after another, could have had? (Linearizability.)

The search is that of Wing and Gong (1993) with the states seen remembered (Lowe 2017). It is for one register:
linearizability is local (Herlihy and Wing 1990), so points are checked one by one, and the histories are kept short.
What a call means is a function of the state, so that any kind of register can be checked.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

S = TypeVar("S", bound="Hashable")

DIGIT = 3  # bits that count how often a call has taken effect
MAX_STATES = 300_000  # some seconds; histories that need more have too many calls of unknown outcome


class Undecided(Exception):
    """The history is too long to be judged."""


@dataclass(slots=True)
class Call(Generic[S]):
    """One call. `step` gives the state after it, or None where its answer could not have been given.

    It took effect between `began` and `ended` if it is `certain`; else it may have, from `began` on, or not at all. It
    may take effect `repeats` times more before it ends. It `looks` if it changes no state whatever. States are wrapped
    in tuples of one, so that None is a state too.
    """

    began: float
    ended: float
    step: Callable[[S], tuple[S] | None]
    certain: bool = True
    repeats: int = 0
    looks: bool = False

    @property
    def horizon(self) -> float:
        return self.ended if self.certain else math.inf


def linearizable(calls: Sequence[Call[S]], initial: S) -> bool:
    """Whether one order of the calls explains all answers.

    Raises:
        Undecided: More than `MAX_STATES` would have to be looked at.
    """
    calls = sorted(calls, key=lambda call: call.began)
    certain = [i for i, call in enumerate(calls) if call.certain]
    mask = (1 << DIGIT) - 1
    once = not any(call.repeats for call in calls)  # else a call done early may come too early for a second time
    seen: set[tuple[int, S]] = set()
    stack: list[tuple[int, S]] = [(0, initial)]
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        if len(seen) > MAX_STATES:
            raise Undecided(f"{len(calls)} calls")
        done, state = node
        horizon = min((calls[i].ended for i in certain if not done >> DIGIT * i & mask), default=None)
        if horizon is None:
            return True
        now = max((call.began for i, call in enumerate(calls) if done >> DIGIT * i & mask), default=-math.inf)
        following: list[tuple[int, S]] = []
        for i, call in enumerate(calls):
            if call.began > horizon:
                break
            times = done >> DIGIT * i & mask
            if times > call.repeats or (times and call.horizon < now):
                continue
            after = call.step(state)
            if after is None:
                continue
            reached = (done + (1 << DIGIT * i), after[0])
            if once and call.looks and call.certain:
                following = [reached]  # what never changes anything may as well come first
                break
            following.append(reached)
        stack += following
    return False
