"""How words become an opinion: order, refutation, suspicion, answers to old words."""

from __future__ import annotations

import itertools

import pytest

from tests.unit.membership.core import ME, Core, address, alive, dead, packets, suspect, word
from vectron_p2p.membership import MemberChanged, Refuted, SendPacket
from vectron_p2p.membership.messages import Ack, Gossip, Incarnation, Ping, PushPull
from vectron_p2p.model.ids import Address, NodeId
from vectron_p2p.model.nodes import Liveness

ALIVE, SUSPECT, DEAD = Liveness.ALIVE, Liveness.SUSPECT, Liveness.DEAD


@pytest.mark.parametrize(
    ("held", "heard", "wins"),
    [
        ((1, 0, SUSPECT), (1, 0, ALIVE), False),
        ((1, 0, SUSPECT), (1, 1, ALIVE), True),
        ((1, 0, DEAD), (1, 0, ALIVE), False),
        ((1, 0, DEAD), (1, 1, ALIVE), True),
        ((1, 9, DEAD), (2, 0, ALIVE), True),  # a restart outranks every rumour of an earlier life
        ((2, 0, ALIVE), (1, 9, DEAD), False),
        ((1, 0, ALIVE), (1, 0, SUSPECT), True),
        ((1, 1, ALIVE), (1, 0, SUSPECT), False),
        ((1, 0, DEAD), (1, 0, SUSPECT), False),
        ((1, 0, DEAD), (1, 1, SUSPECT), True),  # so it lived again in 1.1
        ((1, 0, SUSPECT), (1, 0, DEAD), True),
        ((1, 0, ALIVE), (1, 3, DEAD), True),
        ((1, 3, ALIVE), (1, 2, DEAD), False),
    ],
)
def test_the_higher_word_wins(held, heard, wins):
    core = Core()
    core.gossip("b", word("a", held[2], 5 + held[0], held[1], by="a" if held[2] is ALIVE else "c"))
    assert core.sees("a") is held[2]
    core.gossip("b", word("a", heard[2], 5 + heard[0], heard[1], by="a" if heard[2] is ALIVE else "c"))
    expected = heard if wins else held
    assert core.sees("a") is expected[2]
    assert core.incarnation("a") == Incarnation(5 + expected[0], expected[1])


def test_evidence_of_failure_raises_the_incarnation_too():
    core = Core()
    core.gossip("b", dead("a", 1, 10, by="b"))
    core.gossip("c", alive("a", 1, 2))  # delayed for long
    assert core.sees("a") is DEAD
    assert core.incarnation("a") == Incarnation(1, 10)


def test_words_may_come_in_any_order():
    words = [alive("a", 1, 1), suspect("a", 1, 1, by="b"), dead("a", 1, 0, by="c"), alive("a", 1, 2)]
    seen = set()
    for order in itertools.permutations(words):
        core = Core()
        for update in order:
            core.gossip("d", update)
        seen.add((core.sees("a"), core.incarnation("a")))
    assert seen == {(ALIVE, Incarnation(1, 2))}


def test_words_about_strangers_and_from_strangers_are_ignored():
    core = Core()
    assert core.gossip("a", alive("stranger"), dead("stranger", by="a")) == []
    assert core.tell("stranger", Gossip((dead("a", by="b"),))) == []
    assert core.tell("me", Gossip((dead("a", by="b"),))) == []
    assert core.sees("a") is ALIVE


def test_a_change_is_reported_once_with_its_reason():
    core = Core()
    changes = [e for e in core.gossip("b", suspect("a", by="c")) if isinstance(e, MemberChanged)]
    assert changes == [MemberChanged(NodeId("a"), ALIVE, SUSPECT, address("a"), "no answer to c")]
    assert not [e for e in core.gossip("d", suspect("a", by="c")) if isinstance(e, MemberChanged)]


# --- refutation -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("liveness", [SUSPECT, DEAD])
def test_an_accusation_is_refuted_with_a_higher_incarnation(liveness):
    core = Core()
    effects = core.gossip("a", word("me", liveness, 1, 0, by="b"))
    assert Refuted(Incarnation(1, 1), liveness, NodeId("b")) in effects
    assert core.swim.health_score == 1
    news = packets(core.run(0.3), Gossip)
    assert any(update.node == ME and update.incarnation == Incarnation(1, 1) for m in news for update in m.updates)


def test_the_ack_to_a_ping_that_accuses_carries_the_refutation():
    core = Core()
    ping = Ping(5, ME, Incarnation(1, 0), address("a"), (suspect("me", by="a"),))
    (ack,) = packets(core.tell("a", ping), Ack)
    assert ack.incarnation == Incarnation(1, 1)


def test_old_accusations_need_no_refutation():
    core = Core()
    core.gossip("a", suspect("me", 1, 0, by="b"))
    assert not [e for e in core.gossip("c", suspect("me", 1, 0, by="d")) if isinstance(e, Refuted)]
    assert core.swim.incarnation == Incarnation(1, 1)


