"""Many cores on a bad network, in virtual time: what users of membership meet."""

from __future__ import annotations

import dataclasses

import pytest

from tests.unit.membership.world import World
from vectron_p2p.membership import MemberSeed, SwimConfig
from vectron_p2p.membership.messages import Incarnation
from vectron_p2p.model.ids import Address, NodeId
from vectron_p2p.model.nodes import Liveness

ALIVE, SUSPECT, DEAD = Liveness.ALIVE, Liveness.SUSPECT, Liveness.DEAD
SEEDS = range(8)


def names(count: int) -> list[str]:
    return [f"n{index}" for index in range(count)]


def cluster(count: int, seed: int, **faults: float) -> World:
    """A cluster that has been up for some seconds."""
    world = World(names(count), seed=seed)
    for fault, value in faults.items():
        setattr(world, fault, value)
    world.start()
    world.run(5.0 + world.random.random())
    assert world.agreed()
    return world


def seconds_until(world: World, condition, limit: float = 120.0) -> float:
    start = world.now
    assert world.run(limit, until=condition), f"not within {limit} s"
    return world.now - start


# --- deaths -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 3, 4, 5, 10])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_killed_process_is_found_by_all(count, seed):
    world = cluster(count, seed)
    world.kill("n1")
    assert seconds_until(world, lambda: world.all_see("n1", DEAD)) < 5.5


@pytest.mark.parametrize(("count", "limit"), [(2, 8.0), (3, 8.0), (5, 8.5), (10, 12.0)])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_machine_without_power_is_found_by_all(count, limit, seed):
    world = cluster(count, seed)
    world.resets = False
    world.kill("n1")
    assert seconds_until(world, lambda: world.all_see("n1", DEAD)) < limit


@pytest.mark.parametrize("seed", SEEDS)
def test_two_of_five_at_once(seed):
    world = cluster(5, seed)
    world.kill("n1")
    world.kill("n3")
    assert seconds_until(world, world.agreed) < 8.0


def test_all_others_at_once():
    world = cluster(5, 1)
    for name in names(5)[1:]:
        world.kill(name)
    assert seconds_until(world, world.agreed) < 10.0


@pytest.mark.parametrize("seed", SEEDS)
def test_a_node_that_stops_is_known_at_once(seed):
    world = cluster(5, seed, packet_loss=0.1)
    stop = world.now
    world.call("n2", world.swim("n2").leave(stop))
    left = world.processes[NodeId("n2")]
    world.run(0.5)
    assert world.processes.pop(NodeId("n2")) is left
    assert world.all_see("n2", DEAD)
    assert not [c for c in world.changes if c.at >= stop and c.effect.after is SUSPECT]
    world.run(5.0)
    world.start("n2")
    assert seconds_until(world, world.agreed) < 2.0


# --- restarts, addresses ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_a_quick_restart_is_no_death(seed):
    world = cluster(5, seed)
    world.kill("n1")
    world.run(2.0)
    world.start("n1")
    back = world.now
    assert seconds_until(world, world.agreed) < 1.0
    world.run(30.0)
    assert not world.deaths(since=back)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_restart_after_death_elsewhere(seed):
    world = cluster(5, seed)
    world.kill("n1")
    world.run(40.0)
    world.catalog[NodeId("n1")] = Address("moved", 4711)
    world.start("n1")
    assert seconds_until(world, world.agreed) < 1.0


@pytest.mark.parametrize("seed", SEEDS)
def test_all_at_once(seed):
    world = cluster(5, seed)
    world.run(60.0)
    for name in names(5):
        world.kill(name)
    world.run(1.0)
    start = world.now
    world.start()
    world.run(30.0)
    assert world.agreed()
    assert not world.deaths(since=start)
    assert all(v.incarnation >= Incarnation(2, 0) for p in world.processes.values() for v in p.swim.members())


