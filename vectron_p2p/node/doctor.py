"""An offline check of a node's folder: everything read, compared and explained; nothing changed.

Owns what belongs together in a folder (identity, catalog, votes, shard stores, graphs, what is kept aside) and the
advice that goes with each finding. Must not know how it is printed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgpack

from vectron_p2p.catalog.entry import Entry
from vectron_p2p.catalog.records import PREFIX, Persisted, load
from vectron_p2p.catalog.recovery import number
from vectron_p2p.catalog.state import BadCatalog, digest
from vectron_p2p.index import snapshot
from vectron_p2p.model.ids import NodeId
from vectron_p2p.model.nodes import NodeState
from vectron_p2p.node.identity import LOST_SELF
from vectron_p2p.node.replica import KV_PREFIX, kv_name
from vectron_p2p.node.shard_records import PREFIX as RECORDS
from vectron_p2p.storage import inspection
from vectron_p2p.storage.kv import StorageError
from vectron_p2p.storage.space import FLOOR_BYTES, FLOOR_SHARE

if TYPE_CHECKING:
    from pathlib import Path

    from vectron_p2p.storage.kv import KeyValue

SYSTEM = "system"
REBUILT = "start the node: it keeps these files aside and fills the shard from its other owners"
ALONE = "this node is its only owner: put back sound files from a backup, or delete the collection"


@dataclass(frozen=True, slots=True)
class Finding:
    """`problem` false: good to know, but nothing to be mended."""

    where: str
    what: str
    advice: str
    problem: bool = True


@dataclass(slots=True)
class Diagnosis:
    """What `vectron doctor` says."""

    folder: str
    healthy: bool = True
    node: dict[str, Any] = field(default_factory=dict)
    catalog: dict[str, Any] = field(default_factory=dict)
    shards: list[dict[str, Any]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    free_bytes: int = 0

    def add(self, where: str, what: str, advice: str, *, problem: bool = True) -> None:
        self.findings.append(Finding(where, what, advice, problem))
        self.healthy = self.healthy and not problem


@dataclass(slots=True)
class _Known:
    """What the node's own store says, for the checks of the shards."""

    owners: dict[str, int] = field(default_factory=dict)
    """Of each shard store that the catalog gives this node: how many own the shard."""
    records: dict[str, tuple[int, str]] = field(default_factory=dict)
    complete: bool = False


def examine(root: Path) -> Diagnosis:
    """The whole folder.

    Raises:
        Locked: A node is running on it.
    """
    found = Diagnosis(str(root))
    text = inspection.format_of(root)
    if text is None:
        found.add("format", f"{root} is no data folder", "name the folder that the node was started with (--data)")
        return found
    if not inspection.known_format(text):
        found.add("format", f"unknown format {text.strip()!r}", "use the version of this software that wrote it")
        return found
    with inspection.held(root):
        _space(root, found)
        known = _system(root, found)
        for name in inspection.store_names(root):
            if name.startswith(KV_PREFIX):
                _shard(root, name, known, found)
            elif name != SYSTEM:
                found.add(f"stores/{name}", "is not of this software", "move it elsewhere", problem=False)
        for name in sorted(set(known.owners) - set(inspection.store_names(root))):
            if known.records.get(name, (0, ""))[0]:
                found.add(f"stores/{name}", "is missing, and had rows", _advice(known, name))
        for kept in inspection.quarantined(root):
            advice = "remove it once the shard is whole again (`vectron shards` shows it active) and nobody needs it"
            size = f"{kept.bytes / (1 << 20):.1f} MiB"
            found.add(kept.place, f"kept aside, {size}: {kept.why or 'no note'}", advice, problem=False)
    return found


def _space(root: Path, found: Diagnosis) -> None:
    free, total = inspection.space(root)
    found.free_bytes = free
    floor = max(FLOOR_BYTES, int(FLOOR_SHARE * total))
    if free < floor:
        text = f"{free >> 20} MiB are free, and below {floor >> 20} MiB a node takes no writes"
        found.add("disk", text, "free some space; the node goes on by itself")


# --- the node's own store ---------------------------------------------------------------------------------------------


def _system(root: Path, found: Diagnosis) -> _Known:
    known = _Known()
    where = f"stores/{SYSTEM}"
    if SYSTEM not in inspection.store_names(root):
        found.add(where, "is missing: this folder was never used, or has lost who it belongs to", LOST_SELF)
        return known
    try:
        with inspection.looked_into(root, SYSTEM) as kv:
            node = _identity(kv, found)
            known.records = _records(kv)
            _catalog(kv, node, known, found)
    except (StorageError, BadCatalog, ValueError, TypeError, KeyError) as error:
        found.add(where, str(error), LOST_SELF)
    return known


