"""Damaging real LevelDB folders, one kind of file at a time."""

from __future__ import annotations

import hashlib
from pathlib import Path

KINDS = {
    "log": lambda name: name.endswith(".log"),
    "table": lambda name: name.endswith(".ldb"),
    "manifest": lambda name: name.startswith("MANIFEST"),
    "current": lambda name: name == "CURRENT",
}
WAYS = ("flip", "cut", "empty", "gone")


def files(store: Path, kind: str) -> list[Path]:
    """Files of one kind that hold anything."""
    found = [path for path in sorted((store / "kv").iterdir()) if KINDS[kind](path.name)]
    return [path for path in found if path.stat().st_size]


def damage(store: Path, kind: str, way: str) -> bool:
    """Damage all files of `kind` in a store; False: there is none."""
    victims = files(store, kind)
    for path in victims:
        damage_file(path, way)
    return bool(victims)


def damage_file(path: Path, way: str) -> None:
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    match way:
        case "flip":
            data[middle] ^= 0x10
            path.write_bytes(data)
        case "cut":
            path.write_bytes(data[:middle])
        case "empty":
            path.write_bytes(b"")
        case "gone":
            path.unlink()


def fingerprint(folder: Path) -> dict[str, tuple[int, str]]:
    """Every file below a folder: when it was written, and its content."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, hashlib.blake2b(path.read_bytes()).hexdigest())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
