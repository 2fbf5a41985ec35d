"""The data folder: locked, of a known format, tidy."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from vectron_p2p.storage.folder import LevelDisk
from vectron_p2p.storage.kv import Corrupt, Locked, StorageError, UnknownFormat

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "data"


def locked(root: Path) -> LevelDisk:
    disk = LevelDisk(root)
    disk.lock()
    return disk


def test_a_second_user_is_told_the_pid(root: Path) -> None:
    first = locked(root)
    with pytest.raises(Locked, match=str(os.getpid())) as caught:
        LevelDisk(root).lock()
    assert caught.value.pid == os.getpid()
    first.unlock()
    second = locked(root)
    second.unlock()
    second.unlock()


def test_a_second_process_is_told_the_pid(root: Path) -> None:
    disk = locked(root)
    code = (
        "import sys, pathlib; from vectron_p2p.storage.folder import LevelDisk;"
        "LevelDisk(pathlib.Path(sys.argv[1])).lock()"
    )
    done = subprocess.run([sys.executable, "-c", code, str(root)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"in use by process {os.getpid()}" in done.stderr
    disk.unlock()
    subprocess.run([sys.executable, "-c", code, str(root)], check=True)


def test_another_format_is_refused(root: Path) -> None:
    locked(root).unlock()
    (root / "format").write_text("vectron-data 99\n")
    with pytest.raises(UnknownFormat, match="vectron-data 99"):
        LevelDisk(root).lock()


def test_a_folder_with_other_things_is_refused_and_left_alone(root: Path) -> None:
    root.mkdir(parents=True)
    (root / "thesis.txt").write_text("x")
    with pytest.raises(UnknownFormat, match=r"thesis\.txt"):
        LevelDisk(root).lock()
    assert sorted(path.name for path in root.iterdir()) == ["thesis.txt"]


def test_a_fresh_file_system_is_fine(root: Path) -> None:
    (root / "lost+found").mkdir(parents=True)
    locked(root).unlock()


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="cannot use"):
        LevelDisk(tmp_path / "file").lock()


def test_nothing_works_without_the_lock(root: Path) -> None:
    disk = LevelDisk(root)
    with pytest.raises(StorageError, match="not locked"):
        disk.open("x")
    disk.lock()
    with pytest.raises(StorageError, match="locked"):
        disk.lock()
    disk.unlock()


def test_files_go_with_their_store(root: Path) -> None:
    disk = locked(root)
    disk.open("shards/a/0").close()
    files = disk.folder("shards/a/0")
    assert files is not None
    (files / "graph").write_text("x")
    assert disk.folder("shards/a/0") == files
    place = disk.quarantine("shards/a/0")
    assert (root / place / "files" / "graph").exists()
    assert not files.exists()
    disk.open("shards/a/0").close()
    assert disk.folder("shards/a/0") == files
    disk.destroy("shards/a/0")
    assert not files.exists()
    assert list((root / "trash").iterdir()) == []
    disk.unlock()


def test_a_folder_alone_is_no_store(root: Path) -> None:
    disk = locked(root)
    disk.folder("only-files")
    assert disk.names() == []
    assert not disk.exists("only-files")
    disk.unlock()


def test_what_a_crash_left_in_the_trash_is_removed(root: Path) -> None:
    locked(root).unlock()
    (root / "trash" / "x-1" / "kv").mkdir(parents=True)
    locked(root).unlock()
    assert list((root / "trash").iterdir()) == []


def test_a_damaged_store_is_corrupt_and_can_be_put_aside(root: Path) -> None:
    disk = locked(root)
    store = disk.open("s")
    store.write([(b"a", b"1")], sync=True)
    store.close()
    current = root / "stores" / "s" / "kv" / "CURRENT"
    manifest = current.parent / current.read_text().strip()
    content = bytearray(manifest.read_bytes())
    content[len(content) // 2] ^= 4
    manifest.write_bytes(content)
    with pytest.raises(Corrupt):
        disk.open("s")
    disk.quarantine("s")
    disk.open("s").close()
    disk.unlock()
