"""Looking into a data folder without touching it, for `vectron doctor`.

LevelDB writes when it opens a store: it turns logs into tables and removes what it no longer needs. So a store is
looked at through a scratch copy: links to its tables, which never change, and copies of the rest, a few MiB. Invariant:
nothing under the data folder is created, changed or removed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vectron_p2p.model.ids import encode_point_id
from vectron_p2p.replication.version import VERSION_SIZE
from vectron_p2p.storage.folder import FORMAT, NOTE
from vectron_p2p.storage.kv import Corrupt, Locked, StorageError, out_of_space
from vectron_p2p.storage.leveldb import LevelKeyValue
from vectron_p2p.storage.shard import ShardStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vectron_p2p.storage.kv import KeyValue

TABLES = (".ldb", ".sst")
MANY = 5  # keys named in a finding; the rest are counted


@dataclass(slots=True)
class ShardFindings:
    """What is in one shard store. `damage`: what does not fit, in sentences."""

    live: int = 0
    tombstones: int = 0
    merkle_root: str = ""
    sequence: int = 0
    learner: str | None = None
    damage: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Kept:
    """A quarantined store: where, how large, and why it is there."""

    place: str
    bytes: int
    why: str


@contextmanager
def held(root: Path) -> Iterator[None]:
    """Keeps a node from starting on `root` meanwhile.

    Raises:
        Locked: One is running on it.
    """
    try:
        handle = os.open(root / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield
        return
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            text = os.pread(handle, 32, 0).strip()
            pid = int(text) if text.isdigit() else 0
            raise Locked(f"{root} is in use by process {pid or 'unknown'}: stop that node first", pid) from None
        yield
    finally:
        os.close(handle)


def format_of(root: Path) -> str | None:
    """What the format file says; None when there is none, or no folder."""
    try:
        return (root / "format").read_bytes()[:100].decode(errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return None


def known_format(text: str) -> bool:
    return text == FORMAT


def space(root: Path) -> tuple[int, int]:
    """Bytes free and in all, of the disk."""
    usage = os.statvfs(root)
    return usage.f_bavail * usage.f_frsize, usage.f_blocks * usage.f_frsize


def store_names(root: Path) -> list[str]:
    """Folders of stores, whether or not a store is in them."""
    try:
        return sorted(each.name for each in (root / "stores").iterdir() if each.is_dir())
    except FileNotFoundError:
        return []


def quarantined(root: Path) -> list[Kept]:
    try:
        places = sorted((root / "quarantine").iterdir())
    except FileNotFoundError:
        return []
    found = []
    for place in places:
        why = ""
        with contextlib.suppress(OSError):
            why = (place / NOTE).read_text(encoding="utf-8", errors="replace").strip()
        size = sum(each.stat().st_size for each in place.rglob("*") if each.is_file())
        found.append(Kept(str(place.relative_to(root)), size, why))
    return found


@contextmanager
def looked_into(root: Path, name: str) -> Iterator[KeyValue]:
    """The store, open on a scratch copy.

    Raises:
        Corrupt: It is damaged, or missing.
        StorageError: It cannot be read.
    """
    kv = root / "stores" / name / "kv"
    if not kv.is_dir():
        raise Corrupt(f"{kv} is missing")
    with tempfile.TemporaryDirectory(prefix="vectron-doctor-") as scratch:
        copy = Path(scratch) / "kv"
        copy.mkdir()
        try:
            for each in sorted(kv.iterdir()):
                if each.suffix in TABLES:
                    (copy / each.name).symlink_to(each.resolve())
                elif each.name not in ("LOCK", "LOG", "LOG.old"):
                    shutil.copyfile(each, copy / each.name)
        except OSError as error:
            raise Corrupt(f"{kv} cannot be read: {error.strerror}") from error
        store = LevelKeyValue(copy)
        try:
            yield store
        finally:
            store.close()


def look_at_shard(root: Path, name: str) -> ShardFindings:
    """Every row and every version read and compared, the Merkle sums made anew."""
    findings = ShardFindings()
    try:
        with looked_into(root, name) as kv:
            store = ShardStore(kv)
            findings.live, findings.tombstones = store.live, store.tombstones
            findings.merkle_root = store.merkle_root().hex()
            findings.sequence = store.sequence
            findings.learner = None if store.learner is None else store.learner.reason
            findings.damage += _compare(store)
    except StorageError as error:
        if out_of_space(error):  # of the scratch copy: it says nothing of the store
            raise
        findings.damage.append(str(error))
    return findings


def _compare(store: ShardStore) -> list[str]:
    """Rows against their version entries; in chunks, so that memory stays bounded."""
    wrong: list[bytes] = []
    rows, after, more = 0, b"", True
    while more:
        page = store.scan(after, 256)
        versions = store.versions([row.id for row in page])
        for row, version in zip(page, versions, strict=True):
            if version is None or len(version) != VERSION_SIZE or version != row.version:
                wrong.append(encode_point_id(row.id))
        rows += len(page)
        more = len(page) == 256
        after = encode_point_id(page[-1].id) if page else after
    damage = []
    if wrong:
        named = ", ".join(repr(key) for key in wrong[:MANY])
        damage.append(f"{len(wrong)} rows differ from their version entries: {named}")
    if rows != store.live + store.tombstones:
        damage.append(f"{rows} rows, but {store.live + store.tombstones} version entries")
    return damage
