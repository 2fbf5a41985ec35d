"""The board: what all nodes claim, as one node knows it, and the alerts that follow.

Theory of operation. A node's claims are one register with one writer: it alone changes it, under a version that rises,
so of two the higher version is the truth. A cause is active while a live node claims it, and `HOLD_S` longer; whose
claims count is membership's word, given with each tick. So nothing has to be taken back by a node that died, or that is
cut off: its claims stop counting. While a cause is active its last episode grows; how long it was is known to all once
it is over. A node that claims a cause of which it learns an earlier onset claims it from then on: the onset outlives
whoever saw it first.

Must not know rules, thresholds, the catalog. Invariants: what two boards know after an exchange is the same, whatever
was lost, repeated or overtaken before; `digest` is equal exactly then, but for the moments in which one of them still
holds what the other has seen end.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgpack

from vectron_p2p.alerts.episodes import Cause, Episode, unite

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from vectron_p2p.alerts.watch import Standing

HOLD_S = 5.0  # who claimed it may have died: others that see it too claim it within a look or two
PAUSE_S = 5.0  # between two ticks: the process stood still, and what others claimed meanwhile is not known
REFRESH_S = 30.0  # new words for a claim that goes on ("3 shards", "4 shards") are news that seldom
MAX_TEXT = 300  # of a claim: a sentence
MAX_CLAIMS = 256  # of one node; a failure as wide is known by then
MAX_EPISODES = 1_000  # that are over
KEPT_MS = 24 * 3_600_000
MAX_REPORTS = 200  # in one exchange: some tens of kilobytes; the next brings more
DIGEST_BYTES = 8  # rides in each packet of membership; a false match is mended by the next change

Version = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Claim:
    onset_ms: int
    text: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a node claims. `version`: its boot, then a counter."""

    version: Version
    software: str
    claims: Mapping[Cause, Claim] = field(default_factory=dict)


Told = tuple[str, str, str]
"""Route, rule and subject."""


@dataclass(frozen=True, slots=True)
class News:
    """What one board tells another: reports by observer, episodes that are over, and what was told along the routes."""

    reports: Mapping[str, Report] = field(default_factory=dict)
    episodes: Mapping[Cause, tuple[Episode, ...]] = field(default_factory=dict)
    told: Mapping[Told, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.reports or self.episodes or self.told)


@dataclass(frozen=True, slots=True)
class Known:
    """How much a board knows: versions of reports, and the hash of the rest."""

    versions: Mapping[str, Version]
    rest: bytes


@dataclass(frozen=True, slots=True)
class Active:
    cause: Cause
    episode: Episode
    observers: tuple[str, ...]


