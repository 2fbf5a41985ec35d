"""The vector store in memory and mapped."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from vectron_p2p.index import vectors
from vectron_p2p.index.vectors import VectorStore


@pytest.mark.parametrize("mapped", [False, True])
def test_rows_stay_where_they_are_while_it_grows(mapped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "FILE_FROM_BYTES", 4_096)
    store = VectorStore(8, tmp_path if mapped else None)
    seen = []
    for i in range(60):
        store.append(np.full((i, 8), i, dtype=np.float32))
        seen.append((store.count, store.rows))
    expected = np.concatenate([np.full((i, 8), i, dtype=np.float32) for i in range(60)])
    for count, held in seen:
        np.testing.assert_array_equal(held[:count], expected[:count])
    assert list(tmp_path.iterdir()) == []  # nothing to find after a crash
    assert type(store.rows) is np.ndarray


def test_a_full_disk_is_an_error_before_anything_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "FILE_FROM_BYTES", 4_096)
    store = VectorStore(8, tmp_path)
    store.append(np.ones((200, 8), dtype=np.float32))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full)
        with pytest.raises(OSError):
            store.append(np.ones((500, 8), dtype=np.float32))
    assert store.count == 200
    store.append(np.full((500, 8), 2, dtype=np.float32))
    assert store.rows[199, 0] == 1
    assert store.rows[699, 0] == 2


@pytest.mark.parametrize("mapped", [False, True])
def test_rows_that_were_skipped_are_zero_until_they_are_filled(
    mapped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "FILE_FROM_BYTES", 4_096)
    store = VectorStore(8, tmp_path if mapped else None)
    store.append(np.ones((100, 8), dtype=np.float32))
    store.skip(3_000)
    store.append(np.zeros((0, 8), dtype=np.float32))  # a batch of deletions alone
    store.append(np.full((50, 8), 2, dtype=np.float32))
    store.rows[np.array([100, 3_099])] = 3
    assert store.count == 3_150
    expected = np.concatenate([np.ones(100), [3], np.zeros(2_998), [3], np.full(50, 2)])
    np.testing.assert_array_equal(store.rows[:3_150], np.repeat(expected[:, None], 8, axis=1))


def test_a_write_that_is_cut_short_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "FILE_FROM_BYTES", 4_096)
    write = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, left, at: write(file, left[:100], at))
    store = VectorStore(8, tmp_path)
    rows = np.arange(8_000, dtype=np.float32).reshape(1_000, 8)
    store.append(rows[:300])
    store.append(rows[300:])
    np.testing.assert_array_equal(store.rows[:1_000], rows)
