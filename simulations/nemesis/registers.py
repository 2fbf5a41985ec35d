"""Clients that compete for a hundred points, one register each, and the question whether what they saw is linearizable.

All clients get, write, insert, delete and compare-and-set the same points, some of them hot; every write writes a value
of its own, so that an answer says which write it saw. A point is given up for a new one after `CALLS_PER_POINT` calls:
what takes long to check is a long history. Points are checked one by one, which is enough (linearizability is local).

At consistency "one" the same clients must be convicted: else the checker would prove nothing about "linearizable".
"""

from __future__ import annotations

import random
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from simulations.nemesis.workload import COLLECTION, DIMENSION, Book, Operation, Touch, Violation
from vectron_p2p import connect, errors
from vectron_p2p.testing.checks.linearizable import Call, Undecided, linearizable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vectron_p2p.client import Client, Collection

    Value = int | None
    Step = Callable[[Value], tuple[Value] | None]

Level = Literal["one", "linearizable"]

POINTS = 100
HOT, HOT_SHARE = 6, 0.5  # so many of them get half of the calls: as many clients then meet at one point all the time
CALLS_PER_POINT = 60
CONNECTIONS = 3  # of a client: it shall not find its own writes just because it asks the same node again
GETS, WRITES, DELETES, INSERTS = 0.4, 0.2, 0.1, 0.1  # shares of the calls; the rest compare and set
REFUSED = (errors.AlreadyExists, errors.VersionConflict)
"""Conditions that did not hold; of every other error the outcome is unknown."""


def write(value: Value, *, only_over: tuple[Value] | None = None) -> Step:
    """Writes `value` whatever is there, or only over the value given."""
    return lambda state: (value,) if only_over is None or state == only_over[0] else None


def see(value: Value, *, otherwise: bool = False) -> Step:
    """Finds `value`, or (`otherwise`) anything else."""
    return lambda state: (state,) if (state == value) is not otherwise else None


class Points:
    """The points in use, shared by all clients."""

    def __init__(self, seed: int) -> None:
        self._lock = threading.Lock()
        self._rng = random.Random(f"points {seed}")
        self._calls = dict.fromkeys(range(POINTS), 0)
        self._next = POINTS

    def pick(self, rng: random.Random) -> int:
        with self._lock:
            points = list(self._calls)
            point = rng.choice(points[:HOT] if rng.random() < HOT_SHARE else points)
            self._calls[point] += 1
            if self._calls[point] >= CALLS_PER_POINT:
                del self._calls[point]
                self._calls[self._next] = 0
                self._next += 1
            return point


@dataclass(frozen=True, slots=True)
class Seen:
    """A call on one point, for the checker and for the story."""

    point: int
    call: Call[Value]
    text: str


@dataclass(slots=True)
class Histories:
    """What was found of all points."""

    points: int = 0
    calls: int = 0
    undecided: int = 0
    """Points with too many calls of unknown outcome to be judged."""
    violations: list[Violation] = field(default_factory=list)


