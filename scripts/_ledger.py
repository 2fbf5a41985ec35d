"""What a client may believe: for each id, which states an observer may find.

One writer per id and one operation at a time, so the order of its operations is known. An acknowledged operation
replaces what was there; one that failed with an unknown outcome may show at any later time, until a later one is
acknowledged. Anything else that is found is a violation: an acknowledged write lost, or a deleted point back.
"""

from __future__ import annotations

from dataclasses import dataclass, field

ABSENT = 0
"""Never written. A write has the number of its operation, a delete that number negated."""


@dataclass(slots=True)
class Entry:
    acked: int = ABSENT
    maybe: list[int] = field(default_factory=list)
    """Later operations of unknown outcome, oldest first."""


@dataclass(slots=True)
class Ledger:
    """The entries of one writer, by id, and the violations seen in what was read."""

    entries: dict[str, Entry] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    returned: list[str] = field(default_factory=list)

    def acknowledged(self, point_id: str, value: int) -> None:
        self.entries[point_id] = Entry(value)

    def unknown(self, point_id: str, value: int) -> None:
        self.entries.setdefault(point_id, Entry()).maybe.append(value)

    def observe(self, point_id: str, found: int | None, where: str) -> bool:
        """A read found the write of number `found` (None: no point); whether that may be.

        A quorum read makes what it returns durable, so an unknown outcome is known afterwards.
        """
        entry = self.entries.get(point_id) or Entry()
        if _same(entry.acked, found):
            return True
        for index, value in enumerate(entry.maybe):
            if _same(value, found):
                self.entries[point_id] = Entry(value, entry.maybe[index + 1 :])
                return True
        text = f"{where}: {point_id} has {found or 'no point'}; acknowledged {entry.acked}, unknown {entry.maybe}"
        deleted = entry.acked < ABSENT and found is not None
        (self.returned if deleted else self.lost).append(text)
        return False


def _same(value: int, found: int | None) -> bool:
    return value == found if found is not None else value <= ABSENT
