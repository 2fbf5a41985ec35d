"""Clients that write, delete, read and search at quorum all the while, and remember what was acknowledged.

Each client is a thread with ids of its own, one operation at a time, so what it may find is known
(`vectron_p2p.testing.ledger`). It comes back to few ids often: stale rows and deleted ones that return are found where
much was written. Invariant: everything that a client sees contrary to the ledger becomes a `Violation` with the last
operations on that point, whatever happens afterwards.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vectron_p2p import connect, errors
from vectron_p2p.testing.ledger import ABSENT, Ledger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vectron_p2p.client import Client, Collection
    from vectron_p2p.model.points import Point

COLLECTION = "nemesis"
DIMENSION = 16
IDS_PER_CLIENT = 1_000_000  # of the id space; far more than a client gets to
POINTS_PER_CLIENT = 600  # each is then touched about once a minute in a run of half an hour
RECENT = 40  # half of what is read was touched within this many touches: where staleness would show
DELETES, READS, SEARCHES = 0.2, 0.3, 0.1  # shares of the operations; the rest are upserts
NEW = 0.3  # share of upserts that begin with new ids, while there are fewer than POINTS_PER_CLIENT
MAX_BATCH = 4
CONNECTIONS = 3  # of a client: what one node acknowledged to it is mostly read from another
IMPATIENT, IMPATIENT_S = 0.3, 1.0
"""Share of the connections whose calls are given up after a second: what they leave under way must not come to pass
after what the client does next."""
TERM = 20  # operations after which one of them is closed and made anew: else all come to rest at the nodes that stay up
REMEMBERED = 24  # operations per point: the story behind a violation


class Operation(NamedTuple):
    """One call of a client; times are those of `time.monotonic`."""

    began: float
    ended: float
    kind: str
    code: str
    """Of the error; empty: it succeeded."""
    patient: bool = True
    """Whether the client waited as long as the cluster may need; one that gives up early proves nothing about it."""


class Touch(NamedTuple):
    """What one operation meant for one point."""

    began: float
    ended: float
    what: str


@dataclass(frozen=True, slots=True)
class Violation:
    """`kind`: lost, resurrected, stale, mixed, or not linearizable."""

    kind: str
    point: int
    at: float
    text: str
    story: tuple[Touch, ...]


def vector_of(number: int) -> Any:
    """The vector of write `number`: a row that mixes two writes is found by it."""
    return np.random.default_rng(number).standard_normal(DIMENSION).astype(np.float32)


def state_of(point: Point | None) -> int:
    """The state of a point, as the ledger counts."""
    return ABSENT if point is None or point.payload is None else int(point.payload["n"])


class Book:
    """The ledger of one client, the stories of its points, and the violations that it saw."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.violations: list[Violation] = []
        self._stories: dict[int, deque[Touch]] = {}

    def touch(self, points: Sequence[int], began: float, ended: float, what: str) -> None:
        for point in points:
            self._stories.setdefault(point, deque(maxlen=REMEMBERED)).append(Touch(began, ended, what))

    def may_be(self, point: int, state: int) -> bool:
        entry = self.ledger.points.get(point)
        if entry is None:
            return state == ABSENT
        return state == entry.settled or any(attempt.state == state for attempt in entry.possible)

    def settled(self, point: int) -> int | None:
        """The one state that it can have; None: there are several."""
        entry = self.ledger.points.get(point)
        if entry is None:
            return ABSENT
        return entry.settled if all(attempt.state == entry.settled for attempt in entry.possible) else None

    def saw(self, point: int, state: int, where: str, *, final: bool = False) -> None:
        """A quorum read, or the disk of all replicas, has `state`."""
        if not self.may_be(point, state):
            self._violated(point, state, where, final=final)
        self.ledger.saw(point, state, where)

    def found(self, point: int, state: int, where: str) -> None:
        """As `saw`, by a search, after which the state need not stay."""
        if not self.may_be(point, state):
            self._violated(point, state, where, final=False)

    def mixed(self, point: int, where: str) -> None:
        self._add("mixed", point, f"{where}: the payload of one write with the vector of another")

    def _violated(self, point: int, state: int, where: str, *, final: bool) -> None:
        settled = self.ledger.points[point].settled if point in self.ledger.points else ABSENT
        if settled == ABSENT:
            kind = "resurrected"
        else:
            kind = "lost" if final else "stale"
        possible = [attempt.state for attempt in self.ledger.points[point].possible] if settled != ABSENT else []
        self._add(kind, point, f"{where}: reads {_word(state)}, acknowledged {_word(settled)}, possible {possible}")

    def _add(self, kind: str, point: int, text: str) -> None:
        story = tuple(self._stories.get(point, ()))
        self.violations.append(Violation(kind, point, time.monotonic(), text, story))


def _word(state: int) -> str:
    return "none" if state == ABSENT else f"#{state}"


