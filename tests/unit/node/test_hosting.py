"""What tells one boot of the machine from the next."""

from __future__ import annotations

from pathlib import Path

import pytest

from vectron_p2p.node import hosting


def test_the_kernels_own_id_is_used_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosting, "BOOT_ID", tmp_path / "boot_id")
    by_time = hosting.machine_boot()
    assert by_time.startswith("booted-")
    assert hosting.machine_boot() == by_time
    (tmp_path / "boot_id").write_text("4c1f\n")
    assert hosting.machine_boot() == "4c1f"