class RegisterWorker(threading.Thread):
    """One client, one call at a time. `stop` and join, then its figures are complete."""

    def __init__(self, number: int, seeds: str, points: Points, *, seed: int, pause: float, level: Level) -> None:
        super().__init__(daemon=True, name=f"client-{number}")
        self._number = number
        self._seeds = seeds
        self._shared = points
        self._pause = pause
        self._level = level
        self._connected: list[Client] = []
        self._rng = random.Random(f"registers {seed} {number}")
        self._writes = 0
        self._versions: dict[int, tuple[str, int]] = {}  # of a point as it was last read
        self._halt = threading.Event()
        self.seen: list[Seen] = []
        self.points: list[int] = []  # with a ledger of their own: none, several clients write each
        self.book = Book()
        self.operations: list[Operation] = []
        self.searched = self.missed = 0
        self.crash: BaseException | None = None

    def stop(self) -> None:
        self._halt.set()

    def run(self) -> None:
        try:
            self._connected = [connect(self._seeds) for _ in range(CONNECTIONS)]
            while not self._halt.wait(self._pause * self._rng.uniform(0.5, 1.5)):
                db = self._rng.choice(self._connected)
                self._operate(db.collection(COLLECTION), self._shared.pick(self._rng))
        except BaseException as error:  # kept for the report: a client that died silently would make the run look clean
            self.crash = error
        finally:
            for db in self._connected:
                db.close()

    def _operate(self, collection: Collection, point: int) -> None:
        drawn = self._rng.random()
        self._writes += 1
        value = self._writes * 1000 + self._number  # unique over all clients
        if drawn < GETS:
            self._get(collection, point)
        elif drawn < GETS + WRITES:
            self._change(point, f"put #{value}", write(value), lambda: self._put(collection, point, value))
        elif drawn < GETS + WRITES + DELETES:
            self._change(point, "delete", write(None), lambda: collection.delete(ids=[point], consistency=self._level))
        elif drawn < GETS + WRITES + DELETES + INSERTS or point not in self._versions:
            send = partial(self._put_if, collection, point, value, mode="insert")
            self._change(point, f"insert #{value}", write(value, only_over=(None,)), send, see(None, otherwise=True))
        else:
            version, expected = self._versions[point]
            send = partial(self._put_if, collection, point, value, if_version=version)
            what = f"set #{expected} to #{value}"
            self._change(point, what, write(value, only_over=(expected,)), send, see(expected, otherwise=True))

    def _get(self, collection: Collection, point: int) -> None:
        began = time.monotonic()
        try:
            (found,) = collection.get([point], consistency=self._level)
        except errors.VectronError as error:
            self.operations.append(Operation(began, time.monotonic(), "get", error.code))
            return
        ended = time.monotonic()
        self.operations.append(Operation(began, ended, "get", ""))
        value = None if found is None or found.payload is None else int(found.payload["n"])
        if found is not None and value is not None:
            self._versions[point] = found.version, value
        text = f"get {'none' if value is None else f'#{value}'}"
        self.seen.append(Seen(point, Call(began, ended, see(value), looks=True), text))

    def _change(
        self, point: int, text: str, step: Step, send: Callable[[], object], refused: Step | None = None
    ) -> None:
        """A call that writes; `refused`: the step that it is when its condition did not hold."""
        began, code, certain = time.monotonic(), "", True
        try:
            send()
        except errors.VectronError as error:
            code = error.code
            if isinstance(error, REFUSED) and refused is not None:
                step = refused
            else:
                certain = False
        ended = time.monotonic()
        looks = certain and bool(code)
        self.operations.append(Operation(began, ended, text.split()[0], "" if certain else code))
        call = Call(began, ended, step, certain=certain, looks=looks)
        self.seen.append(Seen(point, call, f"{text} {code or 'done'}"))

    def _put(self, collection: Collection, point: int, value: int) -> None:
        collection.upsert(ids=[point], vectors=_vector(value), payloads=[{"n": value}], consistency=self._level)

    def _put_if(self, collection: Collection, point: int, value: int, **condition: Any) -> None:
        collection.upsert(ids=[point], vectors=_vector(value), payloads=[{"n": value}], **condition)


def _vector(value: int) -> Any:
    return np.full((1, DIMENSION), value, dtype=np.float32)


def judge(workers: Sequence[RegisterWorker]) -> Histories:
    """Check every point's history."""
    by_point: defaultdict[int, list[Seen]] = defaultdict(list)
    for worker in workers:
        for seen in worker.seen:
            by_point[seen.point].append(seen)
    found = Histories(points=len(by_point), calls=sum(map(len, by_point.values())))
    for point, history in sorted(by_point.items()):
        history.sort(key=lambda seen: seen.call.began)
        try:
            if linearizable([seen.call for seen in history], None):
                continue
        except Undecided:
            found.undecided += 1
            continue
        story = tuple(Touch(seen.call.began, seen.call.ended, seen.text) for seen in history)
        text = f"no order of these {len(history)} calls explains their answers"
        found.violations.append(Violation("not linearizable", point, history[-1].call.ended, text, story))
    return found
