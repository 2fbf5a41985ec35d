"""The alerts as they are shown: what the board knows, with names, severities and what the catalog says people did."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from vectron_p2p.alerts.episodes import Cause, Episode, alert_id
from vectron_p2p.model.alerts import RULES, Alert, AlertsReport, Silence
from vectron_p2p.model.ids import CollectionId, NodeId

if TYPE_CHECKING:
    from collections.abc import Callable

    from vectron_p2p.alerts.board import Board
    from vectron_p2p.catalog.state import ClusterState

SHOWN = 1_000  # of the past, the newest


class AlertReports:
    """Of one node."""

    def __init__(self, board: Board, *, state: Callable[[], ClusterState], wall_ms: Callable[[], int]) -> None:
        self._board = board
        self._state = state
        self._wall_ms = wall_ms

    def current(self) -> list[Alert]:
        """Those whose cause lasts, also if they were closed by hand. Causes of a rule that only a newer version knows
        are left out, here and below.
        """
        return [
            self._alert(each.cause, each.episode, observers=each.observers, over=False)
            for each in self._board.active
            if each.cause[0] in RULES
        ]

    def report(self) -> AlertsReport:
        state, found = self._state(), self.current()
        closed = [alert for alert in found if not alert.active]
        past = [self._alert(cause, each, over=True) for cause, each in self._board.history if cause[0] in RULES]
        return AlertsReport(
            active=[alert for alert in found if alert.active],
            history=sorted([*closed, *past], key=lambda alert: (alert.ended, alert.since, alert.id), reverse=True)[
                :SHOWN
            ],
            rules=state.alerts.all_rules(),
            silences=[
                Silence(target, until / 1000)
                for target, until in sorted(state.alerts.silences.items())
                if until > self._wall_ms()
            ],
            routes=state.alerts.all_routes(),
        )

    def latest(self, cause: Cause) -> Alert | None:
        """The alert of that cause which is active, or was last."""
        for alert in self.current():
            if (alert.rule, alert.subject) == cause:
                return alert
        past = next((episode for each, episode in self._board.history if each == cause), None)
        return None if past is None or cause[0] not in RULES else self._alert(cause, past, over=True)

    def _alert(self, cause: Cause, episode: Episode, *, over: bool, observers: tuple[str, ...] = ()) -> Alert:
        rule, subject = cause
        state = self._state()
        settings = state.alerts
        alert = Alert(
            id=alert_id(cause, episode.onset_ms),
            rule=rule,
            subject=subject,
            name=_name(state, subject),
            severity=settings.rule(rule).severity,
            state="resolved" if over else "firing",
            since=episode.onset_ms / 1000,
            ended=episode.last_ms / 1000 if over else 0.0,
            cause=episode.text,
            observers=list(observers),
        )
        if over:
            return alert
        silenced = settings.silenced_until_ms(rule, subject)
        if silenced > self._wall_ms():
            alert = replace(alert, silenced_until=silenced / 1000)
        handled = settings.handled.get(cause)
        if handled is not None and episode.holds(handled.onset_ms):
            if handled.action == "resolve":
                return replace(alert, state="resolved", ended=handled.at_ms / 1000)
            return replace(alert, state="acknowledged")
        return alert


def _name(state: ClusterState, subject: str) -> str:
    """Of a node or collection; what it is called itself, if it is neither, or gone."""
    member = state.members.get(NodeId(subject))
    if member is not None:
        return member.name
    collection = state.collections.get(CollectionId(subject))
    return subject if collection is None else collection.name
