"""The sample data shipped with the package: WordNet glosses, embedded.

8,000 synsets of WordNet 3.0 with their payloads, embedded with all-MiniLM-L6-v2 (384 dimensions, cosine), and 200
queries with their exact ten nearest neighbours. Vectors are stored as int8 with a scale each; the truth was computed on
the vectors as this loader returns them. `scripts/make_sample.py` made the files; LICENSE-WordNet.txt is their licence.

`python -m vectron_p2p.sample FOLDER` writes it out in the formats that `vectron import` reads.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

DIMENSION = 384


@dataclass(frozen=True, slots=True)
class Sample:
    """Row i of `vectors` belongs to `payloads[i]`; `truth[q]` are the rows nearest to query q by cosine, best first."""

    vectors: npt.NDArray[np.float32]
    payloads: list[dict[str, Any]]
    queries: npt.NDArray[np.float32]
    query_texts: list[str]
    truth: npt.NDArray[np.int32]

    @property
    def ids(self) -> list[str]:
        """The id of each row, as `vectron import` takes it: the payload's `id`."""
        return [payload["id"] for payload in self.payloads]


def dequantise(rows: npt.NDArray[np.int8], scales: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """int8 rows and a scale per row as float32 rows."""
    import numpy as np

    return rows.astype(np.float32) * scales[:, None]


def load_sample() -> Sample:
    """The sample, read and dequantised: about 0.1 s and 12 MB of vectors."""
    import numpy as np

    folder = files(__name__)
    with (folder / "vectors.npz").open("rb") as file, np.load(file) as arrays:
        vectors = dequantise(arrays["vectors"], arrays["vector_scales"])
        queries = dequantise(arrays["queries"], arrays["query_scales"])
        truth = arrays["truth"]
    lines = gzip.decompress((folder / "payloads.jsonl.gz").read_bytes()).decode().splitlines()
    texts = (folder / "queries.txt").read_text(encoding="utf-8").splitlines()
    return Sample(vectors, [json.loads(line) for line in lines], queries, texts, truth)


def write_sample(folder: Path) -> dict[str, Path]:
    """Write `vectors.npy`, `payloads.jsonl.gz`, `queries.npy` and `truth.npy` into `folder`; their paths by stem."""
    import numpy as np

    sample = load_sample()
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {"vectors": sample.vectors, "queries": sample.queries, "truth": sample.truth}
    paths = {name: folder / f"{name}.npy" for name in arrays}
    for name, array in arrays.items():
        np.save(paths[name], array)
    paths["payloads"] = folder / "payloads.jsonl.gz"
    paths["payloads"].write_bytes((files(__name__) / "payloads.jsonl.gz").read_bytes())
    return paths
