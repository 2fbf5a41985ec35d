"""When the interpreter looks for garbage: in the console's pauses.

A full collection walks over every object there is, and in a large cluster those are hundreds of thousands: 0.3 s and
more, in which no key is answered. Left to itself it comes several times a minute. Nearly all that the console drops is
freed at once by its reference count; screens that were left, and the like, can wait. So full collections happen here
alone, and only when nobody has pressed a key for a while. Collections of what is young go on by themselves, but not
while a key waits for its answer: to draw a screen makes thousands of objects, so two or three would fall into it, a
fifth of its time.
"""

from __future__ import annotations

import gc
import math

QUIET_S = 3.0  # since the last key: longer than a pause between words
EVERY_S = 300.0  # a collection takes 0.2 % of the time then
NEVER = 1_000_000  # times that young objects are looked through before old ones are: years
YOUNG = 1_000  # objects made before young ones are looked through
TIMES = 5  # before those that outlived it are, once: 5,000 objects are 2 ms


class Garbage:
    """Of a process that runs one console."""

    def __init__(self, now: float) -> None:
        self._before: tuple[int, int, int] | None = None
        self._key_at = -math.inf
        self._collected_at = now
        self._waiting = 0
        """Keys that may not be answered yet."""

    def take_over(self) -> None:
        self._before = gc.get_threshold()
        gc.set_threshold(YOUNG, TIMES, NEVER)

    def give_back(self) -> None:
        if self._before is not None:
            gc.set_threshold(*self._before)
            gc.enable()

    def key(self, now: float) -> None:
        """Somebody is there. `answered` has to follow."""
        self._key_at = now
        self._waiting += 1
        gc.disable()

    def answered(self) -> None:
        """A key has had its time."""
        self._waiting -= 1
        if not self._waiting:
            gc.enable()

    def tick(self, now: float) -> bool:
        """Collects, if it is time; whether it did."""
        if now - self._collected_at < EVERY_S or now - self._key_at < QUIET_S:
            return False
        self._collected_at = now
        gc.collect()
        return True
