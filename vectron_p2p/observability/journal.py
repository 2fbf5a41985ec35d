"""The last log records of one node, in memory, to be read over the network.

Pure but for a lock: threads log too. Records are kept packed, so that the bound is one of bytes. Slow requests have
room of their own: a storm of either kind leaves the other readable. Invariants: what is kept is at most `capacity` and
`slow_capacity` bytes and the newest there is; numbers rise by one per record, and a cursor of another life of the node
begins anew.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Any, NamedTuple

import msgpack

from vectron_p2p.model.logs import LEVELS, SLOW

CAPACITY = 1024 * 1024  # some 5,000 records: hours of a quiet node, minutes of a troubled one
SLOW_CAPACITY = 256 * 1024  # some 500 slow requests
OVERHEAD = 150  # bytes of a kept record besides its packed ones: its tuple, numbers and place
MAX_TEXT = 4000  # characters of one value: a traceback of some thirty lines; its end, where the error is
MAX_RECORD = 32 * 1024  # bytes; of a larger one only the event is kept
MAX_DEPTH = 4  # of lists and dicts in values; below that they are text


class _Kept(NamedTuple):
    number: int
    level: int
    trace: str
    packed: bytes


class _Ring:
    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.size = 0
        self.records: deque[_Kept] = deque()

    def add(self, kept: _Kept) -> None:
        self.records.append(kept)
        self.size += len(kept.packed) + OVERHEAD
        while self.size > self.capacity:
            self.size -= len(self.records.popleft().packed) + OVERHEAD


class Journal:
    """Args:
    level: Records below it are not kept (see `model.logs.LEVELS`).
    """

    def __init__(self, *, level: str = "info", capacity: int = CAPACITY, slow_capacity: int = SLOW_CAPACITY) -> None:
        self.level = LEVELS[level]
        self.life = ""
        """Names this run of the node in cursors."""
        self._last = 0
        self._rings = {False: _Ring(capacity), True: _Ring(slow_capacity)}
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """Bytes kept."""
        return sum(ring.size for ring in self._rings.values())

    def add(self, at: float, level: str, event: str, logger: str, trace: str, fields: dict[str, Any]) -> None:
        """Keeps a record, if its level is of interest. `at`: Unix seconds."""
        number = LEVELS[level]
        if number < self.level:
            return
        record = {"at": at, "level": level, "event": event, "logger": logger, "trace": trace}
        packed = msgpack.packb({**record, "fields": _plain(fields, 0)})
        if len(packed) > MAX_RECORD:
            packed = msgpack.packb({**record, "fields": {"cut": f"a record of {len(packed)} bytes"}})
        with self._lock:
            self._last += 1
            self._rings[event == SLOW].add(_Kept(self._last, number, trace, packed))

    def read(
        self, cursor: str, *, level: str, slow: bool, trace: str, limit: int, max_bytes: int
    ) -> tuple[list[dict[str, Any]], str]:
        """Records after `cursor` in their order, and the cursor to go on from.

        Without a cursor the newest `limit`, with one the oldest of those after it.

        Args:
            cursor: Of an earlier call; "" for none.
            level: The lowest wanted.
            slow: Slow requests only.
            trace: Only those of this trace; "" for all.
            limit: Records at most.
            max_bytes: Of packed records at most; one is given in any case.
        """
        life, _, position = cursor.partition(":")
        after = int(position) if life == self.life and position.isdecimal() else 0
        lowest = LEVELS[level]
        with self._lock:
            last = self._last
            found = [
                kept
                for only_slow, ring in self._rings.items()
                if only_slow or not slow
                for kept in ring.records
                if kept.number > after and kept.level >= lowest and (not trace or kept.trace == trace)
            ]
        found.sort(key=lambda kept: kept.number)
        chosen, cut = _within(found if cursor else found[::-1], limit, max_bytes)
        if cursor and cut:
            last = chosen[-1].number
        if not cursor:
            chosen.reverse()
        records = [{"number": kept.number, **msgpack.unpackb(kept.packed)} for kept in chosen]
        return records, f"{self.life}:{last}"


def _within(found: list[_Kept], limit: int, max_bytes: int) -> tuple[list[_Kept], bool]:
    """The first of `found` that fit, and whether some were left out."""
    chosen: list[_Kept] = []
    for kept in found:
        max_bytes -= len(kept.packed)
        if chosen and (len(chosen) >= limit or max_bytes < 0):
            return chosen, True
        chosen.append(kept)
    return chosen, False


def _plain(value: Any, depth: int) -> Any:
    """`value` as what JSON and msgpack have; all else by its text."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int) and -(2**63) <= value < 2**64:
        return int(value)
    if depth < MAX_DEPTH and isinstance(value, dict):
        return {str(key): _plain(item, depth + 1) for key, item in value.items()}
    if depth < MAX_DEPTH and isinstance(value, list | tuple | set | frozenset):
        return [_plain(item, depth + 1) for item in value]
    return str(value)[-MAX_TEXT:].encode("utf-8", "replace").decode()
