"""A graph on disk: saved beside the work, admitted back only where it is provably ours and matches the rows.

Two files in the shard's folder: the graph as hnswlib writes it, and a sidecar, renamed into place last, with the
graph's checksum, the options and the projection it was built with, whether it was found sound, and for each slot its
label and a digest of (id, version). A slot is used again only for a row with that digest, so a snapshot older or newer
than the rows does no harm. Anything torn, missing or foreign means that the graph is built anew: never a refusal, never
a guess.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import msgpack
import numpy as np
import xxhash

from vectron_p2p.index import blas, forking
from vectron_p2p.index.canary import Canary
from vectron_p2p.index.hnsw import Graph
from vectron_p2p.index.projection import Projection
from vectron_p2p.model.ids import encode_point_id

if TYPE_CHECKING:
    import threading
    from pathlib import Path

    from vectron_p2p.index.layer import IndexOptions, Int32s, Layer
    from vectron_p2p.index.slots import View
    from vectron_p2p.model.ids import PointId

    Packed: TypeAlias = tuple[bytes, float, int, float]

SIDECAR = "graph.meta"
PREFIX = "graph-"
FORMAT = 3
MAGIC = b"VGRAPH1\n"
THREE, BLOB = b"\x93", b"\xc6"  # msgpack: an array of three, bytes with a length of four bytes
DIGEST_BYTES = 16
NO_DIGEST = bytes(DIGEST_BYTES)  # of slots that were dead already
DIGEST_PART = 1_024  # slots
HASH_BLOCK = 1 << 20


class SnapshotError(Exception):
    """No usable snapshot; says why."""


class Snapshot(NamedTuple):
    """A graph and what its slots were: `slot_of` by row digest, labels by slot (-1: not linked)."""

    graph: Graph
    canary: Canary
    slot_of: dict[bytes, int]
    label_of: Int32s


def row_digest(point: PointId, version: bytes) -> bytes:
    """What stands for one version of one point in a sidecar. A version covers the content, so it covers the vector."""
    return xxhash.xxh3_128_digest(encode_point_id(point) + version)


def save(layer: Layer, mutex: threading.Lock, folder: Path) -> int:
    """Write the layer's graph and make it the snapshot; returns up to which slot, 0 if it failed.

    A forked child writes where that is safe, this process elsewhere. Nobody may link meanwhile; the gate is held alone
    only for the fork.

    Raises:
        OSError: The disk refused; the snapshot before is still there.
    """
    graph = layer.graph
    if graph is None or not layer.labels:
        return 0
    in_child = blas.threads() == 1  # elsewhere a fork could stop somebody's product for ever: see there
    with layer.gate.alone():
        with mutex:
            linked_to, count = layer.linked_to, layer.labels
            label_of, view = layer.label_of(linked_to), layer.table.view()
        path = folder / f"{PREFIX}{os.getpid()}-{linked_to}-{count}.new"
        header = {
            "format": FORMAT,
            "options": list(layer.options),
            "projection": _packed(graph.projection),
            "sound": layer.canary.passed,
            "count": count,
        }
        child = forking.start(lambda: _write_graph(graph, path)) if in_child else None
    if child is None:
        _write_graph(graph, path)  # holds the interpreter lock: about 2 ms per MB
    digests = _digests(view, linked_to)
    if child is not None and not forking.wait(child):
        path.unlink(missing_ok=True)
        return 0
    _write_sidecar(folder, header, path, digests, label_of)
    return linked_to


def _digests(view: View, count: int) -> memoryview:
    """Those of the first `count` slots. In parts: objects for all slots at once would leave holes of 20 MB in the
    interpreter's memory, which it keeps.
    """
    digests = np.zeros((count, DIGEST_BYTES), dtype=np.uint8)  # NO_DIGEST
    for start in range(0, count, DIGEST_PART):
        slots = np.flatnonzero(view.alive_between(start, min(start + DIGEST_PART, count))) + start
        rows = zip(view.ids_of(slots), view.versions_of(slots), strict=True)
        found = b"".join([row_digest(point, version) for point, version in rows])
        digests[slots] = np.frombuffer(found, dtype=np.uint8).reshape(-1, DIGEST_BYTES)
    return digests.data.cast("B")


def _write_graph(graph: Graph, path: Path) -> None:
    graph.save(path)
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def _write_sidecar(folder: Path, header: dict[str, Any], path: Path, digests: memoryview, label_of: Int32s) -> None:
    """Makes the graph in `path` the snapshot, atomically, and removes older ones."""
    checksum = _checksum(path)
    graph_file = f"{PREFIX}{checksum.hex()}"  # named by content: never the name that the present sidecar means
    path.replace(folder / graph_file)
    header |= {
        "slots": len(label_of),
        "file": graph_file,
        "size": (folder / graph_file).stat().st_size,
        "checksum": checksum,
    }
    # As msgpack would pack the three, whose buffer would grow to 4 times their size.
    parts = [MAGIC, THREE, msgpack.packb(header)]
    for blob in (digests, label_of.astype("<i4").data.cast("B")):
        parts += [BLOB + len(blob).to_bytes(4, "big"), blob]
    state = xxhash.xxh3_128()
    for part in parts:
        state.update(part)
    temporary = folder / f"{SIDECAR}.new"
    with temporary.open("wb") as file:
        for part in (*parts, state.digest()):
            file.write(part)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / SIDECAR)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    for other in sorted(folder.glob(f"{PREFIX}*")):  # older ones, and those that a crash cut short
        if other.name != graph_file:
            other.unlink(missing_ok=True)


def _packed(projection: Projection | None) -> Packed | None:
    if projection is None:
        return None
    return projection.basis.astype("<f4").tobytes(), projection.lost, projection.placed, projection.missed


def _unpacked(packed: list[Any] | None, dimension: int) -> Projection | None:
    if packed is None:
        return None
    basis = np.frombuffer(packed[0], dtype="<f4").astype(np.float32).reshape(dimension, -1)
    return Projection(basis, *packed[1:])


def read(folder: Path, options: IndexOptions) -> Snapshot:
    """The snapshot in `folder`.

    Raises:
        SnapshotError: There is none, or it is torn, of another format, or of other options.
    """
    try:
        sidecar = (folder / SIDECAR).read_bytes()
    except FileNotFoundError:
        raise SnapshotError("missing") from None
    except OSError as error:
        raise SnapshotError(f"unreadable: {error}") from error
    body, checksum = sidecar[:-DIGEST_BYTES], sidecar[-DIGEST_BYTES:]
    if not body.startswith(MAGIC) or xxhash.xxh3_128_digest(body) != checksum:
        raise SnapshotError("torn or of another format")
    header, digests, labels = msgpack.unpackb(body[len(MAGIC) :])
    if header["format"] != FORMAT or header["options"] != list(options):
        raise SnapshotError("made with other options")
    path = folder / header["file"]
    try:
        sound = path.stat().st_size == header["size"] and _checksum(path) == header["checksum"]
        if not sound:
            raise SnapshotError("the graph file is torn")
        graph = Graph.load(path, *options, header["count"], _unpacked(header["projection"], options.dimension))
    except OSError as error:
        raise SnapshotError(f"unreadable: {error}") from error
    except RuntimeError as error:  # hnswlib's own
        raise SnapshotError(f"refused by hnswlib: {error}") from error
    if graph.count != header["count"]:
        raise SnapshotError("the graph has another number of labels")
    label_of = np.frombuffer(labels, dtype="<i4").astype(np.int32)
    slot_of = {
        digests[at : at + DIGEST_BYTES]: at // DIGEST_BYTES
        for at in range(0, len(digests), DIGEST_BYTES)
        if label_of[at // DIGEST_BYTES] >= 0
    }
    slot_of.pop(NO_DIGEST, None)
    return Snapshot(graph, Canary(passed=header["sound"]), slot_of, label_of)


def _checksum(path: Path) -> bytes:
    state = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(HASH_BLOCK):
            state.update(block)
    return state.digest()


def inspect(folder: Path) -> str:
    """What is wrong with the snapshot in `folder`, without loading the graph; "" when nothing is, or there is none.

    Leaves it to `read` whether it fits the rows.
    """
    try:
        sidecar = (folder / SIDECAR).read_bytes()
        body, checksum = sidecar[:-DIGEST_BYTES], sidecar[-DIGEST_BYTES:]
        if not body.startswith(MAGIC) or xxhash.xxh3_128_digest(body) != checksum:
            return f"{SIDECAR} is torn or of another format"
        header = msgpack.unpackb(body[len(MAGIC) :])[0]
        graph = folder / header["file"]
        if graph.stat().st_size != header["size"] or _checksum(graph) != header["checksum"]:
            return f"{graph.name} is torn"
    except FileNotFoundError as error:
        return "" if str(error.filename).endswith(SIDECAR) else f"{error.filename} is missing"
    except OSError as error:
        return f"unreadable: {error.strerror}"
    return ""
