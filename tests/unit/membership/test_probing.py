"""A probe from the ping to the verdict, and relays."""

from __future__ import annotations

import dataclasses

import pytest

from tests.unit.membership.core import ME, Core, address, alive, dead, packets, streams
from vectron_p2p.membership import SendPacket, SwimConfig
from vectron_p2p.membership.messages import Ack, Gossip, Incarnation, Nack, Ping, PingReq
from vectron_p2p.model.ids import Address, NodeId
from vectron_p2p.model.nodes import Liveness

FIRST = Incarnation(1, 0)


def probe(core: Core, name: str) -> Ping:
    """Start a probe out of turn; the ping that went out."""
    core.swim.probe_now(NodeId(name), core.now)
    pings = packets(core.swim.tick(core.now), Ping, name)
    while not pings:  # it was probed a moment ago
        core.now = core.swim.next_deadline
        pings = packets(core.swim.tick(core.now), Ping, name)
    return pings[0]


def ack(ping: Ping | PingReq, name: str, incarnation: Incarnation = FIRST) -> Ack:
    return Ack(ping.sequence, NodeId(name), incarnation, address(name))


def without(core: Core, *silent: str) -> tuple[str, ...]:
    return tuple(peer for peer in core.peers if peer not in silent)


def test_each_member_is_probed_once_per_round():
    core = Core()
    pings = packets(core.run(12.0, answering=core.peers), Ping)
    assert len(pings) == 12
    for start in range(6):  # whatever the turn a window begins with, it holds a whole round
        assert {ping.target for ping in pings[start : start + 7]} == {"a", "b", "c", "d"}


def test_an_ack_ends_the_probe_and_gives_the_round_trip():
    core = Core("a")
    ping = probe(core, "a")
    core.now += 0.04
    core.tell("a", ack(ping, "a"))
    (view,) = core.swim.members()
    assert view.rtt is not None
    assert 0 < view.rtt <= 0.04
    assert core.swim.health_score == 0


def test_help_is_asked_for_when_the_direct_ack_is_late():
    core = Core()
    ping = probe(core, "a")
    effects = core.run(0.5, answering=without(core, "a"))
    requests = [request for relay in "bcd" for request in packets(effects, PingReq, relay)]
    assert [(request.target, request.sequence) for request in requests] == [("a", ping.sequence)] * 3
    assert [message.sequence for message in streams(effects, Ping, "a")] == [ping.sequence]


@pytest.mark.parametrize("way", ["relay", "tcp", "late"])
def test_any_ack_in_time_saves_it(way):
    core = Core()
    ping = probe(core, "a")
    core.run(0.6, answering=without(core, "a"))
    core.tell("b" if way == "relay" else "a", ack(ping, "a"), tcp=way == "tcp")
    core.run(0.5, answering=without(core, "a"))
    assert core.sees("a") is Liveness.ALIVE


def test_only_a_direct_packet_gives_a_round_trip():
    core = Core("a", "b", known=False)
    ping = probe(core, "a")
    core.now += 0.02
    core.tell("b", ack(ping, "a"))
    assert {view.rtt for view in core.swim.members()} == {None}


def test_silence_makes_a_suspect_at_the_end_of_the_interval():
    core = Core()
    probe(core, "a")
    core.run(0.99, answering=without(core, "a"))
    assert core.sees("a") is Liveness.ALIVE
    core.run(0.02, answering=without(core, "a"))
    assert core.sees("a") is Liveness.SUSPECT


def test_an_ack_of_another_node_or_another_probe_does_not_count():
    core = Core()
    ping = probe(core, "a")
    core.tell("b", ack(ping, "b"))
    core.tell("a", Ack(ping.sequence + 999, NodeId("a"), FIRST, address("a")))
    core.run(1.01, answering=without(core, "a"))
    assert core.sees("a") is Liveness.SUSPECT


def test_a_member_that_spoke_up_meanwhile_is_not_accused():
    core = Core()
    probe(core, "a")
    core.gossip("b", alive("a", 2, 0, at=Address("elsewhere", 1)))
    core.run(1.01, answering=without(core, "a"))
    assert core.sees("a") is Liveness.ALIVE


def test_missing_nacks_count_against_our_own_health():
    core = Core()
    probe(core, "a")
    core.run(1.05)  # nobody answers at all
    assert core.swim.health_score >= 3


def test_nacks_say_that_it_is_not_us():
    core = Core()
    ping = probe(core, "a")
    core.run(0.6, answering=without(core, "a"))
    before = core.swim.health_score
    for relay in ("b", "c", "d", "d"):
        core.tell(relay, Nack(ping.sequence))
    core.run(0.45, answering=without(core, "a"))
    assert core.sees("a") is Liveness.SUSPECT
    assert core.swim.health_score == before == 0


