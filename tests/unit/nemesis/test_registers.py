"""What the register clients make of answers, and what convicts a history."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest

from simulations.nemesis.registers import CALLS_PER_POINT, POINTS, Points, RegisterWorker, Seen, judge, see, write
from vectron_p2p.errors import AlreadyExists, ConsistencyError, VersionConflict
from vectron_p2p.testing.checks.linearizable import Call


class Register:
    """A collection of one point that does what it is told to: answers well, or loses answers, or forgets writes."""

    def __init__(self, *, loses: float = 0.0, forgets: float = 0.0) -> None:
        self.value: int | None = None
        self.loses, self.forgets, self.rng = loses, forgets, random.Random(5)

    def get(self, ids: list[int], *, consistency: str) -> list[Any]:
        point = SimpleNamespace(version=f"v{self.value}", payload={"n": self.value})
        return [None if self.value is None else point]

    def upsert(self, *, payloads: list[dict[str, int]], mode: str = "upsert", if_version: Any = None, **_: Any) -> None:
        if mode == "insert" and self.value is not None:
            raise AlreadyExists("there")
        if if_version is not None and if_version != f"v{self.value}":
            raise VersionConflict("other", current=f"v{self.value}")
        self._write(payloads[0]["n"])

    def delete(self, **_: Any) -> None:
        self._write(None)

    def _write(self, value: int | None) -> None:
        lost = self.rng.random() < self.loses
        if not (lost and self.rng.random() < 0.5) and self.rng.random() >= self.forgets:
            self.value = value
        if lost:
            raise ConsistencyError("unknown", acked=1)


def played(register: Register, calls: int = 60) -> RegisterWorker:
    worker = RegisterWorker(1, "127.0.0.1:1", Points(1), seed=1, pause=0.0, level="linearizable")
    for _ in range(calls):
        worker._operate(register, 7)  # type: ignore[arg-type]
    return worker


def test_a_sound_register_passes_and_one_that_forgets_is_convicted() -> None:
    assert not judge([played(Register())]).violations
    found = judge([played(Register(forgets=0.2))])
    (violation,) = found.violations
    assert (violation.kind, violation.point, len(violation.story)) == ("not linearizable", 7, 60)


def test_lost_answers_convict_nobody() -> None:
    worker = played(Register(loses=0.2))
    assert {seen.call.certain for seen in worker.seen} == {True, False}
    found = judge([worker])
    assert (found.violations, found.undecided, found.points, found.calls) == ([], 0, 1, 60)


def test_conditions_that_did_not_hold_are_answers_too() -> None:
    worker = played(Register())
    failed = [seen for seen in worker.seen if "already_exists" in seen.text or "version_conflict" in seen.text]
    assert failed
    assert all(seen.call.certain for seen in failed)
    assert not any(operation.code for operation in worker.operations)


@pytest.mark.parametrize(("stale", "convicted"), [(1, True), (2, False)])
def test_what_one_client_wrote_another_has_to_find(stale: int, convicted: bool) -> None:
    one, other = played(Register(), 0), played(Register(), 0)
    one.seen = [Seen(3, Call(0.0, 1.0, write(1)), "put 1"), Seen(3, Call(2.0, 3.0, write(2)), "put 2")]
    other.seen = [Seen(3, Call(4.0, 5.0, see(stale), looks=True), "get")]
    assert bool(judge([one, other]).violations) is convicted


def test_points_are_given_up_before_their_histories_are_too_long() -> None:
    points, rng = Points(1), random.Random(1)
    picked = [points.pick(rng) for _ in range(5_000)]
    counts = {point: picked.count(point) for point in set(picked)}
    assert max(counts.values()) == CALLS_PER_POINT
    assert len(points._calls) == POINTS
