"""Cut the sample of vectron_p2p/sample out of a larger data set.

Rows and queries are drawn with a seed and quantised to int8 with a scale per row. The truth is computed by exact cosine
search over the dequantised rows: it is exact for what `load_sample` returns.

    make_sample.py --vectors base.npy --payloads payloads.jsonl.gz --queries queries.npy --query-texts queries.txt.gz
"""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vectron_p2p.sample import dequantise

NEIGHBOURS = 10


def quantise(rows: npt.NDArray[Any]) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """float rows as int8 and a scale per row (largest component = 127)."""
    rows = rows.astype(np.float32)
    scales = (np.abs(rows).max(axis=1) / 127).astype(np.float32)
    return np.rint(rows / scales[:, None]).astype(np.int8), scales


def nearest(queries: npt.NDArray[np.float32], rows: npt.NDArray[np.float32]) -> npt.NDArray[np.int32]:
    """Exact cosine neighbours, in double precision, best first; equal scores by row."""

    def unit(array: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        wide: npt.NDArray[np.float64] = array.astype(np.float64)
        wide /= np.linalg.norm(wide, axis=1, keepdims=True)
        return wide

    scores = unit(queries) @ unit(rows).T
    return np.argsort(-scores, axis=1, kind="stable")[:, :NEIGHBOURS].astype(np.int32)


def read_lines(path: Path) -> list[str]:
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode().splitlines()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=Path, required=True, help="float array [n, d] (.npy)")
    parser.add_argument(
        "--payloads", type=Path, required=True, help="a JSON object per row, with a unique `id` (.jsonl[.gz])"
    )
    parser.add_argument("--queries", type=Path, required=True, help="float array [q, d] (.npy)")
    parser.add_argument("--query-texts", type=Path, required=True, help="a line per query (.txt[.gz])")
    parser.add_argument("--points", type=int, default=8000)
    parser.add_argument("--query-count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "vectron_p2p" / "sample")
    options = parser.parse_args()

    rng = np.random.default_rng(options.seed)
    base = np.load(options.vectors, mmap_mode="r")
    rows = np.sort(rng.choice(len(base), options.points, replace=False))
    all_queries = np.load(options.queries, mmap_mode="r")
    chosen = np.sort(rng.choice(len(all_queries), options.query_count, replace=False))
    payload_lines = read_lines(options.payloads)
    query_lines = read_lines(options.query_texts)

    vectors, vector_scales = quantise(base[rows])
    queries, query_scales = quantise(all_queries[chosen])
    truth = nearest(dequantise(queries, query_scales), dequantise(vectors, vector_scales))

    options.out.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        options.out / "vectors.npz",
        vectors=vectors,
        vector_scales=vector_scales,
        queries=queries,
        query_scales=query_scales,
        truth=truth,
    )
    payloads = "".join(json.dumps(json.loads(payload_lines[row]), ensure_ascii=False) + "\n" for row in rows)
    # mtime=0: the same input gives the same file
    (options.out / "payloads.jsonl.gz").write_bytes(gzip.compress(payloads.encode(), compresslevel=9, mtime=0))
    texts = "".join(query_lines[row] + "\n" for row in chosen)
    (options.out / "queries.txt").write_text(texts, encoding="utf-8")
    for path in sorted(options.out.iterdir()):
        if path.suffix in {".npz", ".gz", ".txt"}:
            print(f"{path.stat().st_size:>9,}  {path.name}")


if __name__ == "__main__":
    main()
