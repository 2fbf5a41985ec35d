"""Memory of a process as Linux counts it."""

from __future__ import annotations

from pathlib import Path


def memory_of(pid: int) -> dict[str, int]:
    """Bytes: `anonymous` is its own, `mapped` pages of files that the kernel can take back."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
    sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}
    return {"anonymous": sizes["Anonymous"], "mapped": sizes["Rss"] - sizes["Anonymous"]}
