"""Help from the machine, and saying why there is none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulations.nemesis.means import Clocks, SlowDisk

DISK_REASON = SlowDisk.why_not(Path(__file__).parent)
CLOCK_REASON = Clocks.why_not(True)


def test_a_clock_is_only_set_when_asked_for() -> None:
    assert "--clock" in Clocks.why_not(False)


def test_a_folder_without_a_disk_says_so() -> None:
    if os.geteuid() == 0:
        assert "no block device" in SlowDisk.why_not(Path("/proc"))
    else:
        assert "root" in SlowDisk.why_not(Path("/proc"))


@pytest.mark.skipif(bool(CLOCK_REASON), reason=CLOCK_REASON or "possible")
def test_the_wall_clock_of_a_process_is_off_and_its_monotonic_one_is_not(tmp_path: Path) -> None:
    clocks = Clocks(tmp_path)
    wrap = clocks.wrap(3)
    clocks.set(3, 3600.0)
    code = "import time; print(time.time(), time.monotonic())"
    words = [
        float(word)
        for wrapped in ([], wrap)
        for word in subprocess.run(
            [*wrapped, sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
    ]
    assert 3500 < words[2] - words[0] < 3700
    assert words[3] - words[1] < 100


@pytest.mark.skipif(bool(DISK_REASON), reason=DISK_REASON or "possible")
def test_a_process_gets_a_slow_disk_and_its_own_speed_back() -> None:
    disk = SlowDisk(Path(__file__).parent)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        disk.begin(0, process.pid, 0.5)
        assert "vectron-nemesis" in Path(f"/proc/{process.pid}/cgroup").read_text()
        disk.end(0)
        assert "vectron-nemesis" not in Path(f"/proc/{process.pid}/cgroup").read_text()
        disk.end(0)
        process.communicate(b"\n")
