"""Named restrictions of what a seed may draw: kinds of faults, and clients.

`mixed` is everything; the others look longer at one thing.
"""

from __future__ import annotations

from dataclasses import dataclass

ALL = frozenset({"network", "process", "disk", "clock", "admin", "moves"})


@dataclass(frozen=True, slots=True)
class Scenario:
    """`groups` of faults; clients as (fewest, most); `spare` nodes more than other scenarios have."""

    groups: frozenset[str]
    plain: tuple[int, int] = (1, 3)
    linear: tuple[int, int] = (0, 3)
    churn: tuple[int, int] = (0, 1)
    ones: tuple[int, int] = (0, 1)
    spare: int = 0


SCENARIOS: dict[str, Scenario] = {
    "mixed": Scenario(ALL),
    "network": Scenario(frozenset({"network"})),
    "crash": Scenario(frozenset({"process"})),
    "disk": Scenario(frozenset({"disk", "process"})),
    "clock": Scenario(frozenset({"clock", "process", "network"})),
    "admin": Scenario(frozenset({"admin", "moves", "process", "network"}), churn=(1, 2)),
    "moves": Scenario(frozenset({"moves", "network", "process"}), linear=(1, 3), spare=1),
    "moves and all": Scenario(ALL, linear=(1, 3), spare=1),
    "linearizable": Scenario(ALL, plain=(0, 1), linear=(2, 4), churn=(0, 0), ones=(0, 0)),
}
