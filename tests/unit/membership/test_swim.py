"""What the driver sees of one core: members, deadlines, push-pull, pauses, leaving."""

from __future__ import annotations

import math
from random import Random

import pytest

from tests.unit.membership.core import ME, Core, address, alive, dead, packets, streams, suspect
from vectron_p2p.membership import MemberChanged, MemberSeed, Refuted, SendPacket, SendStream, Swim, SwimConfig
from vectron_p2p.membership.messages import Gossip, Incarnation, Ping, PushPull, PushPullReply
from vectron_p2p.model.errors import InvalidArgument
from vectron_p2p.model.ids import Address, NodeId
from vectron_p2p.model.nodes import Liveness

ALIVE, SUSPECT, DEAD = Liveness.ALIVE, Liveness.SUSPECT, Liveness.DEAD


def lone() -> Swim:
    return Swim(ME, address("me"), SwimConfig.lan(), boot=1, random=Random(1), now=0.0)


def seeds(*names: str) -> list[MemberSeed]:
    return [MemberSeed(NodeId(name), address(name)) for name in names]


# --- members ----------------------------------------------------------------------------------------------------------


def test_alone_there_is_nothing_to_do():
    swim = lone()
    assert swim.set_members(seeds("me"), 0.0) == []
    assert swim.next_deadline == math.inf
    assert swim.tick(0.0) == []
    assert swim.members() == []
    assert swim.liveness(ME) is ALIVE
    assert swim.address(ME) == address("me")


def test_boot_numbers_start_at_one():
    with pytest.raises(InvalidArgument):
        Swim(ME, address("me"), SwimConfig.lan(), boot=0, random=Random(1), now=0.0)


def test_new_members_are_reported_in_order_and_greeted_at_once():
    core = Core("d", "a", known=False)
    assert [(e.node, e.before, e.after) for e in core.first if isinstance(e, MemberChanged)] == [
        ("a", None, ALIVE),
        ("d", None, ALIVE),
    ]
    pings = packets(core.run(0.25), Ping)
    assert sorted(ping.target for ping in pings) == ["a", "d"]
    assert all(ping.incarnation == Incarnation(1, 0) and ping.address == address("me") for ping in pings)


def test_the_order_of_the_catalog_does_not_matter():
    one = Core("a", "b", "c", known=False).run(3.0)
    other = Core("c", "a", "b", known=False).run(3.0)
    assert one == other


def test_a_removed_member_is_forgotten_with_all_that_concerns_it():
    core = Core("a", "b")
    core.gossip("b", suspect("a", by="b"))
    (change,) = core.swim.set_members(seeds("b", "me"), core.now)
    assert change == MemberChanged(NodeId("a"), SUSPECT, None, address("a"), "no longer a member")
    assert core.sees("a") is None
    assert core.swim.address(NodeId("a")) is None
    effects = core.run(60.0, answering=("b",))
    assert not [e for e in effects if isinstance(e, SendPacket | SendStream | MemberChanged) and e.node == "a"]
    assert not [u for m in packets(effects, Gossip) for u in m.updates if u.node == "a"]


def test_removed_while_probed():
    core = Core("a", "b")
    core.swim.probe_now(NodeId("a"), core.now)
    core.swim.tick(core.now)
    core.swim.set_members(seeds("b"), core.now)
    core.run(5.0, answering=("b",))
    assert core.sees("b") is ALIVE


def test_with_the_last_member_removed_all_is_quiet():
    core = Core("a", known=False)
    core.swim.set_members([], core.now)
    core.run(1.0)
    assert core.swim.next_deadline == math.inf
    core.swim.set_members(seeds("a"), core.now)
    assert core.swim.next_deadline < core.now + 1.0


