"""Vectors by slot: an append-only float32 matrix, in a mapped file once it is large.

Rows never change after they were written, so a reader keeps the array it got while the store grows. The file is a place
to page out to, nothing else: it is unlinked when it is made, and what was in it is gone with the process.

New rows go into the file by `pwrite`: the first write to a page through the mapping is a fault in which the file system
books the page, 5 µs each, a quarter of what loading a row takes. The mapping shows them at once, as the kernel has one
copy of each page.
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
SKIP_ROWS = 1_024  # written as zeros at a time


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
        if self._mapped:
            self._write(rows, self.count)
        else:
            self.rows[self.count : end] = rows
        self.count = end

    def skip(self, rows: int) -> None:
        """Leave room at the end for rows that are filled in later; until then they are zero.

        Raises:
            OSError: As `append`.
        """
        end = self.count + rows
        self.reserve(end)
        if self._mapped:
            zeros = np.zeros((min(rows, SKIP_ROWS), self._dimension), dtype=np.float32)
            for start in range(self.count, end, SKIP_ROWS):
                self._write(zeros[: end - start], start)
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

    def _write(self, rows: Matrix, first: int) -> None:
        assert self._descriptor is not None
        left = np.ascontiguousarray(rows, dtype=np.float32).reshape(-1).view(np.uint8).data
        at = first * self._dimension * 4
        while left:  # a signal may cut it short
            written = os.pwrite(self._descriptor, left, at)
            left, at = left[written:], at + written

    def _map(self, capacity: int, row_bytes: int) -> Matrix:
        if self._descriptor is None:
            self._descriptor, name = tempfile.mkstemp(prefix="vectors-", dir=self._folder)
            weakref.finalize(self, os.close, self._descriptor)  # arrays in use keep the mapping, which has its own
            os.unlink(name)
        # Blocks are allocated now: writing to a hole on a full disk would be SIGBUS, the end of the process.
        os.posix_fallocate(self._descriptor, 0, capacity * row_bytes)
        mapped = mmap.mmap(self._descriptor, capacity * row_bytes)
        return np.frombuffer(mapped, dtype=np.float32).reshape(capacity, self._dimension)
