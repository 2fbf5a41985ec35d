"""What may happen to the traffic from one endpoint to another; shared by the schedule and both fabrics.

An endpoint is the index of a node, or `CLIENTS` for all clients together. Faults are per direction: the way there may
be lost while the way back is sound.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Any

CLIENTS = -1


@dataclass(frozen=True, slots=True)
class Link:
    """One direction of one pair. Loss and duplicates are shares of packets; times are seconds.

    `udp` and `tcp` false: nothing of it passes. Bytes of a stream that wait are delivered once it passes again, as
    those that TCP sends again would be.
    """

    loss: float = 0.0
    duplicate: float = 0.0
    delay: float = 0.0
    jitter: float = 0.0
    udp: bool = True
    tcp: bool = True


SOUND = Link()
CUT = Link(udp=False, tcp=False)

Pair = tuple[int, int]
Links = dict[Pair, Link]
"""Only pairs with a fault; every other is `SOUND`."""


def merged(first: Link, second: Link) -> Link:
    """Both faults at once on one link."""
    return Link(
        loss=1 - (1 - first.loss) * (1 - second.loss),
        duplicate=max(first.duplicate, second.duplicate),
        delay=first.delay + second.delay,
        jitter=first.jitter + second.jitter,
        udp=first.udp and second.udp,
        tcp=first.tcp and second.tcp,
    )


def overlay(tables: list[Links]) -> Links:
    """All tables at once."""
    result: Links = {}
    for table in tables:
        for pair, link in table.items():
            result[pair] = merged(result.get(pair, SOUND), link)
    return result


def to_wire(links: Links) -> list[list[Any]]:
    return [[source, target, *astuple(link)] for (source, target), link in sorted(links.items())]


def from_wire(rows: list[list[Any]]) -> Links:
    return {(row[0], row[1]): Link(*row[2:]) for row in rows}
