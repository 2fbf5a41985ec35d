"""Vectors by slot: an append-only float32 matrix, in a mapped file once it is large.

Rows never change after they were written, so a reader keeps the array it got while the store grows. The file is a place
to page out to, nothing else: it is unlinked when it is made, and what was in it is gone with the process.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import weakref
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from vectron_p2p.query.scoring import Matrix

FILE_FROM_BYTES = (
    4 << 20
)  # smaller shards stay in plain memory: a mapping costs descriptors, and a node has many shards
FIRST_ROWS = 64


class VectorStore:
    """`rows` has room for at least as many rows as were appended. Not locked: one writer at a time, any readers."""

    def __init__(self, dimension: int, folder: Path | None) -> None:
        self._dimension = dimension
        self._folder = folder
        self._descriptor: int | None = None
        self._mapped = False
        self.count = 0
        self.rows: Matrix = np.zeros((0, dimension), dtype=np.float32)

    def append(self, rows: Matrix) -> None:
        """Add rows at the end.

        Raises:
            OSError: The disk has no room for the mapped file.
        """
        end = self.count + len(rows)
        self.reserve(end)
        self.rows[self.count : end] = rows
        self.count = end

    def reserve(self, rows: int) -> None:
        """Make room for `rows` rows in all."""
        if rows <= len(self.rows):
            return
        capacity = max(rows, FIRST_ROWS, len(self.rows) * 3 // 2)  # each growth maps or copies: few of them
        row_bytes = self._dimension * 4
        if self._folder is None or capacity * row_bytes < FILE_FROM_BYTES:
            larger = np.zeros((capacity, self._dimension), dtype=np.float32)
        else:
            larger = self._map(capacity, row_bytes)
            if self._mapped:
                self.rows = larger  # the same pages
                return
            self._mapped = True
        larger[: self.count] = self.rows[: self.count]
        self.rows = larger

    def _map(self, capacity: int, row_bytes: int) -> Matrix:
        if self._descriptor is None:
            self._descriptor, name = tempfile.mkstemp(prefix="vectors-", dir=self._folder)
            weakref.finalize(self, os.close, self._descriptor)  # arrays in use keep the mapping, which has its own
            os.unlink(name)
        # Blocks are allocated now: writing to a hole on a full disk would be SIGBUS, the end of the process.
        os.posix_fallocate(self._descriptor, 0, capacity * row_bytes)
        mapped = mmap.mmap(self._descriptor, capacity * row_bytes)
        return np.frombuffer(mapped, dtype=np.float32).reshape(capacity, self._dimension)
