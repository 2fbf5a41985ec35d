"""Who this node is, on disk: UUID, name, boot number, the durable counter, the clock mark, and what it saw of its
peers.

Invariants: boot number and counter only grow and are synced before they are shown to anyone, so a restarted node
outranks every old rumour of itself, and a restored or copied folder shows itself (PROTOCOLS §1.4): each life of a
folder has a boot number of its own, its low bits drawn, names the lives before it, and begins above every counter shown
by the last. The clock mark is above every stamp ever given out (PROTOCOLS §2.1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgpack

from vectron_p2p.model.ids import Address, NodeId
from vectron_p2p.node.runtime import new_uuid
from vectron_p2p.storage.kv import Corrupt

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from vectron_p2p.storage.kv import KeyValue

LOST_SELF = (
    "who this node is and what it voted for is damaged, so it must not go on as that node: keep the folder, start with "
    "an empty one, another --name and --join; the other owners have the data. `vectron doctor` says what is damaged"
)
_IDENTITY = b"identity"
_MARK = b"clock-mark"
_PEERS = b"peers"
LIFE_BITS = 20  # drawn at each start: two lives that both take themselves for the n-th start differ, but once in 2^20
MAX_LIVES = 16  # named at a greeting: a peer that has seen none of so many is one that was away for all of them


class Identity:
    """Blocking: loaded at start, saved from the disk lane."""

    def __init__(self, system: KeyValue, rng: random.Random, *, name: str | None) -> None:
        self._system = system
        stored = system.get(_IDENTITY)
        if stored is None:
            self.node = NodeId(new_uuid(rng))
            self.name = name or f"node-{self.node[:8]}"
            self._starts = 1
            self.counter = 1
            lives: list[int] = []
        else:
            fields = _read(stored)
            self.node = NodeId(fields["node"])
            self.name = name or fields["name"]
            self._starts = fields["boot"] + 1
            self.counter = fields["counter"] + 1
            lives = fields.get("lives", [])
        self.boot = self._starts << LIFE_BITS | rng.getrandbits(LIFE_BITS)
        self.first = self.counter
        """The counter that this life began with: what a greeting shows, however long ago it began."""
        self.lives = [*lives, self.boot, self.first][-2 * MAX_LIVES :]
        """Boot number and first counter of the last lives of this folder, this one last."""
        mark = system.get(_MARK)
        self.mark = int.from_bytes(mark, "big") if mark else 0
        peers = system.get(_PEERS)
        self._peers: dict[str, dict[str, Any]] = _read(peers) if peers else {}
        self._peers_dirty = False
        self._system.write([self._put(self.counter)], sync=True)

    def _put(self, counter: int) -> tuple[bytes, bytes | None]:
        fields = {
            "node": self.node,
            "name": self.name,
            "boot": self._starts,
            "counter": counter,
            "lives": self.lives,
        }
        return _IDENTITY, msgpack.packb(fields)

    def next_counter(self) -> tuple[int, list[tuple[bytes, bytes | None]]]:
        """The next counter and what to write, synced, before `counter` may be set to it and shown."""
        puts = [self._put(self.counter + 1)]
        if self._peers_dirty:
            self._peers_dirty = False
            puts.append((_PEERS, msgpack.packb(self._peers)))
        return self.counter + 1, puts

    def not_written(self) -> None:
        """What `next_counter` gave is not on disk: what was heard of peers goes with the next one."""
        self._peers_dirty = True

    def save_mark(self, mark: int) -> None:
        """Stamps up to `mark` may be given out once this has returned."""
        self._system.heal()
        self._system.write([(_MARK, mark.to_bytes(8, "big"))], sync=True)
        self.mark = mark

    def rolled_back(self, peer: NodeId, boot: int, first: int, lives: Sequence[int] = ()) -> bool:
        """Whether `peer`, in a life that began with the counter `first`, cannot descend from the life known of it.

        `lives` are boot number and first counter of its last lives. They show what a counter alone cannot: a restored
        folder that ran by itself for a while and was started again has overtaken the counter known.
        """
        known = self._peers.get(peer)
        if known is None or not known["boot"] or boot == known["boot"]:
            return False
        boots, firsts = list(lives[::2]), list(lives[1::2])
        if known["boot"] in boots[:-1]:
            return bool(firsts[boots.index(known["boot"]) + 1] <= known["counter"])
        if boots and (len(boots) < MAX_LIVES or min(boots) <= known["boot"]):
            return True  # it names all its lives since, or since before, and the one known is not among them
        return bool(boot >> LIFE_BITS <= known["boot"] >> LIFE_BITS or first <= known["counter"])

    def greeted_by(self, peer: NodeId, boot: int, first: int) -> bool:
        """`peer`, which is not rolled back, showed its life. Whether another one was known before."""
        known = self._peers.setdefault(peer, {"boot": 0, "counter": 0, "address": []})
        before = known["boot"]
        if before != boot:
            known.update(boot=boot, counter=first)
            self._peers_dirty = True
        return before not in (0, boot)

    def heard_peer(self, peer: NodeId, boot: int, counter: int, address: Address) -> None:
        """`peer` pinged: remember its counter and address (saved with the next counter of this node).

        A counter counts only for the life that it greeted in; it says nothing of where another one began.
        """
        known = self._peers.setdefault(peer, {"boot": boot, "counter": counter, "address": []})
        if boot == known["boot"] and counter > known["counter"]:
            known["counter"] = counter
            self._peers_dirty = True
        if boot >= known["boot"] and known["address"] != list(address):
            known["address"] = list(address)
            self._peers_dirty = True

    def found_at(self, peer: NodeId, address: Address) -> None:
        """`peer` answered at `address`."""
        known = self._peers.setdefault(peer, {"boot": 0, "counter": 0, "address": []})
        known["address"] = list(address)
        self._peers_dirty = True

    def peer_address(self, peer: NodeId) -> Address | None:
        """Where `peer` was last heard, before this boot too."""
        known = self._peers.get(peer)
        return Address(*known["address"]) if known and known["address"] else None


def _read(record: bytes) -> dict[str, Any]:
    try:
        fields = msgpack.unpackb(record)
    except ValueError as error:
        raise Corrupt("a record of this node's identity makes no sense") from error
    if not isinstance(fields, dict):
        raise Corrupt("a record of this node's identity makes no sense")
    return fields


def check_owned(system: KeyValue, *, holds_data: bool) -> None:
    """Before a new identity is made up for a folder.

    Raises:
        Corrupt: There are data in it, and who it belonged to is lost.
    """
    if holds_data and system.get(_IDENTITY) is None:
        raise Corrupt("the folder holds shards, and no record of whose they are")
