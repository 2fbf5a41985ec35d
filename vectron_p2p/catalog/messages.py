"""Messages of the epoch log, and their wire form: plain dicts that `protocol.messages.CatalogNote` carries.

Every message starts with its sender's position in the log, so each one is also news about who is ahead, and about
forks. The position doubles as the instance of Paxos meant: a node at epoch e proposes and votes for e+1 only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from vectron_p2p.catalog.state import BadCatalog
from vectron_p2p.catalog.vote import Accepted, Ballot, parse_accepted, parse_ballot
from vectron_p2p.model.ids import ClusterId

MAX_ROUND = 2**53  # never reached; keeps a forged ballot from growing numbers past what msgpack packs


@dataclass(frozen=True, slots=True)
class Position:
    """Where the sender is: `hash` is that of its state at `epoch`."""

    cluster: ClusterId
    generation: int
    epoch: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Prepare:
    """Phase 1: promise me `ballot`."""

    ballot: Ballot


@dataclass(frozen=True, slots=True)
class Promise:
    """Phase 1 answer: promised; `accepted` is what the voter accepted before."""

    ballot: Ballot
    accepted: Accepted | None


@dataclass(frozen=True, slots=True)
class Accept:
    """Phase 2: accept `value`, the bytes of an entry."""

    ballot: Ballot
    value: bytes


@dataclass(frozen=True, slots=True)
class AcceptedNote:
    """Phase 2 answer: accepted."""

    ballot: Ballot


@dataclass(frozen=True, slots=True)
class Refused:
    """Answer of either phase: `promised`, which is higher than `ballot`."""

    ballot: Ballot
    promised: Ballot


@dataclass(frozen=True, slots=True)
class Pull:
    """Send me what follows my position. With a `look` (not 0) an answer is due even if nothing does, and names it."""

    look: int = 0


@dataclass(frozen=True, slots=True)
class Entries:
    """Decided entries with epochs `first`, `first` + 1, and so on; `look`: of the `Pull` that this answers."""

    first: int
    entries: list[bytes]
    look: int = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The sender's whole state, for who is too far behind for entries."""

    state: bytes


Message: TypeAlias = Prepare | Promise | Accept | AcceptedNote | Refused | Pull | Entries | Snapshot


def to_wire(position: Position, message: Message) -> dict[str, Any]:
    head = {
        "cluster": position.cluster,
        "generation": position.generation,
        "epoch": position.epoch,
        "hash": position.hash,
    }
    body: dict[str, Any]
    match message:
        case Prepare(ballot):
            body = {"kind": "prepare", "ballot": list(ballot)}
        case Promise(ballot, accepted):
            told = None if accepted is None else [list(accepted.ballot), accepted.value]
            body = {"kind": "promise", "ballot": list(ballot), "accepted": told}
        case Accept(ballot, value):
            body = {"kind": "accept", "ballot": list(ballot), "value": value}
        case AcceptedNote(ballot):
            body = {"kind": "accepted", "ballot": list(ballot)}
        case Refused(ballot, promised):
            body = {"kind": "refused", "ballot": list(ballot), "promised": list(promised)}
        case Entries(first, entries, look):
            body = {"kind": "entries", "first": first, "entries": entries} | ({"look": look} if look else {})
        case Pull(look):
            body = {"kind": "pull"} | ({"look": look} if look else {})
        case Snapshot(state):
            body = {"kind": "snapshot", "state": state}
    return {**head, **body}


def from_wire(wire: dict[str, Any]) -> tuple[Position, Message]:
    """Inverse of `to_wire`.

    Raises:
        BadCatalog: `wire` is no such message.
    """
    match wire:
        case {"cluster": str(cluster), "generation": int(generation), "epoch": int(epoch), "hash": bytes(digest)}:
            return Position(ClusterId(cluster), generation, epoch, digest), _message(wire)
    raise BadCatalog("catalog message without a position")


def _message(wire: dict[str, Any]) -> Message:
    match wire:
        case {"kind": "prepare", "ballot": ballot}:
            return Prepare(_ballot(ballot))
        case {"kind": "promise", "ballot": ballot, "accepted": accepted}:
            return Promise(_ballot(ballot), parse_accepted(accepted))
        case {"kind": "accept", "ballot": ballot, "value": bytes(value)}:
            return Accept(_ballot(ballot), value)
        case {"kind": "accepted", "ballot": ballot}:
            return AcceptedNote(_ballot(ballot))
        case {"kind": "refused", "ballot": ballot, "promised": promised}:
            return Refused(_ballot(ballot), _ballot(promised))
        case {"kind": "pull"}:
            return Pull(_look(wire))
        case {"kind": "entries", "first": int(first), "entries": [*entries]} if all(
            isinstance(each, bytes) for each in entries
        ):
            return Entries(first, entries, _look(wire))
        case {"kind": "snapshot", "state": bytes(state)}:
            return Snapshot(state)
    raise BadCatalog(f"no catalog message: {str(wire.get('kind'))[:40]!r}")


def _look(wire: dict[str, Any]) -> int:
    look = wire.get("look", 0)
    if type(look) is not int:
        raise BadCatalog("the number of a look is an int")
    return look


def _ballot(value: object) -> Ballot:
    ballot = parse_ballot(value)
    if not 0 < ballot.round <= MAX_ROUND:
        raise BadCatalog(f"ballot round {ballot.round} is out of range")
    return ballot