class Worker(threading.Thread):
    """One client. `stop` and join, then its figures are complete."""

    def __init__(self, number: int, seeds: str, *, seed: int, pause: float) -> None:
        super().__init__(daemon=True, name=f"client-{number}")
        self._number = number
        self._seeds = seeds
        self._pause = pause
        self._connected: list[tuple[Client, bool]] = []
        self._patient = True
        self._rng = random.Random(f"client {seed} {number}")
        self._writes = 0
        self._recent: deque[int] = deque(maxlen=RECENT)
        self._halt = threading.Event()
        self.points: list[int] = []
        self.book = Book()
        self.operations: list[Operation] = []
        self.searched = 0
        """Searches for a point that was certainly there."""
        self.missed = 0
        """Of these, those that did not find it."""
        self.crash: BaseException | None = None

    def stop(self) -> None:
        self._halt.set()

    def run(self) -> None:
        try:
            while not self._halt.wait(self._pause * self._rng.uniform(0.5, 1.5)):
                self._operate(self._collection())
        except BaseException as error:  # kept for the report: a client that died silently would make the run look clean
            self.crash = error
        finally:
            for db, _ in self._connected:
                db.close()

    def _collection(self) -> Collection:
        """Through one of several connections, each to a node of its own choice. A client stays with the node that
        answers it; what it wrote there it would also read there, and a cluster that loses quorums would look sound.
        """
        if len(self._connected) == CONNECTIONS and self._rng.random() < 1 / TERM:
            self._connected.pop(0)[0].close()
        if len(self._connected) < CONNECTIONS:
            patient = self._rng.random() >= IMPATIENT
            db = connect(self._seeds) if patient else connect(self._seeds, timeout=IMPATIENT_S)
            self._connected.append((db, patient))
        db, self._patient = self._rng.choice(self._connected)
        return db.collection(COLLECTION)

    def _ended(self, began: float, ended: float, kind: str, code: str) -> None:
        self.operations.append(Operation(began, ended, kind, code, self._patient))

    def _operate(self, collection: Collection) -> None:
        drawn = self._rng.random()
        if self.points and drawn < READS:
            self._read(collection)
        elif self.points and drawn < READS + SEARCHES:
            self._search(collection)
        elif self.points and drawn < READS + SEARCHES + DELETES:
            self._write(collection, self._pick(), delete=True)
        elif len(self.points) < POINTS_PER_CLIENT and (not self.points or self._rng.random() < NEW):
            first = self._number * IDS_PER_CLIENT + len(self.points)
            new = list(range(first, first + self._rng.randint(1, MAX_BATCH)))
            self.points += new
            self._write(collection, new, delete=False)
        else:
            self._write(collection, self._pick(), delete=False)

    def _pick(self) -> list[int]:
        pool = self._recent if self._rng.random() < 0.5 and self._recent else self.points
        return sorted({self._rng.choice(pool) for _ in range(self._rng.randint(1, MAX_BATCH))})

    def _write(self, collection: Collection, ids: list[int], *, delete: bool) -> None:
        self._writes += 1
        number = self._writes * 1000 + self._number  # unique over all clients
        state, ledger = (ABSENT if delete else number), self.book.ledger
        for point in ids:
            ledger.begin(point, state)
        self._recent.extend(ids)
        began = time.monotonic()
        code = ""
        try:
            if delete:
                collection.delete(ids=ids, consistency="quorum")
            else:
                vectors = np.stack([vector_of(number)] * len(ids))
                payload = {"n": number, "client": self._number}
                collection.upsert(ids=ids, vectors=vectors, payloads=[payload] * len(ids), consistency="quorum")
        except errors.VectronError as error:
            code = error.code
        ended = time.monotonic()
        for point in ids:
            if code:
                ledger.unknown(point, state, ended)
            else:
                ledger.acknowledge(point, state, began, ended)
        kind = "delete" if delete else "upsert"
        self._ended(began, ended, kind, code)
        self.book.touch(ids, began, ended, f"{kind} #{number} {code or 'acknowledged'}")

    def _read(self, collection: Collection) -> None:
        ids = self._pick()
        began = time.monotonic()
        try:
            points = collection.get(ids, with_vector=True, consistency="quorum")
        except errors.VectronError as error:
            self._ended(began, time.monotonic(), "get", error.code)
            return
        ended = time.monotonic()
        self._ended(began, ended, "get", "")
        for point_id, point in zip(ids, points, strict=True):
            state = state_of(point)
            self.book.touch([point_id], began, ended, f"get {_word(state)}")
            self.book.saw(point_id, state, "read")
            if point is not None and point.vector is not None and not np.array_equal(point.vector, vector_of(state)):
                self.book.mixed(point_id, "read")

    def _search(self, collection: Collection) -> None:
        target = self._rng.choice(self._recent)
        expected = self.book.settled(target)
        query = vector_of(expected if expected is not None and expected != ABSENT else target)
        began = time.monotonic()
        try:
            result = collection.search(query, k=10, filter={"client": self._number}, consistency="quorum")
        except errors.VectronError as error:
            self._ended(began, time.monotonic(), "search", error.code)
            return
        ended = time.monotonic()
        self._ended(began, ended, "search", "partial" if result.partial else "")
        hits = {hit.id: hit for hit in result.hits}
        for hit in hits.values():
            point_id, state = int(hit.id), int((hit.payload or {})["n"])
            self.book.touch([point_id], began, ended, f"search {_word(state)}")
            self.book.found(point_id, state, "search")
        if expected not in (None, ABSENT) and not result.partial:
            self.searched += 1
            if target not in hits:
                self.missed += 1
