"""The table of members: what this node holds of each peer, and whose turn it is to be probed.

Owns the entries and the order of probing. Must not decide what is true: `opinions` writes the entries.

Invariants: the members are those the catalog names, without this node itself, whatever their liveness; none is ever
forgotten. Every order that reaches the network comes from insertion (sorted by node) and the seeded generator.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vectron_p2p.membership.messages import RANK, UNHEARD, Incarnation, Update, Updates, Word
from vectron_p2p.model.nodes import Liveness

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from vectron_p2p.membership.suspicion import Suspicion
    from vectron_p2p.model.ids import Address, NodeId

RTT_WEIGHT = 0.2  # of a new sample: one slow answer hardly moves it, ten do


@dataclass(frozen=True, slots=True)
class MemberSeed:
    """A member as the catalog names it."""

    node: NodeId
    address: Address


@dataclass(frozen=True, slots=True)
class MemberView:
    """A member as this node sees it. `since`: when `liveness` last changed; `rtt`: of UDP, seconds, None if unknown."""

    node: NodeId
    address: Address
    liveness: Liveness
    incarnation: Incarnation
    since: float
    rtt: float | None


@dataclass(slots=True)
class Member:
    """A member is taken for alive until something says otherwise: a wrong guess costs one failed call, the other way
    round a node that starts would serve nothing until it has heard of everybody."""

    node: NodeId
    address: Address
    seed_address: Address
    """Where the catalog says it is. A dead member is looked for there too."""
    since: float
    by: NodeId
    """Who said what is held of it."""
    incarnation: Incarnation = UNHEARD
    liveness: Liveness = Liveness.ALIVE
    suspicion: Suspicion | None = None
    rtt: float | None = None
    probed_at: float = -math.inf
    answered_at: float = -math.inf
    """When this node last told somebody that his word of it is old."""
    dead_probes: int = 0

    @property
    def word(self) -> Word:
        return self.incarnation, RANK[self.liveness]

    @property
    def unheard(self) -> bool:
        """Nothing is known but that it exists."""
        return self.incarnation == UNHEARD and self.liveness is Liveness.ALIVE

    def update(self) -> Update:
        """What this node holds, to be told to others."""
        return Update(self.node, self.address, self.incarnation, self.liveness, self.by)

    def sample_rtt(self, seconds: float) -> None:
        self.rtt = seconds if self.rtt is None else self.rtt + RTT_WEIGHT * (seconds - self.rtt)


class MemberTable:
    """All members but this node."""

    __slots__ = ("_living", "_members", "_random", "_ring", "_turn")

    def __init__(self, random: Random) -> None:
        self._random = random
        self._members: dict[NodeId, Member] = {}
        self._living: list[Member] | None = None
        self._ring: list[Member] = []
        self._turn = 0

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[Member]:
        return iter(self._members.values())

    def get(self, node: NodeId) -> Member | None:
        return self._members.get(node)

    def add(self, member: Member) -> None:
        self._members[member.node] = member
        self._living = None

    def remove(self, node: NodeId) -> Member:
        self._living = None
        return self._members.pop(node)

    def set_liveness(self, member: Member, liveness: Liveness, now: float) -> None:
        if Liveness.DEAD in (member.liveness, liveness) and member.liveness is not liveness:
            self._living = None  # not otherwise: made anew for each word, it is most of the work of a large cluster
        member.liveness = liveness
        member.since = now

    @property
    def living(self) -> list[Member]:
        """Members not dead."""
        if self._living is None:
            self._living = [member for member in self._members.values() if member.liveness is not Liveness.DEAD]
        return self._living

    @property
    def nodes(self) -> int:
        """Members not dead, and this node: the `n` of all formulas."""
        return len(self.living) + 1

    def some(self, count: int, *, alive: bool = False, but: Member | None = None) -> list[Member]:
        """At most `count` random members not dead (`alive`: not suspected either), without `but`."""
        choice = self.living
        if alive or but is not None:
            choice = [m for m in choice if m is not but and (not alive or m.liveness is Liveness.ALIVE)]
        return self._random.sample(choice, min(count, len(choice)))

    def a_dead_one(self) -> Member | None:
        dead = [member for member in self._members.values() if member.liveness is Liveness.DEAD]
        return self._random.choice(dead) if dead else None

    def any_seed_address(self) -> Address:
        """Where the catalog places a random member."""
        return self._random.choice(list(self._members.values())).seed_address

    def next_in_turn(self) -> Member | None:
        """The member to probe next: each once per round, in an order shuffled for each round (so the time until any
        one member is probed is bounded, and no two nodes march in step)."""
        for _ in range(len(self._ring) + 1):
            if self._turn >= len(self._ring):
                self._ring = list(self.living)
                self._random.shuffle(self._ring)
                self._turn = 0
                if not self._ring:
                    return None
            member = self._ring[self._turn]
            self._turn += 1
            if member.liveness is not Liveness.DEAD and self._members.get(member.node) is member:
                return member
        return None

    def words(self) -> Updates:
        """All that is known of anybody, for a push-pull."""
        return tuple(member.update() for member in self._members.values() if not member.unheard)
