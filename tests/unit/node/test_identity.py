"""Identity on disk: boots, counters, rollback, peers."""

from __future__ import annotations

from random import Random

import pytest

from vectron_p2p.model.ids import Address, NodeId
from vectron_p2p.node.identity import LIFE_BITS, MAX_LIVES, Identity
from vectron_p2p.storage.kv import Corrupt
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


def test_a_restored_folder_that_ran_by_itself_and_was_started_again_is_told_by_its_lives() -> None:
    identity = Identity(MemoryDisk().open("system"), Random(1), name=None)
    identity.greeted_by(PEER, life(3, 7), 40)
    identity.heard_peer(PEER, life(3, 7), 50, Address("h", 1))
    # Its counters have overtaken what is known, so only the lives tell.
    assert not identity.rolled_back(PEER, life(5), 900)
    assert identity.rolled_back(PEER, life(5), 900, [life(2), 30, life(3, 8), 41, life(4), 800, life(5), 900])
    assert identity.rolled_back(PEER, life(5), 900, [life(3, 7), 40, life(4), 45, life(5), 900])
    assert not identity.rolled_back(PEER, life(5), 900, [life(2), 30, life(3, 7), 40, life(4), 51, life(5), 900])
    many = [number for start in range(10, 10 + MAX_LIVES) for number in (life(start), 60 + start)]
    assert not identity.rolled_back(PEER, many[-2], many[-1], many)  # away for all the lives that it names


def test_a_node_names_its_last_lives() -> None:
    kv = MemoryDisk().open("system")
    lives = [Identity(kv, Random(n), name=None) for n in range(MAX_LIVES + 3)]
    assert lives[1].lives == [lives[0].boot, lives[0].first, lives[1].boot, lives[1].first]
    assert lives[-1].lives[::2] == [each.boot for each in lives[-MAX_LIVES:]]
    peer = Identity(MemoryDisk().open("system"), Random(1), name=None)
    for each in lives:
        assert not peer.rolled_back(each.node, each.boot, each.first, each.lives)
        peer.greeted_by(each.node, each.boot, each.first)


def test_what_could_not_be_written_of_peers_goes_with_the_next_counter() -> None:
    kv = MemoryDisk().open("system")
    identity = Identity(kv, Random(1), name=None)
    identity.found_at(PEER, Address("h", 1))
    identity.next_counter()
    identity.not_written()
    kv.write(identity.next_counter()[1], sync=True)
    assert Identity(kv, Random(1), name=None).peer_address(PEER) == Address("h", 1)


def test_an_unreadable_identity_is_damage() -> None:
    for record in (b"\xc1", b"\x01"):
        kv = MemoryDisk().open("system")
        kv.write([(b"identity", record)], sync=True)
        with pytest.raises(Corrupt):
            Identity(kv, Random(1), name=None)


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
