"""Episodes of a cause: stretches of time in which somebody claimed it.

The join of what several nodes know is the union of the stretches: commutative, associative, idempotent, so it does not
matter who tells whom in what order, how often, or through whom. Two sides of a partition that saw one failure each for
itself hold overlapping stretches, and these are one as soon as they meet.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

GAP_MS = 5_000  # stretches that lie closer are one: a condition that flaps is one alert, not one each second

Cause = tuple[str, str]
"""Rule and subject."""


class Episode(NamedTuple):
    """From `onset_ms` to when it was last claimed, as far as is known."""

    onset_ms: int
    last_ms: int
    text: str

    def holds(self, at_ms: int) -> bool:
        """Whether a cause that is seen at that time belongs to it."""
        return self.onset_ms - GAP_MS <= at_ms <= self.last_ms + GAP_MS


def unite(*known: Iterable[Episode]) -> tuple[Episode, ...]:
    """The union, by time. Of the texts of stretches that become one, that of the last; then the greater one."""
    united: list[Episode] = []
    for each in sorted(episode for episodes in known for episode in episodes):
        if united and each.onset_ms <= united[-1].last_ms + GAP_MS:
            before = united[-1]
            last_ms, text = max(before[1:], each[1:])
            united[-1] = Episode(before.onset_ms, last_ms, text)
        else:
            united.append(each)
    return tuple(united)


def alert_id(cause: Cause, onset_ms: int) -> str:
    """The same at every node that knows the same onset."""
    return hashlib.blake2b("\0".join((*cause, str(onset_ms))).encode(), digest_size=6).hexdigest()
