"""Membership under any order of words and any schedule of faults."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.membership.world import World
from vectron_p2p.membership import MemberSeed, Swim, SwimConfig, Update
from vectron_p2p.membership.messages import Gossip, Incarnation
from vectron_p2p.membership.suspicion import Suspicion, minimum_wait
from vectron_p2p.model.ids import Address, NodeId
from vectron_p2p.model.nodes import Liveness

NAMES = [f"n{index}" for index in range(5)]
LAN = SwimConfig.lan()

# --- words ------------------------------------------------------------------------------------------------------------

words = st.builds(
    Update,
    node=st.sampled_from([NodeId(name) for name in NAMES]),  # n0 is the node itself
    address=st.just(Address("h", 1)),
    incarnation=st.builds(Incarnation, st.integers(1, 3), st.integers(0, 3)),
    liveness=st.sampled_from(Liveness),
    by=st.sampled_from([NodeId(name) for name in NAMES]),
)


def core() -> Swim:
    swim = Swim(NodeId("n0"), Address("n0", 1), LAN, boot=1, random=Random(1), now=0.0)
    swim.set_members([MemberSeed(NodeId(name), Address(name, 1)) for name in NAMES], 0.0)
    return swim


def held(swim: Swim) -> list[tuple[NodeId, Incarnation, Liveness]]:
    return [(view.node, view.incarnation, view.liveness) for view in swim.members()]


@given(st.lists(words, max_size=12), st.randoms(use_true_random=False), st.data())
def test_opinions_do_not_depend_on_order_or_repetition(updates, random, data):
    one, other = core(), core()
    for update in updates:
        one.receive(Gossip((update,)), NodeId("n1"), Address("n1", 1), 0.0)
    again = updates + (data.draw(st.lists(st.sampled_from(updates), max_size=5)) if updates else [])
    random.shuffle(again)
    for update in again:
        other.receive(Gossip((update,)), NodeId("n2"), Address("n2", 1), 0.0)
    assert held(one) == held(other)


@given(st.lists(words, max_size=30))
def test_incarnations_never_go_down_and_nobody_outranks_the_node_itself(updates):
    swim = core()
    before = {view.node: view.incarnation for view in swim.members()}
    mine = swim.incarnation
    for update in updates:
        swim.receive(Gossip((update,)), NodeId("n1"), Address("n1", 1), 0.0)
        for view in swim.members():
            assert view.incarnation >= before[view.node]
            before[view.node] = view.incarnation
        assert swim.incarnation >= mine
        mine = swim.incarnation
        if update.node == "n0":
            assert (swim.incarnation, 0) >= update.word
        else:
            assert before[update.node] >= update.incarnation


@given(st.integers(1, 500), st.lists(st.integers(0, 20), max_size=20))
def test_a_suspicions_wait_only_shrinks_and_stays_within_its_bounds(nodes, accusers):
    suspicion = Suspicion(LAN, nodes, NodeId("first"), 0.0)
    shortest = minimum_wait(LAN, nodes)
    last = suspicion.wait
    assert shortest <= last <= shortest * LAN.suspicion_max_mult
    for accuser in accusers:
        counted = suspicion.confirm(NodeId(str(accuser)))
        assert (suspicion.wait < last) is counted
        last = suspicion.wait
        assert last >= shortest


# --- schedules --------------------------------------------------------------------------------------------------------

name = st.sampled_from(NAMES)
steps = st.one_of(
    st.tuples(st.just("kill"), name),
    st.tuples(st.just("start"), name),
    st.tuples(st.just("move"), name),
    st.tuples(st.just("pause"), name),
    st.tuples(st.just("resume"), name),
    st.tuples(st.just("leave"), name),
    st.tuples(st.just("split"), st.lists(name, min_size=1, max_size=4, unique=True)),
    st.tuples(st.just("cut"), st.tuples(name, name)),
    st.tuples(st.just("heal"), st.none()),
    st.tuples(st.just("loss"), st.sampled_from([0.0, 0.1, 0.4])),
    st.tuples(st.just("udp"), st.booleans()),
    st.tuples(st.just("resets"), st.booleans()),
    st.tuples(st.just("run"), st.sampled_from([0.1, 1.0, 3.0, 8.0, 30.0])),
)


def play(world: World, kind: str, argument) -> None:
    running = isinstance(argument, str) and argument in world.processes
    match kind:
        case "kill" if running:
            world.kill(argument)
        case "start" if not running:
            world.start(argument)
        case "move" if not running:
            world.catalog[NodeId(argument)] = Address(f"host-{argument}", world.random.randrange(1, 65536))
            world.start(argument)
        case "pause" if running:
            world.pause(argument)
        case "resume" if running:
            world.resume(argument)
        case "leave" if running:
            world.call(argument, world.swim(argument).leave(world.now))
            world.run(0.5)
            del world.processes[NodeId(argument)]
        case "split":
            world.partition(argument, [other for other in NAMES if other not in argument])
        case "cut":
            world.blocked = {*world.blocked, (NodeId(argument[0]), NodeId(argument[1]))}
        case "heal":
            world.heal()
        case "loss":
            world.packet_loss = argument
        case "udp":
            world.udp_blocked = argument
        case "resets":
            world.resets = argument
        case "run":
            world.run(argument)


@settings(max_examples=40)
@given(st.integers(0, 2**32), st.lists(steps, max_size=16))
def test_after_any_faults_all_members_converge(seed, schedule):
    world = World(NAMES, seed=seed)
    world.start()
    for kind, argument in schedule:
        play(world, kind, argument)
        world.run(0.2)
    world.heal()
    world.packet_loss, world.udp_blocked = 0.0, False
    for process in list(world.processes.values()):
        if process.paused:
            world.resume(process.node)
    for node in world.nodes[:3]:  # a majority is up; others may stay dead
        if node not in world.processes:
            world.start(node)
    assert world.run(60.0, until=world.agreed), [
        (process.node, process.swim.members()) for process in world.processes.values()
    ]
    calm = world.now
    world.run(60.0)
    assert world.agreed()
    assert not [change for change in world.deaths() if change.at > calm]
