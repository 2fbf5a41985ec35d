"""What the cluster has agreed on about alerts: rules set otherwise, what somebody does about causes, silences, routes.

Which alerts there are is no matter of the catalog: they must be seen when nothing can be agreed on. Invariant: bounded,
however often somebody changes something; a section that says nothing is equal to `NOTHING` and takes no bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from vectron_p2p.model.alerts import RULES, AlertRoute, AlertRule

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_HANDLED = 500  # causes that people deal with at one time; the oldest are forgotten first, and fire again
MAX_SILENCES = 100


@dataclass(frozen=True, slots=True)
class Handled:
    """What somebody does about a cause. It holds for the alert in whose time `onset_ms` lies: an onset that another
    node turns out to have seen earlier is still the same alert, and the next one is not handled.
    """

    onset_ms: int
    action: str
    """"acknowledge" or "resolve"."""
    at_ms: int


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """`rules`: (enabled, threshold, for_s, severity) by name. `handled` by (rule, subject). `silences`: target -> until
    (ms). `routes`: name -> (url, severity).
    """

    rules: Mapping[str, tuple[bool, float, float, str]] = field(default_factory=dict)
    handled: Mapping[tuple[str, str], Handled] = field(default_factory=dict)
    silences: Mapping[str, int] = field(default_factory=dict)
    routes: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def rule(self, name: str) -> AlertRule:
        """As it is set now. A name that only a newer version knows is not asked for."""
        rule, own = RULES[name], self.rules.get(name)
        if own is None:
            return rule
        enabled, threshold, for_s, severity = own
        return replace(rule, enabled=enabled, threshold=threshold, for_s=for_s, severity=severity, changed=True)

    def all_rules(self) -> list[AlertRule]:
        return [self.rule(name) for name in RULES]

    def all_routes(self) -> list[AlertRoute]:
        return [AlertRoute(name, *self.routes[name]) for name in sorted(self.routes)]

    def silenced_until_ms(self, rule: str, subject: str) -> int:
        return max(self.silences.get(rule, 0), self.silences.get(subject, 0))

    def to_row(self) -> list[Any]:
        """Canonical: sorted by key."""
        return [
            [[name, *self.rules[name]] for name in sorted(self.rules)],
            [
                [*cause, each.onset_ms, each.action, each.at_ms]
                for cause, each in sorted(self.handled.items(), key=lambda item: item[0])
            ],
            [[target, self.silences[target]] for target in sorted(self.silences)],
            [[name, *self.routes[name]] for name in sorted(self.routes)],
        ]

    @classmethod
    def from_row(cls, row: list[Any]) -> AlertSettings:
        """Inverse of `to_row`; raises ValueError, TypeError or LookupError for what is none."""
        rules, handled, silences, routes = row
        return cls(
            {name: (enabled, threshold, for_s, severity) for name, enabled, threshold, for_s, severity in rules},
            {(rule, subject): Handled(onset, action, at) for rule, subject, onset, action, at in handled},
            {target: until for target, until in silences},  # noqa: C416  (pairs come as lists)
            {name: (url, severity) for name, url, severity in routes},
        )


NOTHING = AlertSettings()
