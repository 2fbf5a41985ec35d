"""What a subscriber lacks, in parts that are quickly made, sent and read.

Of a large cluster everything together is megabytes, and tens of thousands of values: made in one go it would hold the
event loop of the node, read in one go that of the subscriber, and it may be more than one message can hold. Pure.
Invariant: the parts together are the difference; what `before` and `after` hold is not changed while they are made.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Contents = Mapping[str, Mapping[str, Any]]

PART_CONTAINERS = 500  # dicts and lists in a part: 1 ms to pack, 4 to read with their types; ordinary events are one
COMPARED = 1_000  # of values and what they contain, in one go: 1 ms


@dataclass(slots=True)
class Part:
    """Values that are new or different, and keys that are gone, by topic."""

    changed: dict[str, dict[str, Any]] = field(default_factory=dict)
    removed: dict[str, list[str]] = field(default_factory=dict)
    last: bool = False


def parts(before: Contents, after: Contents) -> Iterator[Part | None]:
    """At least one part, the last one marked so. None: a moment for others, the work goes on."""
    part, held, compared = Part(), 0, 0
    for topic, values in after.items():
        known = before.get(topic, {})
        if gone := [key for key in known if key not in values]:
            part.removed[topic] = gone
            held += len(gone) // 8  # a string is quickly read
        weight = max(1, containers(next(iter(values.values()), None)))  # those of a topic are alike
        for key, value in values.items():
            compared += weight
            if compared >= COMPARED:
                compared = 0
                yield None
            if key in known and ((held_before := known[key]) is value or held_before == value):
                continue
            held += containers(value)
            if held > PART_CONTAINERS and part.changed:
                yield part
                part, held = Part(), containers(value)
            part.changed.setdefault(topic, {})[key] = value
    part.last = True
    yield part


def containers(value: Any) -> int:
    """Dicts and lists in `value`, itself included."""
    if isinstance(value, dict):
        return 1 + sum(containers(each) for each in value.values() if isinstance(each, dict | list))
    if isinstance(value, list):
        return 1 + sum(containers(each) for each in value if isinstance(each, dict | list))
    return 0
