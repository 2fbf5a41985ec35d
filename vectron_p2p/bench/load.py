"""Load generators, seen from the benchmark: processes that are ready together, start together and end with us."""

from __future__ import annotations

import contextlib
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Self

from vectron_p2p.bench.generator import GO, READY
from vectron_p2p.bench.jobs import Broken, Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vectron_p2p.bench.jobs import Job

STOP_S = 5.0  # a generator ends when its input does; one in the middle of a job is killed


class BenchFailed(Exception):
    """A measurement could not be made, so there is no figure."""


class Generators:
    """`count` processes; a job each."""

    def __init__(self, count: int) -> None:
        self._processes: list[subprocess.Popen[bytes]] = []
        for _ in range(count):
            # Its own group: Ctrl-C reaches the benchmark, which then ends them.
            self._processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "vectron_p2p.bench.generator"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    process_group=0,
                )
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for process in self._processes:
            assert process.stdin is not None
            if kind is not None:
                process.kill()
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
        for process in self._processes:
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            assert process.stdout is not None
            process.stdout.close()

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self._processes]

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        """What came of each job; at most as many as there are processes.

        Raises:
            BenchFailed: A generator or one of its operations failed: the others' figures would be of another load.
        """
        busy = self._processes[: len(jobs)]
        for process, job in zip(busy, jobs, strict=True):
            _say(process, job)
        for process in busy:
            answer = _hear(process)
            if answer != READY:
                raise BenchFailed(f"a load generator did not get ready: {answer}")
        for process in busy:
            _say(process, GO)
        outcomes = []
        for process in busy:
            answer = _hear(process)
            if not isinstance(answer, Outcome):
                raise BenchFailed(f"a load generator failed: {answer}")
            outcomes.append(answer)
        return outcomes


def _say(process: subprocess.Popen[bytes], what: object) -> None:
    assert process.stdin is not None
    try:
        pickle.dump(what, process.stdin)
        process.stdin.flush()
    except BrokenPipeError:
        raise BenchFailed(f"a load generator ended with {process.wait()}") from None


def _hear(process: subprocess.Popen[bytes]) -> Any:
    assert process.stdout is not None
    try:
        answer = pickle.load(process.stdout)
    except EOFError:
        raise BenchFailed(f"a load generator ended with {process.wait()}") from None
    return answer.text if isinstance(answer, Broken) else answer
