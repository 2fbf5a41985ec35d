"""Knowing and setting OpenBLAS's threads, which decide whether a fork is safe."""

from __future__ import annotations

from pathlib import Path

import pytest

from vectron_p2p.index import blas


def test_the_number_is_known_and_can_be_set_to_one() -> None:
    before = blas.threads()
    assert before is not None
    assert before >= 1
    blas.use_one_thread()
    assert blas.threads() == 1


def test_where_nothing_is_known_nothing_is_claimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blas, "MAPS", tmp_path / "maps")
    assert blas.threads() is None
    blas.use_one_thread()
    (tmp_path / "maps").write_text("7f0000000000-7f0000001000 r-xp 00000000 00:00 0 [vdso]\n", encoding="utf-8")
    assert blas.threads() is None