def test_without_helpers_each_failure_counts():
    core = Core("a")
    probe(core, "a")
    core.run(1.01)
    assert core.swim.health_score == 1


def test_ill_health_stretches_the_interval():
    core = Core()
    for _ in range(3):
        core.swim.loop_lag(0.3)
    assert core.swim.health_score == 3
    probe(core, "a")
    core.run(1.5)
    assert core.sees("a") is Liveness.ALIVE


def test_good_probes_bring_health_back():
    core = Core()
    for _ in range(20):
        core.swim.loop_lag(0.3)
    assert core.swim.health_score == 7
    core.swim.loop_lag(0.1)
    core.quiet(40.0)
    assert core.swim.health_score == 0


def test_a_refused_connection_counts_at_once():
    core = Core()
    probe(core, "a")
    assert core.swim.stream_refused(NodeId("a"), core.now) == []  # the packet may still be answered
    core.run(0.51, answering=without(core, "a"))
    core.swim.stream_refused(NodeId("a"), core.now)
    assert core.sees("a") is Liveness.SUSPECT
    assert core.swim.health_score == 0


def test_refusals_without_a_probe_or_by_strangers_mean_nothing():
    core = Core()
    assert core.swim.stream_refused(NodeId("a"), core.now) == []
    assert core.swim.stream_refused(NodeId("stranger"), core.now) == []
    assert core.sees("a") is Liveness.ALIVE


def test_many_broken_connections_are_one_probe():
    core = Core()
    probe(core, "a")
    for _ in range(10):
        assert core.swim.probe_now(NodeId("a"), core.now) == []
    assert packets(core.swim.tick(core.now), Ping, "a") == []


def test_a_broken_connection_to_nobody_is_nothing():
    core = Core()
    before = core.swim.next_deadline
    core.gossip("b", dead("a", by="b"))
    core.quiet(5.0)
    for name in ("a", "stranger", "me"):
        core.swim.probe_now(NodeId(name), core.now)
    assert core.swim.next_deadline > before


def test_suspicions_per_second_are_capped():
    names = tuple(f"p{index:02d}" for index in range(20))
    core = Core(*names, config=dataclasses.replace(SwimConfig.lan(), suspicion_rate=3.0))
    for name in names:
        core.swim.probe_now(NodeId(name), core.now)
    core.run(1.05)
    suspects = [view for view in core.swim.members() if view.liveness is Liveness.SUSPECT]
    assert 3 <= len(suspects) <= 4
    core.run(60.0)
    assert not [view for view in core.swim.members() if view.liveness is Liveness.ALIVE]


# --- for others -------------------------------------------------------------------------------------------------------


def test_a_relay_pings_and_passes_the_ack_on():
    core = Core()
    (ping,) = packets(core.tell("b", PingReq(77, NodeId("a"))), Ping, "a")
    assert ping.sequence != 77
    effects = core.tell("a", ack(ping, "a", Incarnation(1, 4)))
    (passed,) = packets(effects, Ack, "b")
    assert (passed.sequence, passed.node, passed.incarnation) == (77, "a", Incarnation(1, 4))
    assert not packets(core.run(1.0, answering=core.peers), Nack)


def test_a_relay_without_an_ack_says_so_before_the_asker_gives_up():
    core = Core()
    core.tell("b", PingReq(77, NodeId("a")))
    assert not packets(core.run(0.39, answering=without(core, "a")), Nack)
    assert packets(core.run(0.02, answering=without(core, "a")), Nack, "b") == [Nack(77)]


def test_a_relay_knows_no_strangers():
    core = Core()
    assert core.tell("b", PingReq(77, NodeId("stranger"))) == []


def test_a_ping_is_answered_the_way_it_came():
    core = Core()
    ping = Ping(5, ME, FIRST, address("a"))
    effects = core.swim.receive(ping, NodeId("a"), Address("nat", 1), core.now)
    assert [e.address for e in effects if isinstance(e, SendPacket)] == [Address("nat", 1)]
    assert [m.sequence for m in streams(core.tell("a", ping, tcp=True), Ack, "a")] == [5]


def test_a_ping_for_somebody_else_is_answered_with_who_is_here():
    core = Core()
    effects = core.tell("a", Ping(5, NodeId("b"), FIRST, address("a")))
    assert packets(effects, Ack) == []
    (answer,) = packets(effects, Gossip, "a")
    assert answer.updates == (alive("me", 1, 0),)
    assert core.tell("a", Ping(5, NodeId("b"), FIRST, address("a")), tcp=True) == []


def test_a_ping_makes_a_restarted_sender_known():
    core = Core()
    there = Address("new", 7)
    core.tell("a", Ping(5, ME, Incarnation(2, 0), there))
    assert core.swim.address(NodeId("a")) == there
    assert core.incarnation("a") == Incarnation(2, 0)
