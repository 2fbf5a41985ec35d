"""How many requests may be sent twice: a share of all, saved up to a few.

Without it hedging makes overload worse: when everybody is late, everything is asked twice. Requests put in `SHARE` of
a token each, a hedge takes one out (as the retry budgets of Finagle and gRPC). Invariant: hedges <= `BURST` + `SHARE`
x requests, whatever happens.
"""

from __future__ import annotations

SHARE = 0.1  # extra load in the worst case; "The Tail at Scale" pays 2-5 % for nearly all that there is to gain
BURST = 10.0  # so that a quiet coordinator can hedge the few requests it has when an owner stops


class HedgeBudget:
    """Full at first."""

    __slots__ = ("_tokens", "denied", "requests", "sent", "won")

    def __init__(self) -> None:
        self.requests = 0
        self.sent = 0
        self.won = 0
        """Hedges whose answer came first."""
        self.denied = 0
        self._tokens = BURST

    def requested(self) -> None:
        """One request, which may be hedged later."""
        self.requests += 1
        self._tokens = min(BURST, self._tokens + SHARE)

    def take(self) -> bool:
        """Whether one more may be sent now; if so, it is."""
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        self.sent += 1
        return True