def test_the_catalogs_address_counts_until_the_member_has_spoken():
    core = Core("a", known=False)
    there = Address("there", 1)
    (change,) = core.swim.set_members([MemberSeed(NodeId("a"), there)], core.now)
    assert isinstance(change, MemberChanged)
    assert (change.before, change.after, change.address) == (ALIVE, ALIVE, there)
    core.gossip("a", alive("a"))
    assert core.swim.address(NodeId("a")) == address("a")
    assert core.swim.set_members([MemberSeed(NodeId("a"), there)], core.now) == []
    assert core.swim.set_members([MemberSeed(NodeId("a"), Address("x", 2))], core.now) == []
    assert core.swim.address(NodeId("a")) == address("a")


def test_a_dead_member_is_looked_for_in_both_places_for_ever():
    core = Core("a", "b")
    there = Address("there", 1)
    core.swim.set_members([MemberSeed(NodeId("a"), there), *seeds("b")], core.now)
    core.gossip("b", dead("a", by="b"))
    core.run(3600.0, answering=("b",))
    looks = [e for e in core.run(60.0, answering=("b",)) if isinstance(e, SendPacket) and e.node == "a"]
    assert {e.address for e in looks} == {address("a"), there, address("b")}
    assert 12 <= len(looks) <= 39  # two or three each 5 to 10 s
    assert all(isinstance(e.message, Ping) and e.message.updates[0] == dead("a", by="b") for e in looks)


def test_views_tell_since_when():
    core = Core("a", "b")
    core.gossip("b", suspect("a", by="b"))
    at = core.now
    core.run(1.0, answering=("b",))
    view = next(view for view in core.swim.members() if view.node == "a")
    assert (view.liveness, view.since, view.incarnation) == (SUSPECT, at, Incarnation(1, 0))


# --- at rest ----------------------------------------------------------------------------------------------------------


def test_at_rest_there_is_one_ping_a_second_and_no_gossip():
    core = Core()
    core.quiet(10.0)
    effects = core.run(100.0, answering=core.peers)
    assert len(packets(effects, Ping)) in (99, 100, 101)
    assert packets(effects, Gossip) == []
    assert len(streams(effects, PushPull)) in range(3, 10)
    assert len(effects) < 115


def test_news_is_gossiped_a_bounded_number_of_times():
    core = Core()
    core.gossip("a", alive("a", 2, 0))
    effects = core.run(5.0, answering=core.peers)
    told = [u for e in effects if isinstance(e, SendPacket) for u in getattr(e.message, "updates", ())]
    assert 1 <= len(told) <= 4
    assert packets(core.run(5.0, answering=core.peers), Gossip) == []


# --- push-pull --------------------------------------------------------------------------------------------------------


def test_push_pull_is_answered_with_the_whole_table():
    core = Core()
    (reply,) = streams(core.tell("b", PushPull((alive("b"),)), tcp=True), PushPullReply, "b")
    assert {update.node for update in reply.updates} == {"me", "a", "b", "c", "d"}


def test_push_pull_is_repeated_soon_until_somebody_answers():
    core = Core(known=False)
    early = len(streams(core.run(16.0, answering=core.peers), PushPull))
    assert 4 <= early <= 7
    core.tell("a", PushPullReply((alive("a"),)), tcp=True)
    core.run(16.0, answering=core.peers)
    late = len(streams(core.run(60.0, answering=core.peers), PushPull))
    assert late in (2, 3)


def test_what_a_table_brings_is_taken_in():
    core = Core()
    there = Address("there", 1)
    core.tell("b", PushPullReply((alive("b"), alive("a", 3, 0, at=there), suspect("c", by="d"))), tcp=True)
    assert core.swim.address(NodeId("a")) == there
    assert core.sees("c") is SUSPECT


def test_an_old_table_refutes_us_not():
    core = Core()
    core.tell("b", PushPull((alive("me", 1, 0), alive("a", 1, 0))), tcp=True)
    assert core.swim.incarnation == Incarnation(1, 0)


def test_we_learn_from_a_table_that_we_are_thought_dead():
    core = Core()
    effects = core.tell("b", PushPullReply((dead("me", 1, 0, by="c"),)), tcp=True)
    assert [e for e in effects if isinstance(e, Refuted)]


