"""The demo leaves nothing behind, even when it is interrupted half-way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

DEMO = Path(__file__).parents[2] / "scripts" / "demo.py"


@pytest.mark.processes
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 128 + signal.SIGTERM)])
def test_an_interrupted_demo_leaves_nothing_running(tmp_path: Path, number: signal.Signals, code: int) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [sys.executable, str(DEMO)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        # A shell that runs the tests in the background has them ignore SIGINT, and that is inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as demo:
        assert demo.stdout is not None
        first = demo.stdout.readline()  # the nodes are up
        nodes = psutil.Process(demo.pid).children(recursive=True)
        demo.send_signal(number)
        assert demo.wait(60) == code
    assert first.startswith(" 1. 3 nodes")
    assert len(nodes) >= 3
    _, alive = psutil.wait_procs(nodes, timeout=10)
    assert alive == []
    assert list(tmp_path.iterdir()) == []
