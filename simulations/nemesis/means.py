"""Faults that need help from the machine: a slow disk (a control group, root) and a wrong clock (libfaketime).

Neither is made up where it is not there: `why_not` says what is missing, and the report says so. The product knows
nothing of either: the kernel delays its writes, and the C library tells its process another time.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

CONTROL_V1 = Path("/sys/fs/cgroup/blkio")
CONTROL_V2 = Path("/sys/fs/cgroup")
FASTEST, SLOWEST = 100, 5
"""Writes a second on a slow disk: an old rotating one; one that is failing and retries every sector."""
LIBRARIES = (
    "/usr/lib/*/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
)  # for programs with threads
FRESH_S = 1  # libfaketime looks at its file this often


class SlowDisk:
    """Limits the writes of a node's process, in a control group of its own."""

    def __init__(self, folder: Path) -> None:
        self._device = _disk_of(folder)
        self._groups: dict[int, Path] = {}

    @staticmethod
    def why_not(folder: Path) -> str:
        """Why it cannot be done; empty: it can."""
        if os.geteuid():
            return "only root may make control groups"
        if _disk_of(folder) is None:
            return f"{folder} is on no block device"
        if _version() is None:
            return "the kernel offers no control group for disks"
        return ""

    def begin(self, node: int, pid: int, strength: float) -> None:
        version = _version()
        assert version is not None
        assert self._device is not None
        group = (CONTROL_V1 if version == 1 else CONTROL_V2) / f"vectron-nemesis-{os.getpid()}-{node}"
        group.mkdir(exist_ok=True)
        self._groups[node] = group
        writes = round(FASTEST * (SLOWEST / FASTEST) ** strength)
        if version == 1:
            (group / "blkio.throttle.write_iops_device").write_text(f"{self._device} {writes}", encoding="ascii")
        else:
            (group / "io.max").write_text(f"{self._device} wiops={writes}", encoding="ascii")
        (group / "cgroup.procs").write_text(str(pid), encoding="ascii")

    def end(self, node: int) -> None:
        group = self._groups.pop(node, None)
        if group is None:
            return
        for pid in (group / "cgroup.procs").read_text(encoding="ascii").split():
            with contextlib.suppress(ProcessLookupError):  # ended meanwhile
                (group.parent / "cgroup.procs").write_text(pid, encoding="ascii")
        with contextlib.suppress(
            OSError
        ):  # a killed process leaves its group a moment later; empty groups cost nothing
            group.rmdir()


def _version() -> int | None:
    if (CONTROL_V1 / "cgroup.procs").exists():
        return 1
    controllers = CONTROL_V2 / "cgroup.subtree_control"
    return 2 if controllers.exists() and "io" in controllers.read_text(encoding="ascii").split() else None


def _disk_of(folder: Path) -> str | None:
    """MAJOR:MINOR of the whole disk below `folder`."""
    device = folder.stat().st_dev
    entry = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
    if not entry.exists():
        return None
    disk = entry.resolve()
    whole = disk.parent if (disk / "partition").exists() else disk
    return (whole / "dev").read_text(encoding="ascii").strip()


class Clocks:
    """The wall clocks of nodes, each `seconds` off; sound at first. Monotonic time is left alone.

    A node under libfaketime takes two to three times as long for everything, so this is only done when asked for.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        library = _library()
        self._library = "" if library is None else str(library)

    @staticmethod
    def why_not(wanted: bool) -> str:
        """Why it cannot be done; empty: it can."""
        if not wanted:
            return "not asked for (--clock): libfaketime makes every node slower"
        return "" if _library() is not None else "libfaketime is not installed"

    def wrap(self, node: int) -> list[str]:
        """What to put before the command of `node`."""
        self.set(node, 0.0)
        return [
            "env",
            f"LD_PRELOAD={self._library}",
            f"FAKETIME_TIMESTAMP_FILE={self._file(node)}",
            f"FAKETIME_CACHE_DURATION={FRESH_S}",
            "FAKETIME_DONT_FAKE_MONOTONIC=1",
        ]

    def set(self, node: int, seconds: float) -> None:
        path = self._file(node)
        new = path.with_suffix(".new")
        new.write_text(f"{seconds:+.3f}s\n", encoding="ascii")
        new.replace(path)  # it may be read at any moment

    def _file(self, node: int) -> Path:
        return self._folder / f"clock-{node}"


def _library() -> Path | None:
    found = [path for pattern in LIBRARIES for path in sorted(Path("/").glob(pattern.removeprefix("/")))]
    return found[0] if found else None
