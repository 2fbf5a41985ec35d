"""How long a peer takes to answer: smoothed mean and deviation of its round trips (Jacobson 1988; RFC 6298).

`timeout` is what a call takes at most as a rule: mean + 4 deviations, about the 98th percentile of an exponential
distribution. It says when an answer is late, never that a call has failed. A call that was given up is known to take
longer than it was waited for: that raises the estimate and never lowers it, so that a peer whose answers are always
overtaken by another's does not keep the reputation of its better days.
"""

from __future__ import annotations

GAIN = 1 / 8  # of a sample for the mean, RFC 6298
DEVIATION_GAIN = 1 / 4
DEVIATIONS = 4


class RoundTrip:
    """Of one kind of call to one peer."""

    __slots__ = ("deviation", "mean", "samples")

    def __init__(self) -> None:
        self.mean = 0.0
        self.deviation = 0.0
        self.samples = 0

    @property
    def timeout(self) -> float:
        """Seconds; 0 before the first sample."""
        return self.mean + DEVIATIONS * self.deviation

    def took(self, seconds: float) -> None:
        """An answer came after so long."""
        if not self.samples:
            self.mean, self.deviation = seconds, seconds / 2
        else:
            self.deviation += DEVIATION_GAIN * (abs(self.mean - seconds) - self.deviation)
            self.mean += GAIN * (seconds - self.mean)
        self.samples += 1

    def took_longer(self, seconds: float) -> None:
        """No answer had come when it was given up after so long."""
        if seconds > self.mean:
            self.took(seconds)
