"""What the measuring programs share besides processes: data sets, percentiles, reports."""

from __future__ import annotations

import gzip
import json
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vectron_p2p.sample import load_sample

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from vectron_p2p.client import Collection

BATCH = 1000


@dataclass(frozen=True, slots=True)
class Data:
    """Row i of `vectors` belongs to `ids[i]` and `payloads[i]`; `truth` are row numbers per query, best first."""

    name: str
    vectors: npt.NDArray[np.float32]
    ids: list[int | str]
    payloads: list[dict[str, Any]]
    queries: npt.NDArray[np.float32]
    truth: npt.NDArray[np.int32] | None

    @property
    def dimension(self) -> int:
        return int(self.vectors.shape[1])


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout instead of lines")
    parser.add_argument("--keep", action="store_true", help="keep the nodes' folder, and say where it is")


def add_data_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("data set (default: the sample shipped with the package)")
    group.add_argument("--vectors", type=Path, help="float array [n, d] (.npy)")
    group.add_argument(
        "--payloads", type=Path, help="a JSON object per row (.jsonl[.gz]); its `id` is used, else the row number"
    )
    group.add_argument("--queries", type=Path, help="float array [q, d] (.npy)")
    group.add_argument("--truth", type=Path, help="int array [q, >= 10] of row numbers (.npy)")
    group.add_argument("--points", type=int, help="use only the first POINTS rows; the truth is then computed")


def first_rows(data: Data, count: int | None) -> Data:
    """The first `count` rows, without truth; all of it when there are no more, or `count` is None."""
    if count is None or count >= len(data.vectors):
        return data
    return Data(data.name, data.vectors[:count], data.ids[:count], data.payloads[:count], data.queries, None)


def sample_data(count: int | None = None) -> Data:
    """The shipped sample, or its first `count` rows."""
    sample = load_sample()
    data = Data("sample", sample.vectors, list(sample.ids), sample.payloads, sample.queries, sample.truth)
    return first_rows(data, count)


def load_data(options: argparse.Namespace) -> Data:
    """The data set the arguments name."""
    if options.vectors is None:
        if options.payloads or options.queries or options.truth:
            raise SystemExit("--payloads, --queries and --truth need --vectors")
        return sample_data(options.points)
    if options.queries is None:
        raise SystemExit("--vectors needs --queries")
    vectors = np.ascontiguousarray(np.load(options.vectors), dtype=np.float32)
    payloads: list[dict[str, Any]] = [{} for _ in vectors]
    if options.payloads is not None:
        raw = options.payloads.read_bytes()
        text = (gzip.decompress(raw) if options.payloads.suffix == ".gz" else raw).decode()
        payloads = [json.loads(line) for line in text.splitlines()]
    if len(payloads) != len(vectors):
        raise SystemExit(f"{len(payloads)} payloads for {len(vectors)} vectors")
    queries = np.ascontiguousarray(np.load(options.queries), dtype=np.float32)
    truth = None if options.truth is None else np.load(options.truth).astype(np.int32)
    ids = [payload.get("id", row) for row, payload in enumerate(payloads)]
    data = Data(options.vectors.name, vectors, ids, payloads, queries, truth)
    return first_rows(data, options.points)


def exact_neighbours(data: Data, k: int) -> npt.NDArray[np.int32]:
    """The truth given, or exact cosine neighbours in double precision."""
    if data.truth is not None and data.truth.shape[1] >= k:
        return data.truth[:, :k]
    rows = data.vectors.astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    queries = data.queries.astype(np.float64)
    found = [np.argsort(-(block @ rows.T), axis=1, kind="stable")[:, :k] for block in np.array_split(queries, 20)]
    return np.concatenate(found).astype(np.int32)


def batches(count: int, size: int = BATCH) -> Iterator[slice]:
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def load_collection(collection: Collection, data: Data) -> None:
    """All of `data`, in batches at quorum."""
    for rows in batches(len(data.vectors)):
        collection.upsert(ids=data.ids[rows], vectors=data.vectors[rows], payloads=data.payloads[rows])


def percentile(values: Sequence[float], percent: float) -> float:
    """Nearest rank; nan of nothing."""
    return float(np.percentile(values, percent, method="higher")) if len(values) else float("nan")


def summary_ms(seconds: Sequence[float]) -> dict[str, float]:
    """p50, p99 and max in milliseconds."""
    return {
        "p50_ms": round(percentile(seconds, 50) * 1000, 2),
        "p99_ms": round(percentile(seconds, 99) * 1000, 2),
        "max_ms": round(percentile(seconds, 100) * 1000, 2),
    }


def machine() -> dict[str, Any]:
    return {"python": platform.python_version(), "machine": platform.machine(), "cpus": os.cpu_count()}


def say(text: str) -> None:
    """Progress, on stderr: stdout is for the result."""
    print(text, file=sys.stderr, flush=True)


def finish(options: argparse.Namespace, result: dict[str, Any], failures: list[str]) -> int:
    """Print the result and what fell short; the exit code."""
    document = {**result, "machine": machine(), "passed": not failures, "failures": failures}
    if options.json:
        print(json.dumps(document, indent=2, default=str))
    else:
        for key, value in document.items():
            if key not in {"passed", "failures"}:
                print(f"{key:>24}: {value}")
        for failure in failures:
            print(f"FELL SHORT: {failure}")
        print("passed" if not failures else "failed")
    return 1 if failures else 0
