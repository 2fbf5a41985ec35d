"""Token buckets: so much a second, and a second's worth at once.

Who takes more than a bucket holds waits until it is full and leaves it in debt, so that a large request is possible
and pays for itself. Invariant: over any span of T seconds a bucket gives at most rate x (T + 1 s) and one request more.
"""

from __future__ import annotations

from typing import Generic, TypeVar

K = TypeVar("K")

BURST_S = 1.0  # seconds of the rate that may come at once: clients send in bursts of a page or a batch
SWEEP_AT = 1024  # buckets before those that are full, and so as good as new, are looked for


class TokenBucket:
    """Full at first; `rate` tokens a second."""

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate: float, now: float) -> None:
        self._rate = rate
        self._burst = max(rate * BURST_S, 1.0)
        self._tokens = self._burst
        self._at = now

    def wait(self, cost: float, now: float) -> float:
        """Seconds until `cost` may be taken; 0: now."""
        return max(0.0, min(cost, self._burst) - self._held(now)) / self._rate

    def take(self, cost: float, now: float) -> None:
        """Ask `wait` before."""
        self._tokens = self._held(now) - cost
        self._at = now

    def full(self, now: float) -> bool:
        return self._held(now) >= self._burst

    def _held(self, now: float) -> float:
        return min(self._burst, self._tokens + self._rate * (now - self._at))


class TokenBuckets(Generic[K]):
    """A bucket for each of many, of equal rate; who is away for long enough is forgotten without loss."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._buckets: dict[K, TokenBucket] = {}
        self._sweep_at = SWEEP_AT

    def __len__(self) -> int:
        return len(self._buckets)

    def of(self, key: K, now: float) -> TokenBucket:
        found = self._buckets.get(key)
        if found is None:
            if len(self._buckets) >= self._sweep_at:
                self._buckets = {key: bucket for key, bucket in self._buckets.items() if not bucket.full(now)}
                self._sweep_at = max(SWEEP_AT, 2 * len(self._buckets))
            found = self._buckets[key] = TokenBucket(self._rate, now)
        return found
