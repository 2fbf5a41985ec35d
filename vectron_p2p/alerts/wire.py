"""What boards tell each other, as plain lists. Reading checks every field: other versions and defects send anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vectron_p2p.alerts.board import MAX_CLAIMS, MAX_EPISODES, MAX_TEXT, Claim, Known, News, Report
from vectron_p2p.alerts.episodes import Cause, Episode, unite
from vectron_p2p.model.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_NUMBER = 2**62


def known_to_wire(known: Known) -> dict[str, Any]:
    return {
        "versions": [[observer, *known.versions[observer]] for observer in sorted(known.versions)],
        "rest": known.rest,
    }


def known_from_wire(wire: dict[str, Any]) -> Known:
    """Raises InvalidArgument for what is none; so does `news_from_wire`."""
    try:
        versions = {_text(observer): (_int(boot), _int(number)) for observer, boot, number in wire["versions"]}
        rest = wire["rest"]
        if type(rest) is not bytes:
            raise TypeError("no hash")
        return Known(versions, rest)
    except (LookupError, TypeError, ValueError) as error:
        raise InvalidArgument(f"no summary of alerts: {error}", field="known") from error


def news_to_wire(news: News) -> dict[str, Any]:
    """An empty dict for no news."""
    if not news:
        return {}
    return {
        "reports": [
            [
                observer,
                *report.version,
                report.software,
                [[*cause, claim.onset_ms, claim.text] for cause, claim in sorted(report.claims.items())],
            ]
            for observer, report in news.reports.items()
        ],
        "episodes": [
            [*cause, episode.onset_ms, episode.last_ms, episode.text]
            for cause, episodes in news.episodes.items()
            for episode in episodes
        ],
        "told": [[*key, number] for key, number in news.told.items()],
    }


def news_from_wire(wire: dict[str, Any]) -> News:
    if not wire:
        return News()
    try:
        return News(
            {
                _text(observer): Report((_int(boot), _int(number)), _text(software), _claims(claims))
                for observer, boot, number, software, claims in wire["reports"]
            },
            _episodes(wire["episodes"]),
            {(_text(route), _text(rule), _text(subject)): _int(n) for route, rule, subject, n in wire["told"]},
        )
    except (LookupError, TypeError, ValueError) as error:
        raise InvalidArgument(f"no news of alerts: {error}", field="news") from error


def _claims(rows: list[Any]) -> dict[Cause, Claim]:
    if len(rows) > MAX_CLAIMS:
        raise ValueError("too many claims")
    return {(_text(rule), _text(subject)): Claim(_int(onset), _text(text)) for rule, subject, onset, text in rows}


def _episodes(rows: Iterable[Any]) -> dict[Cause, tuple[Episode, ...]]:
    found: dict[Cause, list[Episode]] = {}
    for number, (rule, subject, onset, last, text) in enumerate(rows):
        if number >= 2 * MAX_EPISODES:  # a board may hold some more until its next tick
            raise ValueError("too many episodes")
        if _int(onset) > _int(last):
            raise ValueError("an episode that ends before it begins")
        found.setdefault((_text(rule), _text(subject)), []).append(Episode(onset, last, _text(text)))
    return {cause: unite(episodes) for cause, episodes in found.items()}


def _text(value: object) -> str:
    if type(value) is not str or not 0 < len(value) <= MAX_TEXT:
        raise TypeError("a text missing or too long")
    return value


def _int(value: object) -> int:
    if type(value) is not int or not 0 <= value <= MAX_NUMBER:
        raise TypeError("an int out of range")
    return value
