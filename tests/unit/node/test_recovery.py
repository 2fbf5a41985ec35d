"""What a forced recovery goes on from."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.catalog.test_recovery import NODES, five
from vectron_p2p.catalog.apply import apply
from vectron_p2p.catalog.commands import CreateCollection, command_to_wire
from vectron_p2p.catalog.entry import Entry, advance
from vectron_p2p.catalog.recovery import number, open_generation
from vectron_p2p.catalog.state import ClusterState
from vectron_p2p.model.collections import CollectionOptions
from vectron_p2p.model.errors import InvalidArgument, Unavailable
from vectron_p2p.model.ids import CollectionId, NodeId, OperationId
from vectron_p2p.model.nodes import Liveness
from vectron_p2p.node.recovery import Recovery
from vectron_p2p.protocol import messages as m

DEAD = NODES[2:]


def create(name: str) -> dict[str, Any]:
    options = CollectionOptions(dimension=1, shards=1, replicas=1)
    return command_to_wire(CreateCollection(OperationId(name), CollectionId(name), name, options, False))


def entry(state: ClusterState, name: str) -> bytes:
    return Entry(state.generation, state.epoch + 1, state.hash, NODES[4], name, create(name)).to_bytes()


def world(own: ClusterState, other: m.CatalogView | Exception) -> tuple[Recovery, list[ClusterState]]:
    opened: list[ClusterState] = []

    async def call(node: NodeId, message: object, *, timeout: float) -> m.CatalogView:
        assert isinstance(message, m.GetCatalogView)
        if node == NODES[0]:
            return recovery.view()
        if isinstance(other, Exception):
            raise other
        return other

    async def recover(state: ClusterState) -> None:
        opened.append(state)

    catalog: Any = SimpleNamespace(state=own, accepted=None, alarm=None, recover=recover)
    peers: Any = SimpleNamespace(me=NODES[0], call=call)
    runtime: Any = SimpleNamespace(random=Random(1))
    limits: Any = SimpleNamespace(call_timeout=1.0)
    recovery = Recovery(peers, catalog, lambda node: Liveness.DEAD if node in DEAD else Liveness.ALIVE, runtime, limits)
    return recovery, opened


def view(state: ClusterState, *, round: int = 0, value: bytes | None = None) -> m.CatalogView:
    return m.CatalogView(state.to_bytes(), round, NODES[1] if value else "", value)


async def test_the_newest_of_their_states_is_gone_on_from() -> None:
    state = five()
    newer, _, _ = advance(state, entry(state, "late"))
    for own, other in ((state, newer), (newer, state)):
        recovery, opened = world(own, view(other))
        await recovery.answer(m.Recover(True))
        assert opened[0].collection("late") is not None
        assert opened[0].epoch == newer.epoch + 1


async def test_a_change_voted_for_is_made_first_but_not_one_that_was_decided_otherwise() -> None:
    state = five()
    recovery, opened = world(state, view(state, round=3, value=entry(state, "voted")))
    await recovery.answer(m.Recover(True))
    assert opened[0].collection("voted") is not None
    newer, _, _ = advance(state, entry(state, "late"))
    recovery, opened = world(newer, view(state, round=3, value=entry(state, "voted")))
    await recovery.answer(m.Recover(True))
    assert opened[0].collection("voted") is None


async def test_looking_opens_nothing() -> None:
    recovery, opened = world(five(), view(five()))
    reply = await recovery.answer(m.Recover(False))
    assert (opened, reply.info["recovered"], reply.info["lost"]) == ([], False, ["n3", "n4", "n5"])


async def test_what_the_survivors_must_agree_on() -> None:
    state = five()
    recovered = open_generation(state, DEAD, NODES[1], 5)[0]
    assert number(recovered.generation) == 1
    options = CollectionOptions(dimension=1, shards=1, replicas=1)
    command = CreateCollection(OperationId("x"), CollectionId("x"), "x", options, False)
    fork = replace(apply(state, command)[0] or state, epoch=state.epoch)
    for other, kind in (
        (view(recovered), InvalidArgument),
        (view(fork), InvalidArgument),
        (Unavailable("gone"), Unavailable),
    ):
        recovery, opened = world(state, other)
        with pytest.raises(kind):
            await recovery.answer(m.Recover(True))
        assert opened == []
