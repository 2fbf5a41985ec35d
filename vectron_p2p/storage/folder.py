"""The data folder of a node: its lock, its format, and the stores in it.

    format          one line, "vectron-data 1"
    lock            held by the process that uses the folder, with its pid
    stores/NAME/    one per store: kv/ (LevelDB) and files/ (whatever goes with it); "/" in names is written "+"
    quarantine/     damaged stores, kept for whoever wants to look, each with a note (why.txt)
    trash/          being removed

Invariant: a store comes and goes by one rename, so a crash leaves none by halves.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from typing import TYPE_CHECKING

from vectron_p2p.storage.kv import Locked, StorageError, UnknownFormat, check_store_name
from vectron_p2p.storage.leveldb import LevelKeyValue

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = "vectron-data 1\n"
NOTE = "why.txt"  # in a quarantined store
_OWN = {"format", "format.new", "lock", "stores", "quarantine", "trash"}
_FOREIGN_BUT_FINE = {"lost+found"}  # the root of a fresh ext4 file system


class LevelDisk:
    """The stores of one data folder. Call `lock` before anything else."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock: int | None = None

    def lock(self) -> None:
        """Takes the folder for this process, makes it when missing, and checks its format.

        Raises:
            Locked: Another process has it.
            UnknownFormat: It is of another version, or no data folder at all.
            StorageError: It cannot be made or written.
        """
        if self._lock is not None:
            raise StorageError(f"{self._root} is locked by this object already")
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            self._check_format()
            handle = os.open(self._root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except StorageError:
            raise
        except OSError as error:
            raise StorageError(f"cannot use {self._root} as data folder: {error.strerror}") from error
        try:
            self._take(handle)
        except BaseException:
            os.close(handle)
            raise
        self._lock = handle

    def _take(self, handle: int) -> None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            text = os.pread(handle, 32, 0).strip()
            pid = int(text) if text.isdigit() else 0
            raise Locked(f"{self._root} is in use by process {pid or 'unknown'}; stop it first", pid) from None
        try:
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
            self._check_format()
            if not (self._root / "format").exists():
                self._write_format()
            for part in ("stores", "quarantine", "trash"):
                (self._root / part).mkdir(exist_ok=True)
            _sync_folder(self._root)
            for leftover in sorted((self._root / "trash").iterdir()):
                shutil.rmtree(leftover)
        except StorageError:
            raise
        except OSError as error:
            raise StorageError(f"cannot use {self._root} as data folder: {error.strerror}") from error

    def _check_format(self) -> None:
        try:
            found = (self._root / "format").read_bytes()[:100].decode(errors="replace")
        except FileNotFoundError:
            others = sorted({path.name for path in self._root.iterdir()} - _OWN - _FOREIGN_BUT_FINE)
            if others:
                raise UnknownFormat(
                    f"{self._root} is no data folder: it holds {', '.join(others[:3])} but no format file;"
                    f" name an empty or new folder"
                ) from None
            return
        if found != FORMAT:
            raise UnknownFormat(
                f"{self._root} has format {found.strip()!r}, this software knows {FORMAT.strip()!r};"
                f" use the version that wrote it"
            )

    def _write_format(self) -> None:
        new = self._root / "format.new"
        with open(new, "w", encoding="ascii") as file:
            file.write(FORMAT)
            file.flush()
            os.fsync(file.fileno())
        new.rename(self._root / "format")

    def unlock(self) -> None:
        """Gives the folder back; all stores must be closed."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _place(self, name: str) -> Path:
        if self._lock is None:
            raise StorageError(f"{self._root} is not locked")
        return self._root / "stores" / check_store_name(name).replace("/", "+")

    def open(self, name: str) -> LevelKeyValue:
        place = self._place(name)
        try:
            place.mkdir(exist_ok=True)
            store = LevelKeyValue(place / "kv")
            _sync_folder(place)
            _sync_folder(place.parent)
        except StorageError:
            raise
        except OSError as error:
            raise StorageError(f"opening {place}: {error.strerror}") from error
        return store

    def exists(self, name: str) -> bool:
        return (self._place(name) / "kv").exists()

    def names(self, prefix: str = "") -> list[str]:
        stores = self._root / "stores"
        found = (path.name.replace("+", "/") for path in stores.iterdir() if (path / "kv").exists())
        return sorted(name for name in found if name.startswith(prefix))

    def destroy(self, name: str) -> None:
        place = self._place(name)
        if place.exists():
            aside = self._move(place, "trash")
            shutil.rmtree(aside)

    def quarantine(self, name: str, why: str = "") -> str:
        aside = self._move(self._place(name), "quarantine")
        with contextlib.suppress(OSError):  # the copy counts, and is kept; a full or broken disk takes no note
            (aside / NOTE).write_text(f"{why}\n", encoding="utf-8")
        return str(aside.relative_to(self._root))

    def _move(self, place: Path, part: str) -> Path:
        try:
            number = 1
            while (aside := self._root / part / f"{place.name}-{number}").exists():
                number += 1
            place.rename(aside)
            _sync_folder(aside.parent)
            _sync_folder(place.parent)
        except OSError as error:
            raise StorageError(f"moving {place} to {part}: {error.strerror}") from error
        return aside

    def folder(self, name: str) -> Path | None:
        files = self._place(name) / "files"
        files.mkdir(parents=True, exist_ok=True)
        return files

    def free_bytes(self) -> int:
        usage = os.statvfs(self._root)
        return usage.f_bavail * usage.f_frsize

    def total_bytes(self) -> int:
        usage = os.statvfs(self._root)
        return usage.f_blocks * usage.f_frsize


def _sync_folder(path: Path) -> None:
    """A new name in a folder lasts only when the folder is synced too."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
