"""The figures of each second: what counters have grown by, and the history that charts are made of.

Owns rates and the past. Runs on the timer of the loop's health, so that it adds no wake-up of its own; a second costs
about 0.1 ms. Invariant: nothing here waits or touches a disk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vectron_p2p.model.statistics import CLIENT, FIGURES, NetworkStatistics
from vectron_p2p.observability.history import Rings

if TYPE_CHECKING:
    from collections.abc import Callable

    from vectron_p2p.observability.meter import Meter
    from vectron_p2p.runtime import Clock, Usage

LARGEST = frozenset({"loop_lag_ms", "search_p50_ms", "search_p95_ms", "search_p99_ms"})
"""Figures whose mean says nothing: of a longer span their largest is kept."""

LEAST_S = 0.2  # between samples: rates over less are noise (after a pause of the process, two come close together)


@dataclass(frozen=True, slots=True)
class Bytes:
    """Bytes since the start."""

    client_in: int
    client_out: int
    peer_in: int
    peer_out: int


@dataclass(frozen=True, slots=True)
class _Totals:
    at: float
    cpu_s: float
    transferred: Bytes
    requests: int
    errors: int


class Sampler:
    """Of one node."""

    def __init__(
        self,
        clock: Clock,
        usage: Usage,
        meter: Meter,
        *,
        transferred: Callable[[], Bytes],
        points: Callable[[], int],
        disk_used: Callable[[], int],
    ) -> None:
        self._clock = clock
        self._usage = usage
        self._meter = meter
        self._transferred = transferred
        self._points = points
        self._disk_used = disk_used
        self._started = clock.wall() - clock.now()  # a step of the wall clock later on tears no hole into the history
        self._last: _Totals | None = None
        self.cpu_percent = 0.0
        self.rates = NetworkStatistics()
        self.history = Rings({name: name in LARGEST for name in FIGURES})

    def run_once(self, lag: float) -> None:
        """Takes a sample; `lag`: the loop's largest of the second."""
        now, totals = self._clock.now(), self._totals()
        last = self._last
        if last is None:
            self._last = totals
            return
        seconds = totals.at - last.at
        if seconds < LEAST_S:
            return
        self._last = totals
        sent, before = totals.transferred, last.transferred
        self.cpu_percent = 100 * (totals.cpu_s - last.cpu_s) / seconds
        self.rates = NetworkStatistics(
            client_in_per_s=(sent.client_in - before.client_in) / seconds,
            client_out_per_s=(sent.client_out - before.client_out) / seconds,
            peer_in_per_s=(sent.peer_in - before.peer_in) / seconds,
            peer_out_per_s=(sent.peer_out - before.peer_out) / seconds,
            client_in_bytes=sent.client_in,
            client_out_bytes=sent.client_out,
            peer_in_bytes=sent.peer_in,
            peer_out_bytes=sent.peer_out,
        )
        p50, p95, p99 = self._meter.operation(CLIENT, "search").window(now, 60).histogram.quantiles(0.5, 0.95, 0.99)
        self.history.add(
            self._started + now,
            {
                "cpu_percent": self.cpu_percent,
                "rss_bytes": self._usage.rss_bytes(),
                "loop_lag_ms": lag * 1000,
                "disk_used_bytes": self._disk_used(),
                "net_in_per_s": self.rates.client_in_per_s + self.rates.peer_in_per_s,
                "net_out_per_s": self.rates.client_out_per_s + self.rates.peer_out_per_s,
                "requests_per_s": (totals.requests - last.requests) / seconds,
                "errors_per_s": (totals.errors - last.errors) / seconds,
                "search_p50_ms": p50 * 1000,
                "search_p95_ms": p95 * 1000,
                "search_p99_ms": p99 * 1000,
                "points": self._points(),
            },
        )

    def _totals(self) -> _Totals:
        requests, errors = self._meter.totals(CLIENT)
        return _Totals(self._clock.now(), self._usage.cpu_seconds(), self._transferred(), requests, errors)
