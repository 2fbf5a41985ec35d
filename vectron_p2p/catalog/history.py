"""A node's copy of what was decided: the state, and the last entries that led to it.

Owns applying decided entries, the records that this needs, and answering peers that are behind. Invariant: the
entries kept end at the state's epoch and have no gap.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vectron_p2p.catalog import messages as wire
from vectron_p2p.catalog.entry import Entry, advance
from vectron_p2p.catalog.records import STATE, VOTE, Put, entry_key
from vectron_p2p.catalog.state import BadCatalog, ClusterState

if TYPE_CHECKING:
    from vectron_p2p.catalog.commands import Result


@dataclass(slots=True)
class Step:
    """What a move of the state did. `puts`, in one batch, make it durable and drop the vote that it settled; empty: it
    did not move.
    """

    puts: list[Put] = field(default_factory=list)
    made: list[tuple[Entry, Result]] = field(default_factory=list)
    trouble: str | None = None
    """Why the entries after `made` could not be applied."""


class History:
    def __init__(self, state: ClusterState, entries: dict[int, bytes], kept: int) -> None:
        self.state = state
        self._entries = dict(entries)
        self._kept = kept

    def hash_at(self, epoch: int) -> bytes | None:
        """The hash of the state at `epoch`, if it is still known."""
        if epoch == self.state.epoch:
            return self.state.hash
        following = self._entries.get(epoch + 1)
        return None if following is None else Entry.from_bytes(following).previous

    def differs(self, epoch: int, data: bytes) -> bool:
        """Whether another entry than `data` is known at `epoch`."""
        return self._entries.get(epoch, data) != data

    def since(self, epoch: int) -> list[bytes] | None:
        """All entries after `epoch`, oldest first; None when some are no longer kept."""
        if epoch < self.state.epoch and epoch + 1 not in self._entries:
            return None
        return [self._entries[each] for each in range(epoch + 1, self.state.epoch + 1)]

    def answer(self, epoch: int, limit: int, look: int) -> wire.Entries | wire.Snapshot | None:
        """What brings a peer at `epoch` forward: at most `limit` entries, or a snapshot; None when nothing does, and no
        `look` wants to hear so.
        """
        if epoch >= self.state.epoch:
            return wire.Entries(epoch + 1, [], look) if look else None
        entries = self.since(epoch)
        if entries is None:
            return wire.Snapshot(self.state.to_bytes())
        return wire.Entries(epoch + 1, entries[:limit], look)

    def read(self, first: int, entries: list[bytes]) -> Step | str | None:
        """What the entries of a peer, the epochs from `first` on, bring: evidence of another history, or a step.

        Raises:
            BadCatalog: They are none: noise is no evidence.
        """
        parsed = [Entry.from_bytes(data) for data in entries]
        for epoch, data in enumerate(entries, first):
            if self.differs(epoch, data):
                return f"two different entries at epoch {epoch}"
        following = self.state.epoch + 1
        known = max(0, following - first)
        if first > following or known >= len(entries):
            return None
        if parsed[known].previous != self.state.hash:
            return f"an entry for epoch {following} follows another state than the one here"
        return self.extend(entries[known:])

    def extend(self, entries: list[bytes]) -> Step:
        """Apply decided entries that follow the state, as far as this version can."""
        step = Step()
        for data in entries:
            try:
                self.state, entry, result = advance(self.state, data)
            except BadCatalog as error:
                step.trouble = str(error)
                break
            self._entries[entry.epoch] = data
            step.puts.append((entry_key(entry.epoch), data))
            step.made.append((entry, result))
        while len(self._entries) > self._kept:
            oldest = next(iter(self._entries))
            del self._entries[oldest]
            step.puts.append((entry_key(oldest), None))
        if step.made:
            step.puts += self._settled()
        return step

    def replace(self, state: ClusterState) -> Step:
        """Jump to a later state."""
        step = Step([(entry_key(epoch), None) for epoch in self._entries])
        self._entries.clear()
        self.state = state
        step.puts += self._settled()
        return step

    def _settled(self) -> list[Put]:
        return [(STATE, self.state.to_bytes()), (VOTE, None)]
