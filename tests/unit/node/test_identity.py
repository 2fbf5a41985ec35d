"""Identity on disk: boots, counters, rollback, peers."""

from __future__ import annotations

from random import Random

from vectron_p2p.model.ids import Address, NodeId
from vectron_p2p.node.identity import Identity
from vectron_p2p.storage.memory import MemoryDisk

PEER = NodeId("11111111-1111-4111-8111-111111111111")


def test_a_node_keeps_its_uuid_and_name_and_raises_boot_and_counter_at_each_start() -> None:
    kv = MemoryDisk().open("system")
    first = Identity(kv, Random(1), name="alice")
    again = Identity(kv, Random(2), name=None)
    assert (again.node, again.name) == (first.node, "alice")
    assert again.boot == first.boot + 1
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


def test_a_restored_folder_is_told_from_a_restart() -> None:
    kv = MemoryDisk().open("system")
    identity = Identity(kv, Random(1), name=None)
    identity.saw_peer(PEER, boot=3, counter=50, address=Address("h", 1))
    assert not identity.rolled_back(PEER, boot=4, counter=51)  # a true restart starts above all it showed
    assert identity.rolled_back(PEER, boot=4, counter=40)  # restored from a backup: a new boot, an old counter
    assert identity.rolled_back(PEER, boot=2, counter=60)  # an old boot
    assert not identity.rolled_back(PEER, boot=3, counter=49)  # a packet that was overtaken


def test_what_was_seen_of_peers_survives_a_restart() -> None:
    kv = MemoryDisk().open("system")
    identity = Identity(kv, Random(1), name=None)
    identity.saw_peer(PEER, boot=3, counter=50, address=Address("h", 1))
    identity.found_at(PEER, Address("elsewhere", 2))
    kv.write(identity.next_counter()[1], sync=True)
    again = Identity(kv, Random(1), name=None)
    assert again.peer_address(PEER) == Address("elsewhere", 2)
    assert again.rolled_back(PEER, boot=4, counter=40)


def test_the_clock_mark_survives() -> None:
    kv = MemoryDisk().open("system")
    Identity(kv, Random(1), name=None).save_mark(12345)
    assert Identity(kv, Random(1), name=None).mark == 12345