@pytest.mark.parametrize("seed", SEEDS)
def test_all_at_once_each_at_the_address_of_another(seed):
    world = cluster(4, seed)
    for name in names(4):
        world.kill(name)
    old = dict(world.catalog)
    world.run(1.0)
    addresses = list(world.catalog.values())
    moved = dict(zip(world.nodes, addresses[1:] + addresses[:1], strict=True))
    # Each listens elsewhere, and none knows but of itself: the catalog still names the old addresses.
    for name in names(4):
        world.catalog = {**old, NodeId(name): moved[NodeId(name)]}
        world.start(name)
    assert seconds_until(world, world.agreed) < 35.0
    calm = world.now
    world.run(30.0)
    assert world.agreed()
    assert not world.deaths(since=calm)


@pytest.mark.parametrize("seed", SEEDS)
def test_two_nodes_swap_their_addresses(seed):
    world = cluster(5, seed)
    for name in ("n1", "n2"):
        world.kill(name)
    a, b = NodeId("n1"), NodeId("n2")
    world.catalog[a], world.catalog[b] = world.catalog[b], world.catalog[a]
    world.run(1.0)
    world.start("n1", "n2")
    assert seconds_until(world, world.agreed) < 5.0


def test_a_restart_beside_a_dead_member_learns_of_its_death():
    for seed in SEEDS:
        world = cluster(5, seed)
        world.kill("n1")
        world.run(60.0)
        world.kill("n2")
        world.run(2.0)
        world.start("n2")
        assert seconds_until(world, world.agreed) < 8.0


def test_a_member_that_the_catalog_adds_later():
    world = World(names(4), seed=3)
    new = NodeId("n3")
    address = world.catalog.pop(new)
    world.nodes.remove(new)
    world.start()
    world.run(20.0)
    world.catalog[new] = address
    world.boots[new] = 0
    world.start("n3")
    for name in names(3):
        assert world.liveness(name, "n3") is None
        world.run(1.0)
        world.call(name, world.swim(name).set_members(world.seeds(), world.now))
    assert seconds_until(world, world.agreed) < 2.0
    world.run(30.0)
    assert not world.deaths()


# --- partitions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_ten_minutes_alone_and_back(seed):
    world = cluster(5, seed, packet_loss=0.05)
    world.partition(["n0"], names(5)[1:])
    world.run(600.0)
    assert world.all_see("n0", DEAD)
    assert all(world.liveness("n0", name) is DEAD for name in names(5)[1:])
    assert all(world.liveness("n1", name) is ALIVE for name in names(5)[2:])
    world.heal()
    assert seconds_until(world, world.agreed) < 35.0


@pytest.mark.parametrize("seed", SEEDS)
def test_two_halves(seed):
    world = cluster(6, seed)
    world.partition(["n0", "n1", "n2"], ["n3", "n4", "n5"])
    world.run(120.0)
    world.heal()
    assert seconds_until(world, world.agreed) < 15.0


def test_a_short_cut_kills_nobody():
    world = cluster(5, 1)
    for _ in range(10):
        world.partition(["n0"], names(5)[1:])
        world.run(2.5)
        world.heal()
        world.run(15.0)
    assert world.deaths() == []
    assert world.agreed()


def test_one_bad_link_is_bridged_by_the_others():
    world = cluster(5, 2)
    a, b = NodeId("n0"), NodeId("n1")
    world.blocked = {(a, b), (b, a)}
    world.run(300.0)
    assert world.deaths() == []
    assert world.agreed()


def test_a_one_way_link_is_bridged_too():
    world = cluster(5, 2)
    world.blocked = {(NodeId("n0"), NodeId("n1"))}
    world.run(300.0)
    assert world.deaths() == []


def test_without_udp_tcp_keeps_everybody_alive_and_finds_the_dead():
    world = cluster(5, 4)
    world.udp_blocked = True
    world.run(120.0)
    assert world.deaths() == []
    world.kill("n1")
    assert seconds_until(world, lambda: world.all_see("n1", DEAD)) < 8.0
    world.start("n1")
    assert seconds_until(world, world.agreed) < 40.0


