"""Read rounds: which version of each row a quorum of owners holds, and who must be written back to.

Owns the rule that a row is returned only when enough owners hold exactly that version, at once or after write-back; so
no later read of that level can miss it. While a shard is being moved that means enough of the old and of the new owners
(PROTOCOLS §3.7), for the next read may ask the others; those that are not read yet, or no more, hold what they
acknowledged as written back. "Never seen" is the lowest version. The rows themselves stay with the caller, which knows
from `source` whose reply holds the newest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vectron_p2p.model.errors import ConsistencyError, VectronError
from vectron_p2p.replication.ballots import is_busy
from vectron_p2p.replication.joint import JointQuorum

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vectron_p2p.model.ids import NodeId

_NEVER = b""  # sorts below every version


@dataclass(frozen=True, slots=True)
class WriteBack:
    """Send these rows (by index), each in its newest version, to `owner`."""

    owner: NodeId
    rows: list[int]


class ReadRound:
    """One read of `count` rows from the owners of one shard.

    Record each owner's reply or failure; when `write_backs` gives something, send it and record those answers.
    `complete`: every row is confirmed. `failed`: it cannot be any more. `again`: rows that changed meanwhile; read
    those once more in a new round. `busy`: rows that an owner would not take because of a promise; a round has to
    settle those.
    """

    def __init__(
        self, owners: Sequence[NodeId], required: int, count: int, *, confirm: JointQuorum | None = None
    ) -> None:
        """`required` of `owners` are to answer; `confirm` (default: the same) says who has to hold a row."""
        if not 0 < required <= len(owners):
            raise ValueError(f"{required} replies of {len(owners)} owners")
        self._owners = list(owners)
        self._required = required
        self._count = count
        self._confirm = confirm or JointQuorum.of(owners, required)
        self._pending = set(owners)
        self._held: dict[NodeId, list[bytes]] = {}
        self._unread: dict[NodeId, list[bytes]] = {
            owner: [_NEVER] * count for owner in self._confirm.owners if owner not in self._pending
        }
        """Of owners that are written and not read: what they acknowledged here."""
        self._newest = [_NEVER] * count
        self._source: list[NodeId | None] = [None] * count
        self._asked: dict[tuple[NodeId, int], bytes] = {}
        self._again: set[int] = set()
        self._busy: set[int] = set()
        self._errors: list[VectronError] = []

    def record(self, owner: NodeId, versions: Sequence[bytes | None]) -> None:
        """`owner` answered with the version of each row, None where it never saw one."""
        if len(versions) != self._count:
            raise ValueError(f"{len(versions)} answers for {self._count} rows")
        if owner not in self._pending:
            return
        self._pending.discard(owner)
        held = [version or _NEVER for version in versions]
        self._held[owner] = held
        for i, version in enumerate(held):
            if version > self._newest[i]:
                self._newest[i], self._source[i] = version, owner
            elif self._source[i] is None and version == self._newest[i]:
                self._source[i] = owner

    def record_failure(self, owner: NodeId, error: VectronError | None = None) -> None:
        """`owner` gave no answer."""
        if owner in self._pending or owner in self._unread:
            self._pending.discard(owner)
            if error is not None:
                self._errors.append(error)

    def record_write_back(self, owner: NodeId, rows: Sequence[int], held: Sequence[bytes | None]) -> None:
        """The answer to a `WriteBack`: the version held of each of `rows` afterwards, None where it was refused."""
        for row, version in zip(rows, held, strict=True):
            if version is not None and is_busy(version):
                self._busy.add(row)
            elif version is not None:
                self._copies(owner)[row] = version
                if version > self._newest[row]:
                    self._again.add(row)  # its content is not known here, and the row returned must be the newest

    def newest(self, row: int) -> bytes | None:
        """The highest version seen of a row; None if no owner has it."""
        return self._newest[row] or None

    def source(self, row: int) -> NodeId | None:
        """An owner whose reply carried the newest version."""
        return self._source[row]

    def confirmed(self, row: int) -> bool:
        """Whether enough owners hold exactly the newest version."""
        if row in self._again:
            return False
        newest = self._newest[row]
        if newest == _NEVER:  # nothing to hold
            return len(self._held) >= self._required
        return self._confirm.met(self._holders(row))

    def _holders(self, row: int) -> int:
        """Who holds exactly the newest version, as a mask."""
        newest, mask = self._newest[row], 0
        for copies in (self._held, self._unread):
            for owner, held in copies.items():
                if held[row] == newest:
                    mask |= self._confirm.bit(owner)
        return mask

    def _copies(self, owner: NodeId) -> list[bytes]:
        return self._held[owner] if owner in self._held else self._unread[owner]

    @property
    def complete(self) -> bool:
        return len(self._held) >= self._required and all(self.confirmed(i) for i in range(self._count))

    @property
    def failed(self) -> bool:
        """Too few owners are left to answer."""
        return len(self._held) + len(self._pending) < self._required

    @property
    def again(self) -> list[int]:
        return sorted(self._again)

    @property
    def busy(self) -> list[int]:
        return [row for row in sorted(self._busy - self._again) if not self.confirmed(row)]

    @property
    def unconfirmed(self) -> list[int]:
        return [i for i in range(self._count) if not self.confirmed(i)]

    def write_backs(self) -> list[WriteBack]:
        """What to send now, once `required` answered: to owners of an older version, each version only once."""
        if len(self._held) < self._required:
            return []
        rows_of: dict[NodeId, list[int]] = {}
        for row in self.unconfirmed:
            if row in self._again:
                continue
            newest = self._newest[row]
            lacking = self._confirm.lacking(self._holders(row))
            for owner in (*self._owners, *self._unread):
                held = self._held.get(owner) or (self._unread.get(owner) if owner in lacking else None)
                if held is not None and held[row] < newest and self._asked.get((owner, row)) != newest:
                    self._asked[owner, row] = newest
                    rows_of.setdefault(owner, []).append(row)
        return [WriteBack(owner, rows) for owner, rows in rows_of.items()]

    def error(self) -> ConsistencyError:
        """What to raise when the round ends unconfirmed."""
        why = f": {self._errors[0].message}" if self._errors else ""
        return ConsistencyError(
            f"{len(self._held)} of the {self._required} owners needed answered this read with one version{why}",
            acked=len(self._held),
            required=self._required,
        )
