"""The catalog's records in the node's key-value store.

Owns the keys under `PREFIX` and nothing else of the store. The state is stored whole with every entry: a newer
version of the software never applies old entries again, so a changed rule cannot change what was agreed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vectron_p2p.catalog.entry import Entry
from vectron_p2p.catalog.state import BadCatalog, ClusterState, canonical, unpack
from vectron_p2p.catalog.vote import Vote

if TYPE_CHECKING:
    from collections.abc import Iterable

PREFIX = b"catalog/"
STATE = PREFIX + b"state"
VOTE = PREFIX + b"vote"
ROUND = PREFIX + b"round"
ENTRY = PREFIX + b"entry/"

Put = tuple[bytes, bytes | None]


@dataclass(frozen=True, slots=True)
class Persisted:
    """What a node's disk holds. `entries` are the last ones, up to the state's epoch, without gaps."""

    state: ClusterState
    entries: dict[int, bytes]
    vote: Vote | None
    round: int


def entry_key(epoch: int) -> bytes:
    return ENTRY + epoch.to_bytes(8, "big")


def round_put(number: int) -> Put:
    return ROUND, canonical(number)


def bootstrap(state: ClusterState) -> list[Put]:
    """What makes an empty store that of a node at `state`: the founder's, or a joiner's from the snapshot it got."""
    return [(STATE, state.to_bytes())]


def load(items: Iterable[tuple[bytes, bytes]]) -> Persisted | None:
    """The records among `items` (all pairs under PREFIX; others are ignored); None when there are none.

    Raises:
        BadCatalog: A record cannot be read, or the records do not fit each other.
    """
    records = {key: value for key, value in items if key.startswith(PREFIX)}
    if not records:
        return None
    if STATE not in records:
        raise BadCatalog("the catalog's state record is missing from this node's store")
    state = ClusterState.from_bytes(records.pop(STATE))
    vote = Vote.from_bytes(records.pop(VOTE)) if VOTE in records else None
    number = unpack(records.pop(ROUND, canonical(0)))
    if type(number) is not int:
        raise BadCatalog("the catalog's round record is damaged")
    entries = {}
    for key in sorted(records):
        epoch = Entry.from_bytes(records[key]).epoch
        if key != entry_key(epoch):
            raise BadCatalog(f"catalog record {key!r} is in the wrong place")
        entries[epoch] = records[key]
    if list(entries) != list(range(state.epoch - len(entries) + 1, state.epoch + 1)):
        raise BadCatalog("catalog entries have a gap, or do not end at the state's epoch")
    if vote is not None and vote.epoch != state.epoch + 1:
        raise BadCatalog(f"the vote on disk is for epoch {vote.epoch}, the state is at {state.epoch}")
    return Persisted(state, entries, vote, number)