class Board:
    """`boot` rises with each start of this node."""

    def __init__(self, me: str, boot: int, software: str) -> None:
        self._me = me
        self._reports: dict[str, Report] = {me: Report((boot, 0), software)}
        self._episodes: dict[Cause, tuple[Episode, ...]] = {}
        self._told: dict[Told, int] = {}
        self._active: dict[Cause, tuple[str, ...]] = {}
        self._claimed: dict[Cause, float] = {}
        self._refreshed: dict[Cause, float] = {}
        self._ticked: float | None = None
        self._summary: tuple[Known, bytes] | None = None

    # --- what is known ------------------------------------------------------------------------------------------------

    @property
    def active(self) -> list[Active]:
        """By onset."""
        found = [Active(cause, self._episodes[cause][-1], observers) for cause, observers in self._active.items()]
        return sorted(found, key=lambda each: (each.episode, each.cause))

    @property
    def history(self) -> list[tuple[Cause, Episode]]:
        """Episodes that are over, the newest first."""
        over = [(cause, each) for cause, episodes in self._over().items() for each in episodes]
        return sorted(over, key=lambda each: (each[1].last_ms, each[1], each[0]), reverse=True)

    def told(self, route: str, cause: Cause) -> int:
        """How often the outside was told of this cause along `route`: an odd number when the last word was that it is
        there, an even one when it was that it is over.
        """
        return self._told.get((route, *cause), 0)

    def software(self, live: Collection[str]) -> set[str]:
        """The versions that `live` nodes run, as far as they are known."""
        return {report.software for observer, report in self._reports.items() if observer in live}

    # --- inputs -------------------------------------------------------------------------------------------------------

    def tick(
        self,
        standing: Mapping[Cause, Standing],
        live: Collection[str],
        members: Collection[str],
        now: float,
        wall_ms: int,
    ) -> bool:
        """This node sees `standing`; `live` are the members whose claims count, this node among them. Whether there is
        something to tell other nodes at once.
        """
        before = self._reports[self._me]
        paused = self._ticked is not None and now - self._ticked > PAUSE_S
        self._ticked = now
        gone = [each for each in self._reports if each != self._me and (paused or each not in members)]
        for observer in gone:
            del self._reports[observer]
        if gone:
            self._summary = None
        self._claim(standing, live, now)
        self._follow(live, now, wall_ms)
        self._forget(wall_ms)
        return self._reports[self._me] is not before

    def tell(self, route: str, cause: Cause, number: int) -> None:
        """The outside was told, for the `number`-th time."""
        key = (route, *cause)
        if number > self._told.get(key, 0):
            self._told[key] = number
            self._summary = None

    def _claim(self, standing: Mapping[Cause, Standing], live: Collection[str], now: float) -> None:
        """From the earliest onset that is known on."""
        others = [report for observer, report in self._reports.items() if observer in live]
        own = self._reports[self._me]
        claims: dict[Cause, Claim] = {}
        for cause, seen in islice(sorted(standing.items()), MAX_CLAIMS):
            held = own.claims.get(cause)
            words = seen.text[:MAX_TEXT]
            onset, text = (held.onset_ms, held.text) if held is not None else (seen.onset_ms, words)
            known = [report.claims[cause].onset_ms for report in others if cause in report.claims]
            if cause in self._active:
                known.append(self._episodes[cause][-1].onset_ms)
            onset = min([onset, *known])
            if held is None or (text != words and now - self._refreshed[cause] >= REFRESH_S):
                text, self._refreshed[cause] = words, now
            claims[cause] = Claim(onset, text)
        for cause in self._refreshed.keys() - claims.keys():
            del self._refreshed[cause]
        if claims != own.claims:
            boot, number = own.version
            self._reports[self._me] = Report((boot, number + 1), own.software, claims)
            self._summary = None

    def _follow(self, live: Collection[str], now: float, wall_ms: int) -> None:
        """Which causes are active; their episodes grow."""
        claims: defaultdict[Cause, list[tuple[int, str, str]]] = defaultdict(list)
        for observer, report in self._reports.items():
            if observer in live:
                for cause, claim in report.claims.items():
                    claims[cause].append((claim.onset_ms, observer, claim.text))
        for cause, found in claims.items():
            onset, _, text = min(found)
            now_too = Episode(onset, max(onset, wall_ms), text)
            self._episodes[cause] = unite(self._episodes.get(cause, ()), [now_too])
            self._claimed[cause] = now
        active = {}
        for cause, at in list(self._claimed.items()):
            if now - at < HOLD_S:
                active[cause] = tuple(sorted(observer for _, observer, _ in claims.get(cause, ())))
            else:
                del self._claimed[cause]
        if active.keys() != self._active.keys():
            self._summary = None
        self._active = active

    def _forget(self, wall_ms: int) -> None:
        """What is older than a day, and what is more than is kept."""
        oldest = wall_ms - KEPT_MS
        over = self._over()
        drop = {(cause, each) for cause, episodes in over.items() for each in episodes if each.last_ms < oldest}
        if sum(map(len, over.values())) - len(drop) > MAX_EPISODES:
            drop |= set(self.history[MAX_EPISODES:])
        if drop:
            kept = {
                cause: tuple(each for each in episodes if (cause, each) not in drop)
                for cause, episodes in self._episodes.items()
            }
            self._episodes = {cause: episodes for cause, episodes in kept.items() if episodes}
            self._summary = None
        told = {key: number for key, number in self._told.items() if key[1:] in self._episodes}
        if len(told) != len(self._told):
            self._told, self._summary = told, None

    # --- exchange -----------------------------------------------------------------------------------------------------

    @property
    def digest(self) -> bytes:
        """Of all that is told to others."""
        return self._summarised()[1]

    @property
    def known(self) -> Known:
        return self._summarised()[0]

    def _summarised(self) -> tuple[Known, bytes]:
        if self._summary is None:
            rest = _hash([sorted(self._told.items()), sorted(self._over().items())])
            versions = {observer: report.version for observer, report in self._reports.items()}
            self._summary = Known(versions, rest), _hash([sorted(versions.items()), rest])
        return self._summary

    def _over(self) -> dict[Cause, tuple[Episode, ...]]:
        """Episodes that are over. How long the last one of an active cause is, each node will see for itself."""
        over = {
            cause: episodes[:-1] if cause in self._active else episodes for cause, episodes in self._episodes.items()
        }
        return {cause: episodes for cause, episodes in over.items() if episodes}

    def news(self, theirs: Known) -> News:
        """What a board that knows `theirs` lacks."""
        newer = (
            (observer, report)
            for observer, report in sorted(self._reports.items())
            if report.version > theirs.versions.get(observer, (-1, -1))
        )
        reports = dict(islice(newer, MAX_REPORTS))
        if theirs.rest == self.known.rest:
            return News(reports)
        return News(reports, self._over(), dict(self._told))

    def merge(self, news: News) -> None:
        """Join what another board told."""
        for observer, report in news.reports.items():
            known = self._reports.get(observer)
            # Of itself this node knows best: an older boot's claims come back to it.
            if observer != self._me and (known is None or report.version > known.version):
                self._reports[observer] = report
                self._summary = None
        for cause, episodes in news.episodes.items():
            before = self._episodes.get(cause, ())
            after = unite(before, episodes)
            if after != before:
                self._episodes[cause] = after
                self._summary = None
        for (route, rule, subject), number in news.told.items():
            self.tell(route, (rule, subject), number)


def _hash(value: list[Any]) -> bytes:
    return hashlib.blake2b(msgpack.packb(value), digest_size=DIGEST_BYTES).digest()
