"""Scatter: shards, owners, failures, hedges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio

from vectron_p2p.membership.config import SwimConfig
from vectron_p2p.model.errors import DeadlineExceeded, InvalidArgument, Overloaded, Unavailable, VectronError
from vectron_p2p.model.ids import NodeId
from vectron_p2p.model.nodes import Liveness
from vectron_p2p.node.config import Limits
from vectron_p2p.node.hedging import Hedging
from vectron_p2p.node.peers import Peers
from vectron_p2p.node.scatter import Scatter
from vectron_p2p.runtime.real import TrioClock

A, B, C = NodeId("a"), NodeId("b"), NodeId("c")
HEDGE = 0.3


def scatter(
    owners: dict[int, list[NodeId]],
    ask: Callable[..., Any],
    *,
    need: int = 1,
    me: NodeId = A,
    dead: tuple[NodeId, ...] = (),
) -> Scatter:
    def liveness(node: NodeId) -> Liveness:
        return Liveness.DEAD if node in dead else Liveness.ALIVE

    peers = Peers(me, None, TrioClock(), local=None, liveness=liveness)  # type: ignore[arg-type]
    hedging = Hedging(peers, TrioClock(), Limits(swim=SwimConfig.sim(), hedge_after=HEDGE))
    return Scatter(peers, TrioClock(), owners, ask, need=dict.fromkeys(owners, need), hedging=hedging)


class Owners:
    """Answers at once, but for nodes that fail, refuse or take their time."""

    def __init__(
        self,
        *,
        fails: tuple[NodeId, ...] = (),
        refuses: dict[NodeId, set[int]] | None = None,
        slow: dict[NodeId, float] | None = None,
    ) -> None:
        self.asked: list[tuple[NodeId, tuple[int, ...]]] = []
        self.fails, self.refuses, self.slow = fails, refuses or {}, slow or {}

    async def __call__(self, node: NodeId, shards: list[int]) -> list[VectronError | None]:
        self.asked.append((node, tuple(shards)))
        await trio.sleep(self.slow.get(node, 0.001))
        if node in self.fails:
            raise Unavailable("down", node=node)
        return [Unavailable("not here") if shard in self.refuses.get(node, set()) else None for shard in shards]


async def test_own_shards_are_asked_in_one_call_without_the_network(autojump_clock: object) -> None:
    owners = Owners()
    round_ = scatter({0: [B, A], 1: [A, C]}, owners)
    await round_.run(10)
    assert owners.asked == [(A, (0, 1))]
    assert round_.missing == []


async def test_a_failed_owner_is_replaced_at_once(autojump_clock: object) -> None:
    owners = Owners(fails=(B,))
    round_ = scatter({0: [B, C]}, owners)
    began = trio.current_time()
    await round_.run(10)
    assert [node for node, _ in owners.asked] == [B, C]
    assert round_.missing == []
    assert trio.current_time() - began < HEDGE


async def test_only_the_refused_shards_go_to_another_owner(autojump_clock: object) -> None:
    owners = Owners(refuses={B: {1}})
    round_ = scatter({0: [B, C], 1: [B, C]}, owners)
    await round_.run(10)
    assert owners.asked == [(B, (0, 1)), (C, (1,))]
    assert round_.missing == []


async def test_a_slow_owner_is_hedged_and_the_first_answer_counts(autojump_clock: object) -> None:
    owners = Owners(slow={B: 60.0})
    round_ = scatter({0: [B, C]}, owners)
    began = trio.current_time()
    await round_.run(100)
    assert [node for node, _ in owners.asked] == [B, C]
    assert round_.missing == []
    assert HEDGE <= trio.current_time() - began < 1.0


async def test_the_late_answer_of_a_hedged_owner_still_counts_when_the_hedge_fails(autojump_clock: object) -> None:
    owners = Owners(slow={B: 2.0}, fails=(C,))
    round_ = scatter({0: [B, C]}, owners)
    await round_.run(10)
    assert round_.missing == []


async def test_dead_owners_are_asked_last(autojump_clock: object) -> None:
    owners = Owners()
    await scatter({0: [B, C]}, owners, dead=(B,)).run(10)
    assert owners.asked == [(C, (0,))]


async def test_a_quorum_asks_distinct_owners(autojump_clock: object) -> None:
    owners = Owners(fails=(B,))
    round_ = scatter({0: [A, B, C]}, owners, need=2)
    await round_.run(10)
    assert sorted(node for node, _ in owners.asked) == [A, B, C]
    assert round_.answered == {0: 2}
    assert round_.missing == []


async def test_shards_without_enough_owners_are_named(autojump_clock: object) -> None:
    owners = Owners(fails=(B, C))
    round_ = scatter({0: [B, C], 1: [A]}, owners)
    await round_.run(10)
    assert round_.missing == [0]
    round_.raise_if_nothing()  # one shard answered: partial, not an error


async def test_nobody_there_is_unavailable_and_out_of_time_is_deadline(autojump_clock: object) -> None:
    round_ = scatter({0: [B]}, Owners(fails=(B,)))
    await round_.run(10)
    with pytest.raises(Unavailable) as caught:
        round_.raise_if_nothing()
    assert caught.value.missing_shards == [0]
    late = scatter({0: [B]}, Owners(slow={B: 99.0}))
    await late.run(1)
    with pytest.raises(DeadlineExceeded):
        late.raise_if_nothing()


async def test_a_refusal_of_the_request_itself_reaches_the_caller(autojump_clock: object) -> None:
    async def ask(node: NodeId, shards: list[int]) -> list[VectronError | None]:
        raise InvalidArgument("no such operator", field="filter")

    for me in (A, B):
        round_ = scatter({0: [B]}, ask, me=me)
        await round_.run(1)
        with pytest.raises(InvalidArgument):
            round_.raise_if_nothing()


async def test_owners_that_have_too_much_to_do_say_for_how_long(autojump_clock: object) -> None:
    async def ask(node: NodeId, shards: list[int]) -> list[VectronError | None]:
        if node == C:
            raise Unavailable("gone", node=C)
        raise Overloaded("searches wait", retry_after=0.2 if node == A else 0.4)

    round_ = scatter({0: [A, B]}, ask)
    await round_.run(1)
    with pytest.raises(Overloaded) as caught:
        round_.raise_if_nothing()
    assert caught.value.retry_after == 0.4
    round_ = scatter({0: [A, C]}, ask)
    await round_.run(1)
    with pytest.raises(Unavailable):
        round_.raise_if_nothing()
