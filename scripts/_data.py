"""What the measuring programs share besides processes: arguments, data sets, percentiles, reports."""

from __future__ import annotations

import json
import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vectron_p2p.bench.data import Data, batches, exact_neighbours, load_collection, load_files, sample_data
from vectron_p2p.bench.figures import percentile
from vectron_p2p.model.errors import InvalidArgument

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = [
    "Data", "add_common_arguments", "add_data_arguments", "batches", "exact_neighbours", "finish", "load_collection",
    "load_data", "machine", "percentile", "sample_data", "say", "summary_ms",
]  # fmt: skip


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


def load_data(options: argparse.Namespace) -> Data:
    """The data set the arguments name."""
    try:
        return load_files(options.vectors, options.queries, options.truth, options.payloads, options.points)
    except InvalidArgument as error:
        raise SystemExit(error.message) from None


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
