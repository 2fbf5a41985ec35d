"""Damaged files of one node among three: it serves, says so, keeps the damaged copy, and is made whole by others."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.integration.damaging import damage
from tests.integration.nodes import (
    DIMENSION,
    PATIENCE,
    node,
    nodes_of,
    vectors,
    vectron,
    wait_equal,
    wait_healthy,
)
from vectron_p2p import connect
from vectron_p2p.errors import VectronError
from vectron_p2p.testing import ProcessCluster
from vectron_p2p.testing.processes import wait_for

pytestmark = pytest.mark.processes


@pytest.mark.parametrize(
    ("kind", "way"),
    [
        ("log", "flip"),
        ("log", "cut"),
        ("table", "flip"),
        ("table", "gone"),
        ("manifest", "cut"),
        ("current", "gone"),
        ("store", "gone"),
    ],
)
def test_a_damaged_shard_is_rebuilt(cluster: ProcessCluster, kind: str, way: str) -> None:
    data = vectors(200)
    name = f"docs-{kind}-{way}"
    with connect(cluster.connect) as db:
        docs = db.create_collection(name, dimension=DIMENSION, metric="l2", shards=1)
        docs.upsert(ids=list(range(200)), vectors=data, consistency="all")
        collection = docs.info().id
    if kind == "table":  # a start turns the log into a table
        assert cluster.stop(1) == 0
        cluster.start_node(1)
    assert cluster.stop(1) == 0
    store = cluster[1].folder / "stores" / f"shard-{collection}-0"
    if kind == "store":
        shutil.rmtree(store)
    else:
        assert damage(store, kind, way)
    cluster.start_node(1)
    wait_healthy(cluster)

    def whole() -> bool | None:
        with connect(cluster[1].address) as one:
            states = {
                each.state
                for shard in one.cluster().shards
                if shard.collection == name
                for each in shard.replicas
                if each.node == cluster[1].id
            }
            return True if states == {"active"} else None

    wait_for(whole, PATIENCE, "the shard to be whole again", lambda: cluster[1].log()[-2000:])
    assert "replica_learns" in cluster[1].log()
    with connect(cluster.connect) as db:
        wait_equal(db, name)
    with connect(cluster[1].address) as db:
        docs = db.collection(name)
        assert docs.count() == 200
        assert None not in docs.get(list(range(200)), consistency="all")
        assert len(docs.search(data[0], k=200)) == 200
        assert not [warning for warning in db.cluster().warnings if collection in warning]
    kept = list((cluster[1].folder / "quarantine").glob(f"shard-{collection}-0-*"))
    if (kind, way) not in (("log", "cut"), ("manifest", "cut"), ("store", "gone")):  # LevelDB opens those
        assert len(kept) == 1
        assert (kept[0] / "why.txt").read_text()
    with connect(cluster.connect) as db:
        db.delete_collection(name)


def test_a_damaged_catalog_ends_the_start(tmp_path: Path) -> None:
    """Without it the node knows not who it is; its peers have everything."""
    with node(tmp_path, tmp_path / "x") as (process, _):
        assert process.end() == (0, "")
    for kind in ("log", "table"):
        damage(tmp_path / "x" / "stores" / "system", kind, "flip")
    done = vectron("node", "--data", tmp_path / "x", "--listen", "127.0.0.1:0")
    assert (done.returncode, done.stdout) == (1, "")
    assert "orruption" in done.stderr
    assert "start with an empty one" in done.stderr
    assert "Traceback" not in done.stderr
    assert vectron("doctor", tmp_path / "x").returncode == 1


def test_the_drill_of_a_lost_voter_majority() -> None:
    """Three of five are lost for ever: `vectron cluster recover` on one of the other two."""
    with ProcessCluster(5) as cluster:
        cluster.start()
        wait_healthy(cluster)
        with connect(cluster.connect) as db:
            docs = db.create_collection("docs", dimension=DIMENSION, metric="l2", shards=8)
            docs.upsert(ids=list(range(200)), vectors=vectors(200), consistency="all")
        for index in (2, 3, 4):
            cluster.kill(index)
        for index in (0, 1):

            def seen(index: int = index) -> bool | None:
                with connect(cluster[index].address, timeout=3.0) as db:
                    dead = [each for each in db.cluster().nodes if each.liveness == "dead"]
                    return True if len(dead) == 3 else None

            wait_for(seen, PATIENCE, "the lost to be dead")
        looked = vectron("cluster", "recover", "--connect", cluster[0].address)
        assert (looked.returncode, looked.stderr) == (0, "")
        assert "would be given up: n2, n3, n4" in looked.stdout
        done = vectron("cluster", "recover", "--force", "--json", "--connect", cluster[0].address)
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        assert (said["recovered"], said["survivors"]) == (True, ["n0", "n1"])
        emptied = {each["shard"] for each in said["hurt"] if not each["left"]}

        def changed() -> bool | None:
            try:
                with connect(cluster[1].address, timeout=3.0) as db:
                    db.create_collection("after", dimension=DIMENSION, if_not_exists=True)
                    return True if len(db.cluster().voters) == 2 else None
            except VectronError:
                return None

        wait_for(changed, PATIENCE, "catalog changes through the other survivor", lambda: cluster[1].log()[-2000:])
        for index in (0, 1):
            with connect(cluster[index].address) as db:
                docs = db.collection("docs")
                found = docs.get(list(range(200)))
                assert emptied or None not in found
                assert sum(point is not None for point in found) >= 1
                assert not docs.search(vectors(1)[0], k=10).partial
                states = {each.state for each in db.cluster().nodes}
                assert states == {"active", "removed"}
        cluster.start_node(3, wait=False)
        back = cluster[3].process
        assert back is not None
        assert back.wait(PATIENCE) == 1
        assert "empty folder" in cluster[3].log()
        assert nodes_of(cluster[0].address)["n3"].state == "removed"