def test_a_dead_member_gets_a_push_pull_now_and_then():
    core = Core("a")
    core.tell("a", PushPullReply((alive("a"),)), tcp=True)
    core.gossip("a", dead("a", by="b"))
    assert core.sees("a") is DEAD
    assert len(streams(core.run(120.0), PushPull, "a")) >= 3


# --- pauses -----------------------------------------------------------------------------------------------------------


def test_after_a_pause_suspicions_are_void_and_suspects_probed():
    core = Core()
    core.gossip("b", suspect("a", by="b"))
    core.now += 10.0  # longer than the suspicion would have lasted
    effects = core.swim.tick(core.now)
    assert MemberChanged(NodeId("a"), SUSPECT, ALIVE, address("a"), "this process was paused") in effects
    assert packets(effects, Ping, "a")
    assert core.swim.health_score == 1


def test_a_pause_does_not_fail_the_probes_it_slept_through():
    core = Core()
    core.swim.probe_now(NodeId("a"), core.now)
    core.swim.tick(core.now)
    core.now += 5.0
    core.swim.tick(core.now)
    assert [view.node for view in core.swim.members() if view.liveness is not ALIVE] == []


def test_one_pause_counts_once():
    core = Core()
    core.now += 5.0
    core.swim.tick(core.now)
    assert core.swim.local_pause(core.now + 0.1, 5.0) == []
    assert core.swim.health_score == 1
    core.swim.local_pause(core.now + 100.0, 5.0)
    assert core.swim.health_score == 2


def test_a_short_stall_grants_time_to_read_what_has_arrived():
    core = Core("a", "b")
    core.swim.probe_now(NodeId("a"), core.now)
    core.swim.tick(core.now)
    core.run(0.9, answering=("b",))
    core.now += 1.0  # the end of the probe is slept through
    core.swim.tick(core.now)
    assert core.sees("a") is ALIVE
    core.run(0.6, answering=("b",))
    assert core.sees("a") is SUSPECT


def test_stalls_all_the_time_do_not_hide_a_death():
    core = Core("a", "b")
    core.gossip("b", suspect("a", by="b"))
    for _ in range(20):
        core.now = max(core.now, core.swim.next_deadline) + 0.3
        core.swim.tick(core.now)
    assert core.sees("a") is DEAD


# --- leaving ----------------------------------------------------------------------------------------------------------


def test_leaving_is_told_to_everybody_both_ways():
    core = Core()
    effects = core.swim.leave(core.now)
    word = Gossip((dead("me", 1, 0, by="me"),))
    assert [e.node for e in effects if isinstance(e, SendStream) and e.message == word] == ["a", "b", "c", "d"]
    assert [e.node for e in effects if isinstance(e, SendPacket) and e.message == word] == ["a", "b", "c", "d"]
    assert packets(core.run(0.5), Gossip)


def test_who_left_is_silent_and_does_not_refute():
    core = Core()
    core.swim.leave(core.now)
    assert core.gossip("a", dead("me", by="b"), suspect("c", by="b")) == []
    assert core.tell("a", Ping(1, ME, Incarnation(1, 0), address("a"))) == []
    core.swim.probe_now(NodeId("a"), core.now)
    core.swim.set_members(seeds("a", "b"), core.now)
    core.run(3.0)
    assert core.swim.next_deadline == math.inf
    assert core.sees("a") is ALIVE


def test_one_that_left_is_dead_at_once_without_suspicion():
    core = Core()
    (change,) = [e for e in core.gossip("b", dead("a", by="a")) if isinstance(e, MemberChanged)]
    assert (change.before, change.after, change.reason) == (ALIVE, DEAD, "it stopped")


def test_leaving_alone():
    swim = lone()
    assert swim.leave(0.0) == []
    assert swim.next_deadline == math.inf
