"""Calls to peers: which outcomes are a peer's trouble, and what follows for the order in which peers are asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio

from vectron_p2p.model.errors import DeadlineExceeded, Learning, NotFound, Unavailable, VectronError, VersionConflict
from vectron_p2p.model.ids import NodeId
from vectron_p2p.model.nodes import Liveness
from vectron_p2p.net.interfaces import ConnectionLost
from vectron_p2p.net.pool import Unreachable
from vectron_p2p.node.peers import HUNG_S, UNHEARD_S, Peers
from vectron_p2p.protocol import messages as m
from vectron_p2p.runtime.real import TrioClock
from vectron_p2p.traffic.breaker import FAILURES, FIRST_PAUSE
from vectron_p2p.traffic.peer_health import SLOW_FOR

ME, B, C, D = NodeId("a"), NodeId("b"), NodeId("c"), NodeId("d")
ASK = m.GetNodeStatus(replicas=False)
FETCH = m.FetchRows("docs", 0, 0, [1], False, False)


class Pool:
    """Answers as told; `heard_at` is when the peer last said anything."""

    def __init__(self) -> None:
        self.answer: Callable[[], Awaitable[Any]] = self.at_once
        self.heard_at = 0.0
        self.calls = 0

    async def at_once(self) -> str:
        return "reply"

    async def call(self, node: NodeId, message: Any, *, timeout: float, bulk: bool = False) -> Any:
        self.calls += 1
        with trio.move_on_after(timeout):
            return await self.answer()
        raise DeadlineExceeded("no answer")

    def heard(self, node: NodeId) -> float:
        return self.heard_at

    def ping(self, node: NodeId) -> None:
        pass


class Setup:
    def __init__(self) -> None:
        self.pool = Pool()
        self.liveness: dict[NodeId, Liveness] = {}

        async def local(message: Any) -> str:
            return "mine"

        self.peers = Peers(
            ME,
            self.pool,  # type: ignore[arg-type]
            TrioClock(),
            local=local,
            liveness=lambda node: self.liveness.get(node, Liveness.ALIVE),
        )

    def raising(self, error: Exception) -> None:
        async def answer() -> Any:
            raise error

        self.pool.answer = answer

    def hanging(self) -> None:
        self.pool.answer = trio.sleep_forever

    async def fail(self, timeout: float = 1.0, times: int = 1, **options: Any) -> None:
        for _ in range(times):
            with pytest.raises(VectronError):
                await self.peers.call(B, ASK, timeout=timeout, **options)

    @property
    def failures(self) -> int:
        return next((peer.failures for peer in self.peers.figures() if peer.node == B), 0)


@pytest.mark.parametrize("error", [NotFound("x"), VersionConflict("x"), Unavailable("x"), Learning("x")])
async def test_what_a_peer_answers_is_an_answer(error: VectronError, autojump_clock: object) -> None:
    at = Setup()
    at.peers.broken(B, False)
    at.peers.broken(B, False)
    at.raising(error)
    await at.fail(times=FAILURES)
    assert at.failures == 2
    at.peers.broken(B, False)
    assert at.peers.ready(B), "the row of failures was interrupted by answers"


@pytest.mark.parametrize("error", [ConnectionLost("broken"), Unreachable("no way")])
async def test_a_broken_connection_is_counted_once_and_not_by_each_of_its_calls(
    error: Exception, autojump_clock: object
) -> None:
    at = Setup()
    at.raising(error)
    await at.fail(times=20)
    assert at.failures == 0
    for _ in range(FAILURES):
        at.peers.broken(B, False)
    assert not at.peers.ready(B)


async def test_a_timeout_counts_when_nothing_was_heard_or_it_was_very_long(autojump_clock: object) -> None:
    at = Setup()
    at.hanging()
    await at.fail(UNHEARD_S - 0.1)
    assert at.failures == 0, "the caller gave too little time to tell"
    at.pool.heard_at = 1e9
    await at.fail(HUNG_S - 0.1)
    assert at.failures == 0, "it lives and works"
    await at.fail(HUNG_S)
    assert at.failures == 1
    at.pool.heard_at = 0.0
    await at.fail(UNHEARD_S, times=FAILURES - 1)
    assert not at.peers.ready(B)


async def test_an_open_breaker_ends_optional_calls_at_once_and_lets_one_try_after_a_while(
    autojump_clock: object,
) -> None:
    at = Setup()
    at.peers.broken(B, True)
    await at.fail(optional=True, times=3)
    assert at.pool.calls == 0
    assert await at.peers.call(C, ASK, timeout=1.0, optional=True) == "reply"
    await trio.sleep(FIRST_PAUSE)
    at.hanging()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(at.fail, 5.0, 1)
        await trio.sleep(0.1)
        assert not at.peers.ready(B), "one call tries, no other"
        await at.fail(optional=True)
        at.pool.answer = at.pool.at_once
        assert await at.peers.call(B, ASK, timeout=1.0) == "reply", "a call that is needed is made"
        assert at.peers.ready(B)
        nursery.cancel_scope.cancel()


async def test_a_cancelled_probe_leaves_the_next_call_to_try(autojump_clock: object) -> None:
    at = Setup()
    at.peers.broken(B, True)
    await trio.sleep(FIRST_PAUSE)
    at.hanging()
    with trio.move_on_after(0.1):
        await at.peers.call(B, ASK, timeout=5.0)
    assert at.peers.ready(B)
    at.pool.answer = at.pool.at_once
    assert await at.peers.call(B, ASK, timeout=5.0, optional=True) == "reply"


async def test_peers_are_asked_in_the_order_of_their_standing(autojump_clock: object) -> None:
    at = Setup()
    assert at.peers.prefer([D, C, B, ME]) == [ME, B, C, D]
    at.peers.late(B)
    assert at.peers.prefer([B, C, D]) == [C, D, B]
    at.liveness[C] = Liveness.SUSPECT
    assert at.peers.prefer([B, C, D]) == [D, B, C]
    at.peers.broken(D, True)
    assert at.peers.prefer([B, C, D]) == [B, C, D]
    at.liveness[B] = Liveness.DEAD
    assert at.peers.prefer([B, C, D]) == [C, D, B]
    at.liveness.clear()
    await trio.sleep(max(SLOW_FOR, FIRST_PAUSE))
    assert at.peers.prefer([D, C, B]) == [B, C, D]


async def test_a_peer_that_membership_sees_again_is_tried_at_once_and_a_removed_one_forgotten(
    autojump_clock: object,
) -> None:
    at = Setup()
    at.peers.broken(B, True)
    at.peers.seen(B)
    assert at.peers.ready(B)
    at.peers.forget(B)
    assert at.peers.figures() == []


async def test_round_trips_are_kept_by_kind_and_grow_by_what_was_given_up(autojump_clock: object) -> None:
    at = Setup()

    async def slowly() -> str:
        await trio.sleep(0.2)
        return "reply"

    assert at.peers.timeout(B, "read") == 0.0
    at.pool.answer = slowly
    await at.peers.call(B, FETCH, timeout=1.0)
    await at.peers.call(B, FETCH, timeout=1.0)
    assert at.peers.timeout(B, "read") == pytest.approx(0.2 + 4 * 0.075)
    assert at.peers.timeout(B, "search") == 0.0
    before = at.peers.timeout(B, "read")
    at.hanging()
    with trio.move_on_after(0.9):
        await at.peers.call(B, FETCH, timeout=5.0)
    assert at.peers.timeout(B, "read") > before
