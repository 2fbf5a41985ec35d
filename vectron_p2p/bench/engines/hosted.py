"""An engine as the benchmark sees it: a child process with deadlines, in a folder that is gone afterwards.

Whatever a foreign engine does (crash, hang, refuse), its user gets an answer or `EngineFailed`, and no process or file
of it is left: the child leads a process group of its own, in which its server is too, and the group is killed at the
end in all cases.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from vectron_p2p.bench.engines.orders import Batch, Index, Insert, Memory, Open, Window
from vectron_p2p.bench.jobs import Broken, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vectron_p2p.bench.data import Data
    from vectron_p2p.bench.engines.engine import Shape
    from vectron_p2p.bench.engines.orders import Order
    from vectron_p2p.bench.engines.registry import Known
    from vectron_p2p.bench.jobs import Ask
    from vectron_p2p.bench.queries import Queries

CHILD = "vectron_p2p.bench.engines.child"
PATIENCE_S = 60.0  # of any order, beside the work in it: importing an engine or starting its server takes seconds
SLOWEST_POINTS = 50  # points/s; the slowest engine known links some hundreds
SLOWEST_QUERIES = 2  # queries/s of one client; the slowest filter known answers three
STOP_S = 15.0  # from the end of its input to the end of the child: a server has 10 of them
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")  # an engine has as many threads as it likes


class EngineFailed(Exception):
    """An engine gave no answer; its process is gone or will give no other one."""


class Hosted:
    """Usable in a `with` block; after an `EngineFailed` only to be left."""

    def __init__(self, known: Known, patience: float = PATIENCE_S) -> None:
        self._known = known
        self._patience = patience
        self._folder = tempfile.TemporaryDirectory(prefix="vectron-bench-", ignore_cleanup_errors=True)
        self._errors = Path(self._folder.name) / "stderr"
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", CHILD],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, process_group=0,
                env={name: value for name, value in os.environ.items() if name not in THREADS},
            )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if kind is not None:
            self._kill()
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        with self._deadline(STOP_S):
            self._process.stdout.read()  # until it ends
        self._kill()  # what it left; it is not reaped before, so the number of its group is nobody else's
        self._process.stdout.close()
        self._process.wait()
        self._folder.cleanup()

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    @contextlib.contextmanager
    def _deadline(self, seconds: float) -> Iterator[threading.Event]:
        """Kills the child if the block takes longer, which ends any waiting for it; yields whether that was."""
        over = threading.Event()

        def end() -> None:
            over.set()
            self._kill()

        timer = threading.Timer(seconds, end)
        timer.start()
        try:
            yield over
        finally:
            timer.cancel()
            timer.join()

    def open(self, shape: Shape) -> int:
        """Points that one `insert` takes."""
        folder = Path(self._folder.name) / "engine"
        folder.mkdir()
        return int(self._ask(Open(self._known, str(folder), shape), 0.0))

    def load(self, data: Data, size: int) -> tuple[float, float]:
        """Seconds until all points were acknowledged, and until all were in the graph."""
        acked = 0.0
        for at in range(0, len(data.vectors), size):
            rows = slice(at, at + size)
            vectors = data.vectors[rows]
            acked += self._ask(Insert(at, vectors, data.payloads[rows]), len(vectors) / SLOWEST_POINTS)
        return acked, acked + self._ask(Index(), len(data.vectors) / SLOWEST_POINTS)

    def memory(self) -> dict[str, int]:
        found: dict[str, int] = self._ask(Memory(), 0.0)
        return found

    def batch(self, ask: Ask, queries: Queries, count: int, warm: int) -> Outcome | None:
        found = self._ask(Batch(ask, queries, count, warm), (count + warm) / SLOWEST_QUERIES)
        return found if isinstance(found, Outcome) else None

    def searches(self, ask: Ask, queries: Queries, clients: int, seconds: float, warm: int) -> Outcome:
        """Single searches of `clients` threads."""
        found = self._ask(Window(ask, queries, clients, seconds, warm), seconds + clients * warm / SLOWEST_QUERIES)
        assert isinstance(found, Outcome)
        return found

    def _ask(self, order: Order, work: float) -> Any:
        """The answer, within `work` seconds and what any order may take."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        allowed = work + self._patience
        with self._deadline(allowed) as over:
            try:
                pickle.dump(order, self._process.stdin)
                self._process.stdin.flush()
                answer = pickle.load(self._process.stdout)
            except (BrokenPipeError, EOFError, pickle.UnpicklingError):
                what = type(order).__name__.lower()
                if over.is_set():
                    raise EngineFailed(f"no answer to {what} within {allowed:.0f} s") from None
                raise EngineFailed(f"its process ended during {what}: {self._last_words()}") from None
        if isinstance(answer, Broken):
            raise EngineFailed(answer.text)
        return answer

    def _last_words(self) -> str:
        return self._errors.read_text(encoding="utf-8", errors="replace")[-300:].strip() or "it said nothing"
