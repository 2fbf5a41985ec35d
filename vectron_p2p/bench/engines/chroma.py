"""Chroma as its users run it: a server (`chroma run`) in a process of its own, reached with its HTTP client.

The server's folder, port and log are ours; its telemetry is off.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from vectron_p2p.bench.engines.engine import values_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vectron_p2p.bench.data import Matrix
    from vectron_p2p.bench.engines.engine import Shape
    from vectron_p2p.bench.jobs import Ask

START_S = 40.0  # importing chromadb and migrating an empty folder take about three seconds
STOP_S = 10.0  # a server that is told to end and does not is killed
LOOK = 0.1  # seconds between looks at a server that starts
NAME = "bench"
DEFAULT_EF = 100  # what a collection has when nothing is said
INSERT_BATCH = 5000  # near the most that the server takes (5,461): its own guides advise large batches
SERVE = "from chromadb.cli.cli import app; app()"  # what the script `chroma` runs, found wherever the package is


class Chroma:
    insert_batch = INSERT_BATCH

    def __init__(self, folder: Path, shape: Shape) -> None:
        os.environ["ANONYMIZED_TELEMETRY"] = "False"  # of the server, which inherits it
        import chromadb
        from chromadb.config import Settings

        def connect(port: int) -> Any:
            return chromadb.HttpClient("127.0.0.1", port, settings=Settings(anonymized_telemetry=False))

        self._connect = connect
        self._folder = folder
        self._server: subprocess.Popen[bytes] | None = None
        self._ef = DEFAULT_EF
        self._start()
        try:
            hnsw = {"space": "cosine", "max_neighbors": shape.m, "ef_construction": shape.ef_construction}
            self._collection = self._client.create_collection(
                NAME, configuration={"hnsw": hnsw | {"ef_search": self._ef}}, embedding_function=None
            )
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        arguments = ["run", "--path", str(self._folder / "data"), "--host", "127.0.0.1", "--port", str(port)]
        log = self._folder / "server.log"
        with log.open("wb") as into:
            self._server = subprocess.Popen(
                [sys.executable, "-c", SERVE, *arguments],
                stdin=subprocess.DEVNULL, stdout=into, stderr=into, cwd=self._folder,
            )  # fmt: skip
        until = time.monotonic() + START_S
        while True:
            try:
                self._client = self._connect(port)  # asks the server for its tenant
            except Exception as error:
                code = self._server.poll()
                if code is not None or time.monotonic() > until:
                    self.close()
                    why = f"ended with {code}" if code is not None else f"did not answer in {START_S:.0f} s ({error})"
                    words = log.read_text(encoding="utf-8", errors="replace")[-500:].strip()
                    raise RuntimeError(f"its server {why}: {words}") from None
                time.sleep(LOOK)
            else:
                return

    @property
    def server(self) -> int | None:
        return self._server.pid if self._server is not None else None

    def insert(self, first: int, vectors: Matrix, payloads: list[dict[str, Any]]) -> None:
        ids = [str(row) for row in range(first, first + len(vectors))]
        self._collection.add(ids=ids, embeddings=vectors, metadatas=[metadata(payload) for payload in payloads])

    def index(self) -> None:
        """Nothing to wait for: a point is in the graph before it is acknowledged."""

    def single(self, ask: Ask) -> Callable[[Any], list[int]]:
        batch = self.batch(ask)
        return lambda vector: batch(vector[None])[0]

    def batch(self, ask: Ask) -> Callable[[Matrix], list[list[int]]]:
        self._use(ask.ef)
        keywords: dict[str, Any] = {"n_results": ask.k, "include": []}
        if ask.filter is not None:
            keywords["where"] = where(ask.filter)

        def search(vectors: Matrix) -> list[list[int]]:
            found = self._collection.query(query_embeddings=vectors, **keywords)
            return [[int(each) for each in ids] for ids in found["ids"]]

        return search

    def _use(self, ef: int) -> None:
        """A graph has the `ef_search` with which it was read from the disk, so another one needs another start."""
        if ef != self._ef:
            self._collection.modify(configuration={"hnsw": {"ef_search": ef}})
            self.close()
            self._start()
            self._collection = self._client.get_collection(NAME, embedding_function=None)
            self._ef = ef

    def close(self) -> None:
        if self._server is None:
            return
        self._server.terminate()
        try:
            self._server.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()


def metadata(payload: dict[str, Any]) -> dict[str, Any] | None:
    """Scalars as they are, all else as JSON text; None of nothing, as empty metadata are refused."""
    plain = {name: value if _scalar(value) else json.dumps(value) for name, value in payload.items()}
    return plain or None


def _scalar(value: Any) -> bool:
    return isinstance(value, (str, int, float))


def where(condition: dict[str, Any]) -> dict[str, Any]:
    name, values = values_of(condition)
    return {name: {"$in": values}} if len(values) > 1 else {name: values[0]}