# --- false alarms -----------------------------------------------------------------------------------------------------


def test_ten_minutes_with_a_tenth_of_all_packets_lost():
    world = cluster(5, 5, packet_loss=0.1)
    world.run(600.0)
    assert world.deaths() == []


def test_loss_of_a_tenth_of_packets_without_tcp():
    world = cluster(5, 6, packet_loss=0.1, stream_loss=1.0)
    world.run(600.0)
    assert world.deaths() == []


@pytest.mark.parametrize("seed", range(3))
def test_one_slow_node_neither_dies_nor_kills_the_healthy(seed):
    world = cluster(5, seed)
    world.processes[NodeId("n2")].slow = (0.0, 1.5)
    world.run(300.0)
    assert world.deaths() == []


def test_a_slow_node_that_knows_it_accuses_less():
    def accusations(levels: int) -> int:
        world = World(names(5), seed=1, config=dataclasses.replace(SwimConfig.lan(), awareness_max=levels))
        world.start()
        world.processes[NodeId("n2")].slow = (0.0, 3.0)
        world.run(300.0)
        return len([c for c in world.changes if c.observer == "n2" and c.effect.after is SUSPECT])

    assert accusations(8) < 0.5 * accusations(1)


def test_stalls_of_three_seconds_kill_nobody():
    world = cluster(5, 7)
    for _ in range(60):
        world.pause("n2")
        world.run(3.0)
        world.resume("n2")
        world.run(7.0)
    assert world.deaths() == []


def test_a_node_that_was_stopped_for_a_minute_is_back_at_once_and_accuses_nobody():
    for seed in SEEDS:
        world = cluster(5, seed)
        world.pause("n2")
        world.run(60.0)
        assert world.liveness("n0", "n2") is DEAD
        awake = world.now
        world.resume("n2")
        assert seconds_until(world, world.agreed) < 12.0
        assert {c.effect.node for c in world.deaths(since=awake)} <= {"n2"}


# --- cost -------------------------------------------------------------------------------------------------------------


def test_at_rest_a_node_sends_two_packets_and_wakes_once_a_second():
    world = cluster(5, 1)
    world.run(30.0)
    packets, streams, ticks, changes = world.packets, world.streams, world.ticks, len(world.changes)
    world.run(100.0)
    assert world.packets - packets <= 5 * 2 * 101
    assert world.streams - streams <= 5 * 2 * 6
    assert world.ticks - ticks <= 5 * 107
    assert len(world.changes) == changes


def test_equal_seeds_give_equal_runs():
    def run() -> list[object]:
        world = World(names(5), seed=9, config=SwimConfig.sim())
        world.packet_loss = 0.2
        world.start()
        world.run(20.0)
        world.kill("n3")
        world.run(20.0)
        return [(c.at, c.observer, c.effect) for c in world.changes] + [world.packets, world.streams, world.ticks]

    assert run() == run()


def test_thirty_nodes_agree_on_a_death_and_a_return():
    world = World(names(30), seed=2)
    world.start()
    world.run(5.0)
    world.kill("n7")
    assert seconds_until(world, lambda: world.all_see("n7", DEAD)) < 12.0
    world.start("n7")
    assert seconds_until(world, world.agreed) < 3.0
    assert {c.effect.node for c in world.deaths()} == {"n7"}


def test_a_removed_node_is_of_no_concern():
    world = cluster(4, 1)
    kept = [MemberSeed(NodeId(name), world.catalog[NodeId(name)]) for name in names(3)]
    for name in names(3):
        world.call(name, world.swim(name).set_members(kept, world.now))
    world.run(60.0)
    assert all(world.liveness(name, "n3") is None for name in names(3))
    assert all(world.liveness(a, b) is ALIVE for a in names(3) for b in names(3))
