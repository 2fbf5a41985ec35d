"""Alerts: what is wrong now, what was, and the rules by which a node says so.

The rules of this table exist in every cluster; the catalog holds what an operator has set otherwise. Times are seconds
since 1970 by the cluster's clock: each node's own, drawn to within half a second of the majority's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from vectron_p2p.model.errors import InvalidArgument

SEVERITIES = ("info", "warning", "critical")
MAX_FOR_S = 86_400.0  # a condition that must last longer than a day before it is said is no alert
MAX_SILENCE_S = 30 * 86_400.0  # silences end by themselves: one that is forgotten hides a failure for a month at most
MAX_URL = 2_000  # what servers take at least
MAX_ROUTES = 16  # each is told of every alert


@dataclass(frozen=True, slots=True)
class AlertRule:
    """`subject` says what it is about: a node, a collection, the cluster. It fires when the value lies above
    `threshold` (below it, if `below`) for `for_s` seconds. `unit` "": the rule has no threshold.
    """

    name: str
    description: str
    subject: str
    severity: str
    threshold: float = 0.0
    unit: str = ""
    for_s: float = 0.0
    below: bool = False
    low: float = 0.0
    """Bounds of `threshold`."""
    high: float = 0.0
    enabled: bool = True
    changed: bool = False
    """Whether the cluster has set it otherwise than it comes."""

    def breached(self, value: float) -> bool:
        return value < self.threshold if self.below else value > self.threshold


RULES = {
    rule.name: rule
    for rule in (
        # Membership has taken its time already: a node is called dead after some six seconds without a sign of life.
        AlertRule("node_down", "a member does not answer", "node", "critical"),
        # Longer than two nodes need to restart one after the other and be seen again.
        AlertRule(
            "catalog_quorum", "fewer voters live than a catalog change needs", "cluster", "critical", for_s=5.0
        ),
        # Moves begin five seconds after a node has come; with nodes to move to, this ends by itself.
        AlertRule(
            "under_replicated", "shards have fewer owners than their collection asks for", "collection", "warning",
            0.0, "shards", 60.0, high=1_000_000.0,
        ),
        # The floor below which a node takes no writes is 2 %: this leaves time to act.
        AlertRule(
            "disk", "little space is left on the disk", "node", "warning", 10.0, "% free", 30.0, True, high=100.0,
        ),
        # Of the whole machine: it is the machine that begins to swap or to kill.
        AlertRule("memory", "little memory is left", "node", "warning", 90.0, "% used", 60.0, high=100.0),
        # Of the last minute, refusals too; a minute longer, so that one burst of bad requests is no alert.
        AlertRule(
            "error_rate", "requests of clients on points fail", "node", "warning", 5.0, "% failed", 60.0, high=100.0,
        ),
        # A search takes milliseconds; whoever waits for a second sees it.
        AlertRule(
            "p99", "requests of clients on points are slow (p99 of a minute)", "node", "warning", 1_000.0, "ms", 60.0,
            low=1.0, high=600_000.0,
        ),
        AlertRule(
            "loop_lag", "the event loop is late (p99 of a minute)", "node", "warning", 250.0, "ms", 30.0,
            low=1.0, high=60_000.0,
        ),  # what membership takes for a sign of an overloaded node
        AlertRule(
            "repair_behind", "replicas were not compared with a live owner", "node", "warning", 600.0, "s", 60.0,
            low=60.0, high=604_800.0,
        ),  # thirty times the longest usual interval; a node that comes back is compared with within a minute
        AlertRule("version_skew", "nodes run several versions", "cluster", "info", for_s=3_600.0),  # upgrades take time
        AlertRule(
            "clock_skew", "a clock is off from the majority's", "node", "warning", 250.0, "ms", 10.0,
            low=10.0, high=3_600_000.0,
        ),  # half of what replicas refuse stamps at
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Alert:
    """`state`: "firing", "acknowledged" (somebody is at it), or "resolved": over by itself, or closed by hand while its
    cause may last. One that is over and comes back is another alert.
    """

    id: str
    rule: str
    subject: str
    """Id of the node or collection; "catalog" or "cluster"."""
    name: str
    """Of the subject, for people."""
    severity: str
    state: str
    since: float
    ended: float = 0.0
    """0.0: not yet."""
    cause: str = ""
    silenced_until: float = 0.0
    """0.0: not silenced."""
    observers: list[str] = field(default_factory=list)
    """Ids of the nodes that see it now."""

    @property
    def active(self) -> bool:
        return self.state != "resolved"


@dataclass(frozen=True, slots=True)
class Silence:
    """Alerts of a rule, or about a subject, are shown and not sent until then."""

    target: str
    until: float


@dataclass(frozen=True, slots=True)
class AlertRoute:
    """Where alerts of `severity` or worse are sent: `url` gets a POST with JSON for each that fires or is resolved."""

    name: str
    url: str
    severity: str = "warning"


@dataclass(frozen=True, slots=True)
class AlertsReport:
    """What the answering node knows; all nodes that can reach each other know the same within seconds."""

    active: list[Alert]
    history: list[Alert]
    """Resolved ones of the last day, the newest first, at most a thousand."""
    rules: list[AlertRule] = field(default_factory=list)
    silences: list[Silence] = field(default_factory=list)
    routes: list[AlertRoute] = field(default_factory=list)


def check_rule(name: object) -> AlertRule:
    """The rule of that name, as it comes.

    Raises:
        InvalidArgument: There is none.
    """
    rule = RULES.get(name) if isinstance(name, str) else None
    if rule is None:
        raise InvalidArgument(f"there is no rule {name!r:.60}; the rules are {', '.join(RULES)}", field="rule")
    return rule


def check_number(value: object, low: float, high: float, *, field: str) -> float:
    """`value` as a float in low..high.

    Raises:
        InvalidArgument: It is not.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidArgument(f"{field} is a number", field=field)
    if not low <= value <= high:
        raise InvalidArgument(f"{field} lies in {low:g}..{high:g}, not {value:g}", field=field)
    return float(value)


def check_severity(value: object) -> str:
    """Raises InvalidArgument for a word that is none."""
    if not isinstance(value, str) or value not in SEVERITIES:
        raise InvalidArgument(f"severity is one of {', '.join(SEVERITIES)}", field="severity")
    return value


def check_url(value: object) -> str:
    """An address that alerts can be posted to: http or https, with a host and without credentials, which everybody who
    sees the routes would see too.

    Raises:
        InvalidArgument: It is none.
    """
    from urllib.parse import urlsplit

    if not isinstance(value, str) or len(value) > MAX_URL or not value.isascii() or not value.isprintable():
        raise InvalidArgument(f"url is a printable ASCII str of at most {MAX_URL} characters", field="url")
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidArgument(f"url: {error}", field="url") from error
    if parts.scheme not in ("http", "https") or not host or " " in value:
        raise InvalidArgument("url begins with http:// or https:// and names a host", field="url")
    if "@" in parts.netloc:
        raise InvalidArgument("url has no user and password: whoever sees the routes would see them", field="url")
    return value
