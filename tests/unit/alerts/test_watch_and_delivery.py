"""How long a condition has to last, and who tells of it when."""

from __future__ import annotations

import random

from vectron_p2p.alerts.delivery import SENDERS, SETTLE_S, TAKEOVER_S, Delivery, Word, next_number, ranked
from vectron_p2p.alerts.watch import CLEAR_S, Sighting, Watch

LAG = ("loop_lag", "a")
NODES = ["a", "b", "c", "d"]
WORD = Word("ops", LAG, 1)


def test_a_condition_counts_once_it_has_lasted_and_a_little_longer() -> None:
    watch = Watch()
    seen = {LAG: Sighting("late", 10.0)}
    for at in range(10):
        assert not watch.look(seen, at, 1000 * at)
    assert watch.look(seen, 10, 10_000)[LAG].onset_ms == 0
    assert LAG in watch.look({}, 10 + CLEAR_S / 2, 11_000)
    assert LAG in watch.look(seen, 10 + CLEAR_S, 12_000)
    assert LAG not in watch.look({}, 10 + 2 * CLEAR_S, 14_000)
    assert not watch.look(seen, 20, 20_000)  # from the beginning


def test_what_flickers_before_its_time_is_nothing() -> None:
    watch = Watch()
    for at in range(0, 60, 4):
        assert not watch.look({LAG: Sighting("late", 10.0)}, at, 0)
        assert not watch.look({}, at + CLEAR_S, 0)


def test_a_rule_without_delay_counts_at_once() -> None:
    assert Watch().look({LAG: Sighting("late")}, 5.0, 7)[LAG].onset_ms == 7


def test_numbers_say_what_is_there() -> None:
    assert [next_number(told, firing=True) for told in (0, 1, 2, 3)] == [1, 1, 3, 3]
    assert [next_number(told, firing=False) for told in (0, 1, 2, 3)] == [0, 2, 2, 4]
    assert Word("ops", LAG, 3).firing
    assert not Word("ops", LAG, 4).firing


def senders(live: list[str], now: float, deliveries: dict[str, Delivery]) -> list[str]:
    return [node for node in live if deliveries[node].due([WORD], live, now)]


def test_one_of_all_sends_after_it_has_settled() -> None:
    deliveries = {node: Delivery(node, random.Random(1)) for node in NODES}
    first = ranked("\0".join(("ops", *LAG)), NODES)[0]
    assert senders(NODES, 0.0, deliveries) == []
    assert senders(NODES, SETTLE_S, deliveries) == [first]
    assert senders(NODES, SETTLE_S + 1, deliveries) == []  # under way


def test_when_the_first_cannot_others_do() -> None:
    deliveries = {node: Delivery(node, random.Random(1)) for node in NODES}
    order = ranked("\0".join(("ops", *LAG)), NODES)
    tried: list[str] = []
    for at in range(int(SETTLE_S + SENDERS * TAKEOVER_S)):
        for node in senders(NODES, at, deliveries):
            tried.append(node)
            deliveries[node].ended(WORD, done=False, now=at)
    assert list(dict.fromkeys(tried)) == order[:SENDERS]
    assert 3 <= tried.count(order[0]) <= 12  # it pauses longer each time


def test_when_the_first_dies_the_next_is_first() -> None:
    deliveries = {node: Delivery(node, random.Random(1)) for node in NODES}
    order = ranked("\0".join(("ops", *LAG)), NODES)
    assert senders(NODES, 0.0, deliveries) == []
    assert senders(sorted(order[1:]), SETTLE_S, deliveries) == [order[1]]


def test_what_is_no_longer_wanted_is_forgotten() -> None:
    delivery = Delivery("a", random.Random(1))
    assert delivery.due([WORD], ["a"], 0.0) == []
    assert delivery.due([], ["a"], 5.0) == []
    assert delivery.due([WORD], ["a"], 10.0) == []  # it settles anew
    assert delivery.due([WORD], ["a"], 10.0 + SETTLE_S) == [WORD]
    delivery.ended(WORD, done=True, now=13.0)
    assert delivery.due([], ["a"], 14.0) == []
