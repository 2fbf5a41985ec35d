"""The interface between rows and disk: ordered key-value stores, and the disk that holds them.

LevelDB stands behind it in production, memory for `:memory:`, memory with faults in simulation. All methods block. A
store takes one writer and any number of readers at a time; a snapshot and its readers belong to one thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


class StorageError(OSError):
    """A store cannot do what was asked."""


class Corrupt(StorageError):
    """What was read is not what was written."""


class WriteFailed(StorageError):
    """A write or sync failed: whether it happened is unknown until the store is healed."""


_NO_SPACE = ("no space left", "disk quota exceeded")  # what systems say (ENOSPC, EDQUOT), in lower case


def out_of_space(error: BaseException) -> bool:
    """Whether `error` is about a full disk: the data are sound, and all is well again once there is room."""
    text = str(error).lower()
    return any(each in text for each in _NO_SPACE)


class Locked(StorageError):
    """Another process uses the folder; `pid` is its process id, 0 when unknown."""

    def __init__(self, message: str, pid: int) -> None:
        super().__init__(message)
        self.pid = pid


class UnknownFormat(StorageError):
    """The folder was written by another version of this software, or by other software."""


class Reader(Protocol):
    """Reads. Every one checks checksums and raises `Corrupt` on damage."""

    def get(self, key: bytes) -> bytes | None: ...

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """`get` of each; cheaper than one by one."""
        ...

    def iterate(self, start: bytes, stop: bytes, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """Pairs with start <= key < stop, in key order (or backwards).

        On a store, writes meanwhile may or may not show; on a snapshot they do not.
        """
        ...


class Snapshot(Reader, Protocol):
    """One moment of a store; close it, for it holds back the store's cleaning."""

    def close(self) -> None: ...


class KeyValue(Reader, Protocol):
    """An ordered store. Keys are not empty."""

    @property
    def broken(self) -> bool:
        """Whether a write failed since the store was opened or healed: writes are refused until `heal`."""
        ...

    def write(self, puts: Sequence[tuple[bytes, bytes | None]], *, sync: bool) -> None:
        """All of `puts` or none, in order (None deletes); with `sync` on disk when it returns, and all before it too.

        Raises:
            WriteFailed: It may or may not be there after `heal`. Or the store is broken: then nothing was written.
        """
        ...

    def heal(self) -> None:
        """Closes and reopens a broken store; does nothing to a sound one.

        Un-synced writes, and those that failed, may or may not be there afterwards; synced ones are.

        Raises:
            StorageError: It cannot be opened; it stays broken.
        """
        ...

    def snapshot(self) -> Snapshot: ...

    def approximate_size(self) -> int:
        """Bytes on disk, more or less."""
        ...

    def close(self) -> None:
        """Waits for calls in flight; afterwards each call raises `StorageError`. May be called again."""
        ...


class Disk(Protocol):
    """All stores of one node, by name. A name is parts of A-Z a-z 0-9 _ . - joined by "/"."""

    def open(self, name: str) -> KeyValue:
        """The store, created when there is none.

        Raises:
            Corrupt: It is damaged: `quarantine` it.
            StorageError: It cannot be opened for another reason, or is open already.
        """
        ...

    def exists(self, name: str) -> bool: ...

    def names(self, prefix: str = "") -> list[str]:
        """Names of the stores that begin with `prefix`, sorted."""
        ...

    def destroy(self, name: str) -> None:
        """Removes a closed store and its folder; nothing when there is none."""
        ...

    def quarantine(self, name: str, why: str = "") -> str:
        """Puts a closed store and its folder aside, out of `names`, with a note; returns where it is kept."""
        ...

    def folder(self, name: str) -> Path | None:
        """A folder for files that go with the store, made when missing; None where there is no place for files."""
        ...

    def free_bytes(self) -> int: ...

    def total_bytes(self) -> int: ...


def check_store_name(name: str) -> str:
    """`name` if it is a legal store name; ValueError otherwise."""
    for part in name.split("/"):
        if not part or part.startswith(".") or not all(c.isascii() and (c.isalnum() or c in "_.-") for c in part):
            raise ValueError(f"no store name: {name!r}")
    return name
