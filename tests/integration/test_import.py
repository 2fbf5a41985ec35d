"""An import that is interrupted, killed and gone on with, against a real cluster."""

from __future__ import annotations

import json
import signal
import subprocess
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.integration.nodes import PATIENCE, PROGRAM
from vectron_p2p import connect
from vectron_p2p.testing import ProcessCluster
from vectron_p2p.testing.processes import wait_for

pytestmark = pytest.mark.processes

ROWS = 12_000
BAD = (100, ROWS - 100)


def rows_done(resume: Path) -> int:
    return json.loads(resume.read_text())["rows"] if resume.exists() else 0


def test_an_import_is_interrupted_killed_and_gone_on_with(cluster: ProcessCluster, tmp_path: Path) -> None:
    vectors = np.random.default_rng(1).normal(size=(ROWS, 8)).astype(np.float32)
    vectors[list(BAD)] = 0.0  # cosine knows no direction for these
    np.save(tmp_path / "v.npy", vectors)
    resume, rejects = tmp_path / "resume", tmp_path / "rejects.jsonl"
    words = [
        *PROGRAM, "import", "docs", "--connect", cluster.connect, "--vectors", str(tmp_path / "v.npy"), "--batch", "5",
        "--parallel", "1", "--resume", str(resume), "--rejects", str(rejects), "--json",
    ]  # fmt: skip
    with connect(cluster.connect) as db:
        docs = db.create_collection("docs", dimension=8, shards=1, replicas=3)
        done = 0

        def further(than: int) -> bool | None:
            return rows_done(resume) > than or None

        for end in (signal.SIGINT, signal.SIGKILL):
            before = done
            with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
                wait_for(partial(further, done), PATIENCE, "the import to get further")
                running.send_signal(end)
                _, said = running.communicate(timeout=PATIENCE)
            done = rows_done(resume)
            assert before < done < ROWS
            if end is signal.SIGINT:
                assert running.returncode == 130
                assert f"the first {done:,} rows are done; run the same command again" in said
            assert docs.count() >= done - 1, "what is called done is written, but for the bad one"
        words[words.index("--batch") + 1] = "1000"
        last = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert last.returncode == 1, "rows were rejected"
        assert json.loads(last.stdout)["sent"] <= ROWS - done
        assert not resume.exists()
        assert docs.count() == ROWS - len(BAD)
        assert [json.loads(line)["row"] for line in rejects.read_text().splitlines()] == list(BAD)
        db.delete_collection("docs")
