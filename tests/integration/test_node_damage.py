"""A damaged shard on one node: the node serves its others, the cluster says so, nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.nodes import DIMENSION, PATIENCE, node, vectors, vectron, wait_equal, wait_healthy
from vectron_p2p import connect
from vectron_p2p.testing import ProcessCluster
from vectron_p2p.testing.processes import wait_for

pytestmark = pytest.mark.processes


def flip_bytes(store: Path, *suffixes: str) -> None:
    """Damage the files of a LevelDB that end so."""
    files = [path for path in (store / "kv").iterdir() if path.suffix in suffixes and path.stat().st_size]
    assert files
    for path in files:
        data = bytearray(path.read_bytes())
        middle = len(data) // 2
        data[middle : middle + 64] = bytes(byte ^ 0xFF for byte in data[middle : middle + 64])
        path.write_bytes(data)


@pytest.mark.parametrize("suffix", [".log", ".ldb"])
def test_a_damaged_shard(cluster: ProcessCluster, suffix: str) -> None:
    data = vectors(200)
    with connect(cluster.connect) as db:
        docs = db.create_collection("docs", dimension=DIMENSION, metric="l2", shards=2)
        docs.upsert(ids=list(range(200)), vectors=data, consistency="all")
        collection = docs.info().id
    if suffix == ".ldb":  # a start turns the log into a table
        assert cluster.stop(1) == 0
        cluster.start_node(1)
    cluster.kill(1)
    flip_bytes(cluster[1].folder / "stores" / f"shard-{collection}-0", suffix)
    cluster.start_node(1)
    wait_healthy(cluster)
    shard = f"shard {collection}/0"
    with connect(cluster[1].address) as db:
        [warning] = [each for each in db.cluster().warnings if shard in each]
        assert "Corruption" in warning
        assert shard in vectron("status", "--connect", cluster[1].address).stdout
        damaged, sound = (
            next(each for each in found.replicas if each.node == cluster[1].id) for found in db.cluster().shards
        )
        assert (damaged.state, damaged.points) != ("active", 200)
        assert sound.state == "active"
    for through in cluster.nodes:
        with connect(through.address) as db:
            docs = db.collection("docs")
            for consistency in ("one", "quorum"):
                result = docs.search(data[0], k=200, consistency=consistency)
                assert (len(result), result.partial) == (200, False)
            assert docs.count() == 200
            assert None not in docs.get(list(range(200)))
            docs.upsert(ids=list(range(200)), vectors=data, payloads=[{"through": through.name}] * 200)
    with connect(cluster.connect) as db:
        db.delete_collection("docs")

        def healed() -> bool | None:
            with connect(cluster[1].address) as one:
                return True if not one.cluster().warnings else None

        wait_for(healed, PATIENCE, "no warning about a collection that is gone")
        docs = db.create_collection("docs", dimension=DIMENSION, metric="l2", shards=2)
        docs.upsert(ids=list(range(200)), vectors=data, consistency="all")
        wait_equal(db, "docs")
        db.delete_collection("docs")


def test_a_damaged_catalog_ends_the_start(tmp_path: Path) -> None:
    """Without it the node knows not who it is; its peers have everything."""
    with node(tmp_path, tmp_path / "x") as (process, _):
        assert process.end() == (0, "")
    flip_bytes(tmp_path / "x" / "stores" / "system", ".log", ".ldb")
    done = vectron("node", "--data", tmp_path / "x", "--listen", "127.0.0.1:0")
    assert (done.returncode, done.stdout) == (1, "")
    assert "Corruption" in done.stderr
    assert "Traceback" not in done.stderr