def _identity(kv: KeyValue, found: Diagnosis) -> NodeId | None:
    stored = kv.get(b"identity")
    if stored is None:
        found.add("identity", "is missing", LOST_SELF)
        return None
    fields = msgpack.unpackb(stored)
    mark, peers = kv.get(b"clock-mark"), kv.get(b"peers")
    found.node = {
        "id": fields["node"],
        "name": fields["name"],
        "starts": fields["boot"],
        "counter": fields["counter"],
        "clock_mark": int.from_bytes(mark, "big") if mark else 0,
        "peers": len(msgpack.unpackb(peers)) if peers else 0,
    }
    return NodeId(fields["node"])


def _records(kv: KeyValue) -> dict[str, tuple[int, str]]:
    pairs = kv.iterate(RECORDS, RECORDS + b"\xff")
    return {key.removeprefix(RECORDS).decode(): tuple(msgpack.unpackb(value)) for key, value in pairs}


def _catalog(kv: KeyValue, node: NodeId | None, known: _Known, found: Diagnosis) -> None:
    persisted = load(kv.iterate(PREFIX, PREFIX + b"\xff"))
    if persisted is None:
        found.add("catalog", "is empty: this node has not joined a cluster yet", "start it with --join", problem=False)
        return
    state = persisted.state
    found.catalog = {
        "cluster": state.cluster,
        "generation": number(state.generation),
        "epoch": state.epoch,
        "hash": state.hash.hex(),
        "entries": len(persisted.entries),
        "members": len(state.current()),
        "collections": len(state.collections),
        "voted_for": persisted.vote.epoch if persisted.vote is not None else None,
    }
    for text in _chain(persisted):
        found.add("catalog", text, LOST_SELF)
    if node is None:
        return
    known.complete = True
    known.owners = {kv_name(shard): len(state.owners(shard)) for shard in state.owned(node)}
    member = state.members.get(node)
    if member is None or member.state in (NodeState.LEFT, NodeState.REMOVED):
        text = "the cluster does not count this node as a member" if member is None else f"this node was {member.state}"
        found.add("catalog", text, "keep the folder for a look, and start with an empty one; it joins as a new node")


def _chain(persisted: Persisted) -> list[str]:
    """What does not fit in the chain of entries that led to the state, and the vote after it."""
    state, wrong = persisted.state, []
    entries = {epoch: Entry.from_bytes(data) for epoch, data in persisted.entries.items()}
    if persisted.entries and digest(persisted.entries[state.epoch]) != state.entry:
        wrong.append(f"the last entry, {state.epoch}, is not the one that led to the state")
    for epoch, entry in entries.items():
        if entry.generation != state.generation:
            wrong.append(f"entry {epoch} is of another generation than the state")
        if epoch + 1 in entries and entries[epoch + 1].previous == entry.previous:
            wrong.append(f"entries {epoch} and {epoch + 1} name the same state before them")
    accepted = persisted.vote.accepted if persisted.vote is not None else None
    if accepted is not None and not Entry.from_bytes(accepted.value).follows(state):
        wrong.append(f"the vote for entry {state.epoch + 1} does not follow the state")
    return wrong


# --- shards -----------------------------------------------------------------------------------------------------------


def _shard(root: Path, name: str, known: _Known, found: Diagnosis) -> None:
    where = f"stores/{name}"
    if known.complete and name not in known.owners:
        found.add(where, "belongs to no shard of this node", "nothing: the next start removes it", problem=False)
        return
    looked = inspection.look_at_shard(root, name)
    sequence, replaced_for = known.records.get(name, (0, ""))
    for text in looked.damage:
        found.add(where, text, _advice(known, name))
    if not looked.damage and looked.sequence < sequence:
        text = f"has {looked.sequence} batches of writes and had {sequence}: files are missing, cut or older"
        found.add(where, text, _advice(known, name))
    if looked.learner or replaced_for:
        advice = "start the node while its peers are up: it is filled from the other owners"
        found.add(where, f"is learning: {looked.learner or replaced_for}", advice, problem=False)
    if torn := snapshot.inspect(root / "stores" / name / "files"):
        found.add(f"{where}/files", torn, "nothing: the graph is built anew from the rows", problem=False)
    found.shards.append(
        {
            "store": name,
            "owners": known.owners.get(name, 0),
            "points": looked.live,
            "tombstones": looked.tombstones,
            "merkle_root": looked.merkle_root,
            "sequence": looked.sequence,
            "learner": looked.learner,
            "sound": not looked.damage,
        }
    )


def _advice(known: _Known, name: str) -> str:
    return ALONE if known.owners.get(name) == 1 else REBUILT
