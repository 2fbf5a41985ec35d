"""The process of one engine: `python -m vectron_p2p.bench.engines.child`.

It does what it is told, one order after another, in pickles over stdin and stdout, until its input ends; then it closes
the engine and what that started. An engine that crashes takes only this process with it.
"""

from __future__ import annotations

import os
import pickle
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from vectron_p2p.bench.engines.orders import Batch, Index, Insert, Memory, Open
from vectron_p2p.bench.jobs import Broken, Outcome
from vectron_p2p.bench.memory import memory_of
from vectron_p2p.bench.searches import Searches

if TYPE_CHECKING:
    from collections.abc import Callable

    from vectron_p2p.bench.engines.engine import Engine
    from vectron_p2p.bench.engines.orders import Order, Window
    from vectron_p2p.bench.searches import Search


class _Host:
    def __init__(self) -> None:
        self._engine: Engine | None = None
        self._before: dict[str, int] = {}

    def obey(self, order: Order) -> object:
        if isinstance(order, Open):
            self._before = memory_of(os.getpid())
            self._engine = order.known.make(Path(order.folder), order.shape)
            return self._engine.insert_batch
        engine = self._engine
        if engine is None:
            raise RuntimeError("no engine is open")
        if isinstance(order, Insert):
            return _timed(lambda: engine.insert(order.first, order.vectors, order.payloads))
        if isinstance(order, Index):
            return _timed(engine.index)
        if isinstance(order, Memory):
            if engine.server is not None:
                return memory_of(engine.server)
            return {name: size - self._before[name] for name, size in memory_of(os.getpid()).items()}
        return _batch(engine, order) if isinstance(order, Batch) else _window(engine, order)

    def close(self) -> None:
        if self._engine is not None:
            self._engine.close()


def _timed(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _batch(engine: Engine, order: Batch) -> Outcome | None:
    search = engine.batch(order.ask)
    if search is None:
        return None
    vectors = order.queries.matrix(order.warm + order.count)
    search(vectors[: order.warm])
    started = time.perf_counter()
    found = search(vectors[order.warm :])
    outcome = Outcome(seconds=time.perf_counter() - started, done=len(found), turns=len(vectors))
    if len(found) != order.count:
        raise RuntimeError(f"{len(found)} answers to {order.count} queries")
    for turn, rows in enumerate(found, order.warm):
        outcome.found.append((order.queries.number(turn), list(rows)))
    return outcome


def _window(engine: Engine, order: Window) -> Outcome:
    single = engine.single(order.ask)

    def asking() -> nullcontext[Search[list[int]]]:
        return nullcontext(single)

    def read(found: list[int]) -> tuple[list[int | str], bool]:
        return list(found), False

    return Searches(order.queries, order.clients, order.seconds, order.warm, asking, read).run(lambda: None)


def main(source: BinaryIO, sink: BinaryIO) -> None:
    host = _Host()
    try:
        while True:
            try:
                order = pickle.load(source)
            except EOFError:
                return
            try:
                answer = host.obey(order)
            except Exception as error:
                answer = Broken(f"{type(error).__name__}: {error}")
            pickle.dump(answer, sink)
            sink.flush()
    finally:
        host.close()


if __name__ == "__main__":
    # Nothing else may come between the pickles, from native code neither: the engine's own output goes to stderr.
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    main(sys.stdin.buffer, pipe)
