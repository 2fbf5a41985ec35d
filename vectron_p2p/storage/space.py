"""The free-space floor: a node stops taking writes before its disk is full, and goes on by itself when there is space.

LevelDB needs space to merge and even to open; a disk that is full to the last byte can only be mended by hand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vectron_p2p.model.errors import ReadOnly

if TYPE_CHECKING:
    from vectron_p2p.storage.kv import Disk

FLOOR_BYTES = 256 << 20  # room for the merges of a few stores at once
FLOOR_SHARE = 0.02
CHECK_S = 1.0  # even at 100 MB/s a disk takes longer than this from the floor to full


class SpaceFloor:
    """Shared by all shards of a node. Used from worker threads: a race costs one more look at the disk."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._checked = float("-inf")
        self._free = 0
        self._floor = 0

    @property
    def read_only(self) -> bool:
        """As of the last check."""
        return self._free < self._floor

    def check(self, now: float) -> None:
        """Looks at the disk, at most every second. Blocking.

        Raises:
            ReadOnly: Less than the floor is free.
        """
        if now - self._checked >= CHECK_S:
            self._free = self._disk.free_bytes()
            self._floor = max(FLOOR_BYTES, int(FLOOR_SHARE * self._disk.total_bytes()))
            self._checked = now
        if self._free < self._floor:
            raise ReadOnly(
                f"the disk has {self._free >> 20} MiB left, and below {self._floor >> 20} MiB this node takes no"
                f" writes; free some space"
            )