def test_an_accusation_of_a_life_not_yet_lived_is_outranked():
    core = Core()  # say, the boot number was lost with a disk
    core.gossip("a", dead("me", 7, 3, by="b"))
    assert core.swim.incarnation == Incarnation(7, 4)


def test_a_higher_life_of_its_own_is_outranked_without_shame():
    core = Core()
    core.gossip("a", alive("me", 7, 3))
    assert core.swim.incarnation == Incarnation(7, 4)
    assert core.swim.health_score == 0


# --- suspicion --------------------------------------------------------------------------------------------------------


def test_a_suspect_that_is_silent_dies_after_the_longest_wait_when_one_accuses():
    core = Core()
    core.gossip("b", suspect("a", by="b"))
    core.run(20.0, answering=("b", "c", "d"))  # our own probe fails too: two accusers, about 11.4 s
    assert core.sees("a") is DEAD


def test_accusers_shorten_the_wait():
    core = Core()
    start = core.now
    core.gossip("b", suspect("a", by="b"))
    core.gossip("c", suspect("a", by="c"))
    core.gossip("d", suspect("a", by="d"))
    core.run(3.9 - (core.now - start), answering=("b", "c", "d"))
    assert core.sees("a") is SUSPECT
    core.run(0.2, answering=("b", "c", "d"))
    assert core.sees("a") is DEAD


def test_each_new_accuser_is_told_again():
    core = Core()
    for accuser in ("b", "c"):
        core.gossip(accuser, suspect("a", by=accuser))
        told = [update for message in packets(core.run(0.2), Gossip) for update in message.updates]
        assert {update.by for update in told if update.node == "a"} == {accuser}


def test_a_suspicion_heard_is_checked_by_a_probe_that_tells_the_suspect():
    core = Core()
    core.gossip("b", suspect("a", by="b"))
    pings = packets(core.run(0.5, answering=("b", "c", "d")), Ping, "a")
    assert pings
    assert pings[0].updates[0] == suspect("a", by="b")


def test_a_refutation_ends_the_suspicion():
    core = Core()
    core.gossip("b", suspect("a", by="b"))
    core.gossip("c", alive("a", 1, 1))
    assert core.sees("a") is ALIVE
    core.quiet(40.0)
    assert core.sees("a") is ALIVE


def test_the_dead_of_a_push_pull_are_suspects():
    core = Core()
    core.tell("b", PushPull((alive("b"), dead("a", by="c"))), tcp=True)
    assert core.sees("a") is SUSPECT


def test_a_clean_stop_is_believed_at_once_even_in_a_push_pull():
    core = Core()
    core.tell("b", PushPull((alive("b"), dead("a", by="a"))), tcp=True)
    assert core.sees("a") is DEAD


# --- answers to old words ---------------------------------------------------------------------------------------------


def test_a_stale_alive_is_answered_with_the_accusation_to_both():
    core = Core()
    core.gossip("b", dead("a", 1, 5, by="b"))
    effects = core.gossip("c", alive("a", 1, 2))
    answers = {e.node for e in effects if isinstance(e, SendPacket) and e.message == Gossip((dead("a", 1, 5, by="b"),))}
    assert answers == {"a", "c"}


def test_the_ack_to_one_that_is_thought_dead_carries_the_accusation():
    core = Core()
    core.gossip("b", dead("a", 1, 0, by="b"))
    (ack,) = packets(core.tell("a", Ping(1, ME, Incarnation(1, 0), address("a"))), Ack)
    assert ack.updates[0] == dead("a", 1, 0, by="b")


def test_a_node_that_fell_back_is_told_its_own_later_life():
    core = Core()
    core.gossip("b", alive("a", 4, 2))
    (ack,) = packets(core.tell("a", Ping(1, ME, Incarnation(2, 0), address("a"))), Ack)
    assert ack.updates[0] == alive("a", 4, 2)
    (answer,) = packets(core.gossip("a", alive("a", 2, 0)), Gossip, "a")
    assert answer.updates == (alive("a", 4, 2),)


def test_answers_are_rationed():
    core = Core()
    core.gossip("b", dead("a", 1, 5, by="b"))
    sent = sum(len(packets(core.gossip("c", alive("a", 1, counter)), Gossip)) for counter in range(5))
    assert sent == 2


# --- addresses --------------------------------------------------------------------------------------------------------


def test_the_address_travels_with_a_later_life():
    core = Core()
    there = Address("elsewhere", 9)
    effects = core.gossip("b", alive("a", 2, 0, at=there))
    assert core.swim.address(NodeId("a")) == there
    assert [e.address for e in effects if isinstance(e, MemberChanged)] == [there]


def test_an_old_address_does_not_come_back_with_an_old_word():
    core = Core()
    there = Address("elsewhere", 9)
    core.gossip("b", alive("a", 2, 0, at=there))
    core.gossip("c", suspect("a", 1, 9, by="c"))
    core.gossip("c", suspect("a", 2, 0, by="c"))  # by one who only knows the old address of this life
    assert core.swim.address(NodeId("a")) == there
