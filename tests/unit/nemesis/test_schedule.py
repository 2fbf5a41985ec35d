"""The schedule: a function of its seed, and what each fault does to the network."""

from __future__ import annotations

from itertools import islice, permutations

import pytest

from simulations.nemesis.links import CLIENTS, CUT, SOUND, Link, from_wire, overlay, to_wire
from simulations.nemesis.schedule import HEAVY, SPECIAL, Fault, Kind, Step, links_of, steps

MANY = 600


def drawn(
    seed: int, nodes: int = 5, kinds: tuple[Kind, ...] | None = None, special: tuple[Kind, ...] = ()
) -> list[Step]:
    return list(islice(steps(seed, nodes, kinds, special=special), MANY))


def test_the_same_seed_gives_the_same_steps_and_another_one_others() -> None:
    assert drawn(3) == drawn(3)
    assert drawn(3) != drawn(4)


def test_a_machine_that_can_do_less_gets_the_same_schedule_otherwise() -> None:
    able, unable = drawn(3, special=tuple(SPECIAL)), drawn(3)
    assert {fault.kind for step in able for fault in step.faults} == set(Kind)
    for one, other in zip(able, unable, strict=True):
        assert (one.seconds, one.rest) == (other.seconds, other.rest)
        for wanted, done in zip(one.faults, other.faults, strict=True):
            assert done == wanted or (
                wanted.kind in SPECIAL and done == Fault(Kind.KILL, wanted.nodes, wanted.strength)
            )


def test_kinds_that_are_named_are_the_only_ones() -> None:
    kinds = (Kind.PAUSE, Kind.MUTE, Kind.HALVES)
    assert {fault.kind for step in drawn(1, kinds=kinds) for fault in step.faults} == set(kinds)


@pytest.mark.parametrize("nodes", [3, 5])
def test_most_steps_leave_all_nodes_but_one(nodes: int) -> None:
    away = [len(step.away) for step in drawn(7, nodes)]
    assert 0.03 < sum(each > 1 for each in away) / MANY < 0.3
    for step in drawn(7, nodes):
        if not any(fault.kind in HEAVY for fault in step.faults):
            assert len(step.away) <= 1
        assert all(0 <= node < nodes for fault in step.faults for node in fault.nodes)


def test_eras_differ_in_the_kinds_that_are_on() -> None:
    eras = {
        frozenset(fault.kind for step in drawn(5)[start : start + 8] for fault in step.faults) for start in (0, 8, 16)
    }
    assert len(eras) == 3


EVERY = frozenset(permutations(range(5), 2))
OF_2 = frozenset(pair for pair in EVERY if 2 in pair)
CLIENTS_OF_2 = frozenset({(CLIENTS, 2), (2, CLIENTS)})
HALF = frozenset(pair for pair in EVERY if (pair[0] < 2) != (pair[1] < 2))


@pytest.mark.parametrize(
    ("fault", "cut"),
    [
        (Fault(Kind.CUT_OFF, (2,)), OF_2 | CLIENTS_OF_2),
        (Fault(Kind.CUT_FROM_PEERS, (2,)), OF_2),
        (Fault(Kind.DEAF, (2,)), frozenset(pair for pair in OF_2 if pair[1] == 2)),
        (Fault(Kind.MUTE, (2,)), frozenset(pair for pair in OF_2 if pair[0] == 2)),
        (Fault(Kind.LINK_DOWN, (2, 4)), frozenset({(2, 4), (4, 2)})),
        (Fault(Kind.LINK_ONE_WAY, (2, 4)), frozenset({(2, 4)})),
        (Fault(Kind.HALVES, (0, 1)), HALF),
        (Fault(Kind.BRIDGE, (0, 1, 3, 4, 2)), frozenset(pair for pair in HALF if 2 not in pair)),
        (Fault(Kind.SHATTER, (0, 1, 2, 3, 4)), EVERY),
        (Fault(Kind.KILL, (2,)), frozenset()),
    ],
)
def test_what_is_cut(fault: Fault, cut: frozenset[tuple[int, int]]) -> None:
    links = links_of(fault, 5)
    assert {pair for pair, link in links.items() if link == CUT} == cut
    assert len(links) == len(cut)


def test_faults_of_one_protocol() -> None:
    assert set(links_of(Fault(Kind.NO_PACKETS, (2,)), 5).values()) == {Link(udp=False)}
    assert set(links_of(Fault(Kind.NO_STREAMS, (2,)), 5).values()) == {Link(tcp=False)}
    assert links_of(Fault(Kind.LOSSY, (), 0.5), 5).keys() == EVERY


def test_two_faults_at_once_and_the_way_to_the_carrier() -> None:
    tables = [links_of(Fault(Kind.MUTE, (2,)), 5), links_of(Fault(Kind.LOSSY, (), 0.5), 5)]
    both = overlay(tables)
    assert not both[2, 0].udp
    assert not both[2, 0].tcp
    assert both[2, 0].loss == both[0, 2].loss > 0
    assert both[0, 2].tcp
    assert overlay([{(0, 1): Link(loss=0.5)}, {(0, 1): Link(loss=0.5)}])[0, 1].loss == 0.75
    assert from_wire(to_wire(both)) == both
    assert SOUND not in both.values()
