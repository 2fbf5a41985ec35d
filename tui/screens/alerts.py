"""Alerts: active ones and those that are over, what can be done about them, and the rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from tui.bindings import ALERTS, RULES
from tui.dialogs.form import Field
from tui.render import alerts as render
from tui.render import services
from tui.render.text import Tone, line
from tui.screens.base import Shared, Shown, TableScreen, inner_width
from tui.screens.reader import Reader
from tui.widgets.panels import Panel
from vectron_p2p.model import alerts as model
from vectron_p2p.model.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from textual.binding import BindingType
    from textual.widget import Widget

    from tui.source import ClusterSource
    from tui.store import Feed
    from vectron_p2p.model.alerts import Alert, AlertRule, AlertsReport

SILENCES = {"10m": 600.0, "1h": 3600.0, "8h": 28_800.0, "1d": 86_400.0}


def check_duration(text: str) -> float:
    """`90s`, `10m`, `8h`, `1d`, in seconds.

    Raises:
        InvalidArgument: It is no such thing, or longer than a silence may last.
    """
    units = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
    try:
        seconds = float(text[:-1]) * units[text[-1:]]
    except (ValueError, KeyError):
        raise InvalidArgument("a time as 90s, 10m, 8h or 1d", field="for_s") from None
    return model.check_number(seconds, 0.0, model.MAX_SILENCE_S, field="for_s")


class AlertsScreen(TableScreen):
    MODE = "alerts"
    ABOUT = (
        "How each service does and how long it takes to answer (p50 and p99 of its slowest operation); what is wrong "
        "now, as every node sees it, and what was. a says that somebody is at it, x closes it, s "
        "silences its subject or its rule; h shows what is over too, e the rules."
    )
    LABEL = "Alerts"
    SORT = render.DEFAULT_SORT
    OPENS = False
    BINDINGS: ClassVar[list[BindingType]] = [*ALERTS]

    def __init__(self, shared: Shared, *, mode: str = "") -> None:
        super().__init__(shared, mode=mode)
        self._history = False

    def feeds(self) -> list[Feed[Any]]:
        return [self.shared.store.alerts]

    def above(self) -> Iterable[Widget]:
        yield Panel("Services", classes="facts")

    def draw(self, now: float) -> None:
        store, panel = self.shared.store, self.query_one(".facts", Panel)
        status = store.status.value
        panel.display = status is not None
        if status is not None:
            operations, statistics = (store.operations.value or {}).get("", []), store.statistics.value or {}
            panel.show(services.with_times(status, operations, statistics, inner_width(self)), self.app.theme)
        super().draw(now)

    def shown(self) -> Shown:
        store = self.shared.store
        alerts = store.alerts.value or []
        table = render.table(alerts, store.clock, history=self._history)
        said = "".join(span.text for span in render.counts(alerts)).strip()
        empty = [line(("●", Tone.OK), " Nothing is wrong."), (), line(("h shows what was.", Tone.MUTED))]
        return Shown(f"Alerts · {said}", table, empty)

    def _alert(self) -> Alert | None:
        key = self.chosen()
        return next((alert for alert in self.shared.store.alerts.value or [] if alert.id == key), None)

    def action_history(self) -> None:
        self._history = not self._history
        self.paint()

    def action_acknowledge(self) -> None:
        if (alert := self._alert()) is not None:
            self._change(lambda source: source.acknowledge_alert(alert.id), f"{alert.rule} {alert.name}: acknowledged")

    def action_resolve(self) -> None:
        if (alert := self._alert()) is not None:
            self._change(lambda source: source.resolve_alert(alert.id), f"{alert.rule} {alert.name}: resolved")

    def action_silence(self) -> None:
        alert = self._alert()
        if alert is None:
            return
        name = alert.name or alert.subject
        fields = [
            Field("target", "What", _target(alert), name, f"{name} or the rule {alert.rule}"),
            Field("for_s", "For", check_duration, "1h", ", ".join(SILENCES)),
        ]

        def silence(values: dict[str, Any]) -> None:
            self._change(
                lambda source: source.silence_alerts(values["target"], values["for_s"]),
                f"nothing is sent about {name if values['target'] == alert.subject else alert.rule} for a while"
                if values["for_s"]
                else "silence ended",
            )

        about = f"Nothing is sent about it for that time: about {name}, or about all that {alert.rule} says."
        self.shared.actions.fill(f"Silence {alert.rule} {name}", fields, silence, send="Silence", about=about)

    def action_rules(self) -> None:
        self.app.push_screen(RulesScreen(self.shared))

    def _change(self, call: Callable[[ClusterSource], Any], said: str) -> None:
        self.shared.actions.change(call, lambda _: said, "alerts")


def _target(alert: Alert) -> Callable[[str], str]:
    def check(text: str) -> str:
        if text not in (alert.subject, alert.rule, alert.name):
            raise InvalidArgument(
                f"{alert.name or alert.subject}, or {alert.rule}: all that the rule says", field="target"
            )
        return alert.subject if text == alert.name else text

    return check


class RulesScreen(TableScreen):
    """The rules, silences and routes; read when the screen opens and after each change."""

    MODE = "alerts"
    ABOUT = "The rules by which nodes say that something is wrong. e changes one, o switches it off or on."
    LABEL = "Rules"
    SORT = render.RULE_SORT
    OPENS = False
    BINDINGS: ClassVar[list[BindingType]] = [*RULES]

    def __init__(self, shared: Shared) -> None:
        super().__init__(shared)
        self._reader = Reader(
            self, shared, lambda: shared.store.rules, lambda: lambda source: source.alerts(), "read the rules"
        )

    def crumbs(self) -> tuple[str, ...]:
        return ("rules",)

    def feeds(self) -> list[Feed[Any]]:
        return [self.shared.store.rules]

    def above(self) -> Iterable[Widget]:
        yield Panel("Silences and routes", classes="facts")

    def on_mount(self) -> None:
        self._reader.start()

    def draw(self, now: float) -> None:
        report = self.shared.store.rules.value
        panel = self.query_one(".facts", Panel)
        panel.display = report is not None
        if report is not None:
            panel.show(render.settings(report, self.shared.store.clock), self.app.theme)
        super().draw(now)

    def shown(self) -> Shown:
        report = self.shared.store.rules.value
        assert report is not None
        table = render.rules(report)
        return Shown(f"Rules · {len(table.rows)}", table, [line("There are no rules.")])

    def _got(self, report: AlertsReport) -> None:
        self.shared.store.put(self.shared.store.rules, report, self.shared.clock())
        self.paint()

    def _rule(self) -> AlertRule | None:
        report, key = self.shared.store.rules.value, self.chosen()
        return next((rule for rule in report.rules if rule.name == key), None) if report is not None else None

    def action_switch(self) -> None:
        if (rule := self._rule()) is not None:
            self.shared.actions.ask(
                lambda source: source.set_alert_rule(rule.name, enabled=not rule.enabled), self._got, rule.name
            )

    def action_change(self) -> None:
        rule = self._rule()
        if rule is None:
            return
        fields = [
            Field("for_s", "For", check_duration, f"{rule.for_s:g}s", "how long it must hold first: 0s, 30s, 10m"),
            Field("severity", "Severity", model.check_severity, rule.severity, " | ".join(model.SEVERITIES)),
        ]
        if rule.unit:
            bounds = f"{rule.unit}, {rule.low:g}..{rule.high:g}"
            fields.insert(0, Field("threshold", "Threshold", _threshold(rule), f"{rule.threshold:g}", bounds))

        def change(values: dict[str, Any]) -> None:
            self.shared.actions.ask(lambda source: source.set_alert_rule(rule.name, **values), self._got, rule.name)

        about = f"Fires when {rule.description}."
        self.shared.actions.fill(f"Rule {rule.name}", fields, change, send="Change", about=about)


def _threshold(rule: AlertRule) -> Callable[[str], float]:
    def check(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise InvalidArgument("a number", field="threshold") from None
        return model.check_number(value, rule.low, rule.high, field="threshold")

    return check
