"""Identity on disk: boots, counters, rollback, peers."""

from __future__ import annotations

from random import Random

from vectron_p2p.model.ids import Address, NodeId
from vectron_p2p.node.identity import LIFE_BITS, Identity
from vectron_p2p.storage.memory import MemoryDisk

PEER = NodeId("11111111-1111-4111-8111-111111111111")


def test_a_node_keeps_its_uuid_and_name_and_raises_boot_and_counter_at_each_start() -> None:
    kv = MemoryDisk().open("system")
    first = Identity(kv, Random(1), name="alice")
    again = Identity(kv, Random(2), name=None)
    assert (again.node, again.name) == (first.node, "alice")
    assert again.boot >> LIFE_BITS == (first.boot >> LIFE_BITS) + 1
    assert again.counter > first.counter
    assert Identity(kv, Random(3), name="bob").name == "bob"


def test_a_counter_is_on_disk_before_it_is_shown() -> None:
    kv = MemoryDisk().open("system")
    identity = Identity(kv, Random(1), name=None)
    counter, puts = identity.next_counter()
    assert identity.counter < counter
    kv.write(puts, sync=True)
    identity.counter = counter
    assert Identity(kv, Random(1), name=None).counter > counter


def life(start: int, bits: int = 0) -> int:
    return start << LIFE_BITS | bits


def test_a_restored_folder_is_told_from_a_restart() -> None:
    identity = Identity(MemoryDisk().open("system"), Random(1), name=None)
    assert not identity.rolled_back(PEER, life(1), 1)
    identity.greeted_by(PEER, life(3, 7), 40)
    identity.heard_peer(PEER, life(3, 7), 50, Address("h", 1))
    assert not identity.rolled_back(PEER, life(3, 7), 40)  # the life known, greeting again
    assert not identity.rolled_back(PEER, life(4), 51)  # a true restart begins above all it showed
    assert not identity.rolled_back(PEER, life(9), 60)  # and so does one whose starts in between were not seen
    assert identity.rolled_back(PEER, life(4), 50)  # from a copy made during the life known
    assert identity.rolled_back(PEER, life(3, 8), 60)  # from a copy made before it, however long it has run
    assert identity.rolled_back(PEER, life(2), 60)


def test_pings_of_another_life_raise_no_counter_before_it_greeted() -> None:
    identity = Identity(MemoryDisk().open("system"), Random(1), name=None)
    identity.greeted_by(PEER, life(3), 40)
    identity.heard_peer(PEER, life(4), 90, Address("new", 1))
    assert identity.peer_address(PEER) == Address("new", 1)
    assert not identity.rolled_back(PEER, life(4), 41)
    identity.heard_peer(PEER, life(2), 90, Address("old", 1))  # a packet that was long under way
    assert identity.peer_address(PEER) == Address("new", 1)


def test_a_new_life_is_told_from_the_one_known() -> None:
    identity = Identity(MemoryDisk().open("system"), Random(1), name=None)
    assert not identity.greeted_by(PEER, life(1, 5), 1)
    assert not identity.greeted_by(PEER, life(1, 5), 1)
    assert identity.greeted_by(PEER, life(2, 6), 9)


def test_two_lives_from_one_copy_differ() -> None:
    kv = MemoryDisk().open("system")
    first = Identity(kv, Random(1), name=None)
    copy = MemoryDisk().open("system")
    copy.write(list(kv.iterate(b"", b"\xff")), sync=True)
    one, other = Identity(kv, Random(2), name=None), Identity(copy, Random(3), name=None)
    assert one.node == other.node == first.node
    assert one.boot != other.boot
    assert one.boot >> LIFE_BITS == other.boot >> LIFE_BITS


def test_what_was_seen_of_peers_survives_a_restart() -> None:
    kv = MemoryDisk().open("system")
    identity = Identity(kv, Random(1), name=None)
    identity.heard_peer(PEER, life(3), 50, Address("h", 1))
    identity.found_at(PEER, Address("elsewhere", 2))
    kv.write(identity.next_counter()[1], sync=True)
    again = Identity(kv, Random(1), name=None)
    assert again.peer_address(PEER) == Address("elsewhere", 2)
    assert again.rolled_back(PEER, life(4), 40)


def test_the_clock_mark_survives() -> None:
    kv = MemoryDisk().open("system")
    Identity(kv, Random(1), name=None).save_mark(12345)
    assert Identity(kv, Random(1), name=None).mark == 12345
