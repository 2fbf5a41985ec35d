"""The shipped sample is whole, and its truth is exact for the vectors that the loader returns."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from vectron_p2p.model.ids import check_point_id
from vectron_p2p.model.points import pack_payload
from vectron_p2p.sample import DIMENSION, Sample, load_sample, write_sample


@pytest.fixture(scope="module")
def sample() -> Sample:
    return load_sample()


def test_shapes_and_types(sample: Sample) -> None:
    assert 8000 <= len(sample.vectors) <= 10_000
    assert sample.vectors.shape == (len(sample.payloads), DIMENSION)
    assert sample.queries.shape == (len(sample.query_texts), DIMENSION)
    assert sample.truth.shape == (len(sample.queries), 10)
    assert sample.vectors.dtype == sample.queries.dtype == np.dtype(np.float32)
    assert sample.truth.dtype == np.dtype(np.int32)
    assert np.isfinite(sample.vectors).all()
    assert (
        np.linalg.norm(sample.vectors, axis=1).min() > 0.9
    )  # unit length but for the quantisation: cosine never sees zero


def test_truth_is_exact(sample: Sample) -> None:
    rows = sample.vectors.astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    scores = sample.queries.astype(np.float64) @ rows.T
    for query, truth in enumerate(sample.truth):
        assert len(set(truth.tolist())) == 10
        tenth = np.partition(scores[query], -10)[-10]
        assert scores[query][truth].min() >= tenth - 1e-9
        assert (np.diff(scores[query][truth]) <= 1e-9).all()


def test_payloads_are_admissible(sample: Sample) -> None:
    assert len(set(sample.ids)) == len(sample.ids)
    for payload in sample.payloads:
        check_point_id(payload["id"])
        pack_payload(payload)
    assert {payload["pos"] for payload in sample.payloads} == {"noun", "verb", "adj", "adv"}


def test_it_stays_small_and_carries_its_licence() -> None:
    folder = files("vectron_p2p.sample")
    size = sum(len(path.read_bytes()) for path in folder.iterdir() if path.is_file())
    assert size <= 5_000_000
    text = (folder / "LICENSE-WordNet.txt").read_text(encoding="utf-8")
    assert "WordNet 3.0 Copyright 2006 by Princeton University" in text
    assert "LICENSEE agrees to preserve same" in text


def test_written_files_hold_the_same(sample: Sample, tmp_path: Path) -> None:
    paths = write_sample(tmp_path / "new")
    assert np.array_equal(np.load(paths["vectors"]), sample.vectors)
    assert np.array_equal(np.load(paths["truth"]), sample.truth)
    with gzip.open(paths["payloads"], "rt", encoding="utf-8") as file:
        assert [json.loads(line) for line in file] == sample.payloads


def test_importing_the_package_loads_no_numpy() -> None:
    code = "import sys, vectron_p2p.sample; sys.exit('numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])
