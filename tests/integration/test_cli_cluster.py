"""Every client command against a real cluster, for people and with --json; imports over the death of a node."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.integration.nodes import PATIENCE, PROGRAM, free_port, vectors, wait_equal
from tests.unit.cli.running import Shell
from vectron_p2p import connect
from vectron_p2p.cli import options
from vectron_p2p.model.collections import CollectionInfo
from vectron_p2p.model.nodes import ClusterStatus, NodeInfo, NodeStatus, ReplicaInfo, ShardInfo
from vectron_p2p.model.points import Hit, Point, SearchResult, UploadReport, WriteResult
from vectron_p2p.model.statistics import ClusterStatistics, NodeStatistics
from vectron_p2p.model.traffic import PeerFigures, TrafficFigures
from vectron_p2p.sample import write_sample
from vectron_p2p.testing import ProcessCluster
from vectron_p2p.testing.processes import wait_for

pytestmark = pytest.mark.processes


def names(cls: Any) -> set[str]:
    return {field.name for field in fields(cls)}


@pytest.fixture
def docs(cluster: ProcessCluster, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A collection of three points, two of them with ids that look alike; the shell talks to all nodes."""
    monkeypatch.setenv("VECTRON_CONNECT", cluster.connect)
    monkeypatch.setenv("COLUMNS", "200")
    assert shell("collection", "create", "docs", "--dimension", "3", "--metric", "l2", "--shards", "2").code == 0
    rows = [
        {"id": 1, "vector": [0, 0, 0], "payload": {"year": 2020, "word": "größe"}},
        {"id": "1", "vector": [0, 0, 1], "payload": {"year": 2022}},
        {"id": "x", "vector": [0, 3, 4]},
    ]
    written = shell("upsert", "docs", "--consistency", "all", "--json", stdin="\n".join(map(json.dumps, rows)))
    assert written.code == 0
    assert written.json.keys() == names(WriteResult)
    assert written.json["count"] == 3
    yield cluster
    assert shell("collection", "delete", "docs").out == "deleted docs\n"


@pytest.mark.usefixtures("docs")
class TestCommands:
    def test_status(self, shell: Shell, cluster: ProcessCluster) -> None:
        found = shell("status", "--json").json
        assert found.keys() == names(ClusterStatus)
        assert [each.keys() for each in found["nodes"]] == [names(NodeStatus)] * 3
        assert sorted(each["id"] for each in found["nodes"]) == sorted(each.id for each in cluster.nodes)
        assert all(each["loop_lag_ms"] >= 0 for each in found["nodes"])
        assert (found["collections"], found["under_replicated"]) == (1, 0)
        shown = shell("status").out
        assert "nodes 3/3 alive" in shown
        assert all(node.address in shown for node in cluster.nodes)

    def test_stats(self, shell: Shell, cluster: ProcessCluster) -> None:
        def all_active() -> Any:
            found = shell("stats", "--json").json
            return found if {each["state"] for each in found["replicas"]} == {"active"} else None

        found = wait_for(all_active, PATIENCE, "all replicas to be seen")  # a busy node's figures may come too late
        assert found.keys() == names(ClusterStatistics)
        assert [each.keys() for each in found["nodes"]] == [names(NodeStatistics)] * 3
        assert {(each["operation"], each["window_s"]) for each in found["operations"]} >= {
            ("upsert", 60),
            ("upsert", 3600),
            ("apply_rows", 60),
        }
        (docs,) = found["collections"]
        assert (docs["name"], docs["points"]) == ("docs", 3)
        shown = shell("stats").out
        assert all(node.name in shown for node in cluster.nodes)
        assert "upsert" in shown
        assert "apply_rows" not in shown
        assert "apply_rows" in shell("stats", "--peers", "--window", "1h").out
        name = cluster.nodes[1].name
        assert shell("stats", "--node", name, "--json").json["node"] == cluster.nodes[1].id
        assert shell("stats", "--node", "nobody").code == 1

    def test_cluster_traffic(self, shell: Shell, cluster: ProcessCluster) -> None:
        found = shell("cluster", "traffic", "--json").json
        assert found.keys() == {each.id for each in cluster.nodes}
        assert all(each.keys() == names(TrafficFigures) for each in found.values())
        peers = [peer for each in found.values() for peer in each["peers"]]
        assert all(peer.keys() == names(PeerFigures) for peer in peers)
        assert {peer["breaker"] for peer in peers} == {"closed"}
        assert any(peer["round_trips"].get("write", {}).get("rtt_ms", 0) > 0 for peer in peers)
        shown = shell("cluster", "traffic").out
        assert shown.count("closed") == len(peers)
        assert shown.count("refused 0 as too many at once") == 3

    def test_nodes(self, shell: Shell, cluster: ProcessCluster) -> None:
        found = shell("nodes", "--json").json
        assert [each.keys() for each in found] == [names(NodeInfo)] * 3
        assert {each["name"]: each["id"] for each in found} == {each.name: each.id for each in cluster.nodes}
        assert {(each["state"], each["liveness"]) for each in found} == {("active", "alive")}
        assert shell("nodes").out.count("active") == 3

    def test_shards(self, shell: Shell) -> None:
        found = shell("shards", "--json").json
        assert [each.keys() for each in found] == [names(ShardInfo)] * 2
        assert [each["shard"] for each in found] == [0, 1]
        assert all(each.keys() == names(ReplicaInfo) for shard in found for each in shard["replicas"])
        assert [len(shard["replicas"]) for shard in found] == [3, 3]
        assert shell("shards").out.count("docs") == 6

    def test_collections(self, shell: Shell) -> None:
        [found] = shell("collections", "--json").json
        assert found.keys() == names(CollectionInfo)
        assert (found["name"], found["count"], found["shards"]) == ("docs", 3, 2)
        assert shell("collection", "show", "docs", "--json").json == found
        assert "docs" in shell("collections").out
        assert "ef_construction" in shell("collection", "show", "docs").out

    def test_collection_create(self, shell: Shell) -> None:
        again = ("collection", "create", "docs", "--dimension", "3")
        refused = shell(*again, "--json")
        assert (refused.code, refused.out) == (1, "")
        assert refused.error["code"] == "already_exists"
        assert refused.error.keys() == {"code", "message", "retryable", "node", "field", "trace"}
        assert shell(*again, "--if-not-exists", "--json").json["metric"] == "l2"  # the one that is there

    def test_count(self, shell: Shell) -> None:
        assert shell("count", "docs", "--json").json == {"count": 3}
        assert shell("count", "docs").out == "3\n"
        assert shell("count", "docs", "--filter", '{"year": {"$gte": 2021}}').out == "1\n"

    def test_get(self, shell: Shell) -> None:
        found = shell("get", "docs", "1", '"1"', "x", "2", "--json").json
        assert [each and each["id"] for each in found] == [1, "1", "x", None]
        assert found[0].keys() == names(Point)
        assert found[0]["payload"] == {"year": 2020, "word": "größe"}
        assert found[0]["vector"] is None
        assert shell("get", "docs", "x", "--with-vector", "--json").json[0]["vector"] == [0, 3, 4]
        lines = shell("get", "docs", "1", "2").out.splitlines()
        assert (json.loads(lines[0])["id"], lines[1]) == (1, "null")

    @pytest.mark.parametrize("consistency", ["one", "quorum", "all"])
    def test_search(self, shell: Shell, consistency: str) -> None:
        words = ("search", "docs", "--vector", "[0, 0, 0]", "--consistency", consistency)
        found = shell(*words, "--json").json
        assert found.keys() == set(SearchResult.FIELDS) - {"groups"}  # asked for by group only
        assert [(hit["id"], hit["score"]) for hit in found["hits"]] == [(1, 0), ("1", 1), ("x", 5)]
        assert found["hits"][0].keys() == names(Hit)
        assert (found["partial"], found["missing_shards"]) == (False, [])
        assert [line.split()[0] for line in shell(*words).out.splitlines()] == ["ID", "1", '"1"', '"x"']
        assert len(shell(*words, "-k", "1", "--json").json["hits"]) == 1
        found = shell(*words, "--filter", '{"year": 2022}', "--exact", "--json").json
        assert [hit["id"] for hit in found["hits"]] == ["1"]

    def test_search_like(self, shell: Shell) -> None:
        found = shell("search", "docs", "--like", '"1"', "--ef", "50", "--json").json
        assert [hit["id"] for hit in found["hits"]] == [1, "x"]
        missing = shell("search", "docs", "--like", "7", "--json")
        assert (missing.code, missing.error["code"]) == (1, "not_found")

    def test_delete(self, shell: Shell) -> None:
        done = shell("delete", "docs", "1", "nothing", "--consistency", "all", "--json").json
        assert (done.keys(), done["count"]) == (names(WriteResult), 2)
        assert shell("delete", "docs", "x", "--consistency", "all").out == "1 deleted\n"
        assert shell("count", "docs").out == "1\n"

    @pytest.mark.parametrize(
        ("words", "stdin", "code", "field"),
        [
            (("search", "docs", "--vector", "[1, 2]"), "", "invalid_argument", "vector"),
            (("search", "docs", "--vector", '[1, 2, "x"]'), "", "invalid_argument", "vector"),
            (("search", "docs", "--vector", "[1, 2, 3]", "-k", "0"), "", "invalid_argument", "k"),
            (("search", "docs", "--vector", "[1, 2, 3]", "-k", "10001"), "", "invalid_argument", "k"),
            (("count", "docs", "--filter", '{"a": {"$foo": 1}}'), "", "invalid_argument", "filter.a"),
            (("count", "nothing"), "", "not_found", "collection"),
            (("count", "no/name"), "", "invalid_argument", "name"),
            (("get", "docs", ""), "", "invalid_argument", "id"),
            (("upsert", "docs"), '{"id": 1, "vector": [1, 2]}', "invalid_argument", "vector"),
            (("upsert", "docs"), '{"id": true, "vector": [1, 2, 3]}', "invalid_argument", "id"),
            (("collection", "create", "c", "--dimension", "4097"), "", "invalid_argument", "dimension"),
            (("collection", "create", "c", "--dimension", "3", "--shards", "3"), "", "invalid_argument", "shards"),
            (("collection", "delete", "nothing"), "", "not_found", "name"),
        ],
    )
    def test_what_cannot_be(self, shell: Shell, words: tuple[str, ...], stdin: str, code: str, field: str) -> None:
        done = shell(*words, "--json", stdin=stdin)
        assert (done.code, done.out) == (1, "")
        assert done.error["code"] == code
        assert done.error["field"] == field
        assert not done.error["retryable"]
        done = shell(*words, stdin=stdin)
        assert (done.code, done.out) == (1, "")
        assert done.err.startswith("error: ")
        assert f"({code})" in done.err
        assert len(done.err.splitlines()) == 1

    @pytest.mark.parametrize(
        "words",
        [
            ("search", "docs"),
            ("search", "docs", "--vector", "[1", "--json"),
            ("count",),
            ("get", "docs"),
            ("import", "docs"),
            ("upsert", "docs", "--consistency", "most"),
            ("nonsense",),
        ],
    )
    def test_wrong_usage(self, shell: Shell, words: tuple[str, ...]) -> None:
        done = shell(*words)
        assert (done.code, done.out) == (2, "")
        assert done.err


@pytest.mark.parametrize("as_json", [True, False])
def test_nobody_there(shell: Shell, as_json: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "UNREACHABLE_S", 0.1)
    done = shell("status", "--connect", f"127.0.0.1:{free_port()}", *(("--json",) if as_json else ()))
    assert (done.code, done.out) == (1, "")
    assert "is the cluster running?" in (done.error["message"] if as_json else done.err)


def test_imports(cluster: ProcessCluster, shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each format, made with --create; once more changes nothing."""
    monkeypatch.setenv("VECTRON_CONNECT", cluster.connect)
    data = vectors(40)
    np.save(tmp_path / "v.npy", data)
    payloads = [{"id": f"p{n}", "n": n} for n in range(40)]
    with gzip.open(tmp_path / "p.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(payload) + "\n" for payload in payloads)
    rows = [{"vector": vector.tolist(), **payload} for vector, payload in zip(data, payloads, strict=True)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "rows.parquet")
    sources = {
        "npy": ("--vectors", str(tmp_path / "v.npy"), "--payloads", str(tmp_path / "p.jsonl.gz")),
        "jsonl": (str(tmp_path / "rows.jsonl"),),
        "parquet": (str(tmp_path / "rows.parquet"),),
    }
    for name, words in sources.items():
        for _ in range(2):
            report = shell("import", name, *words, "--create", "--batch", "7", "--consistency", "all", "--json")
            assert report.code == 0, report.err
            assert report.json.keys() == names(UploadReport)
            assert (report.json["sent"], report.json["failed"], report.json["errors"]) == (40, 0, [])
        assert shell("count", name).out == "40\n"
        [point] = shell("get", name, "p7", "--with-vector", "--json").json
        assert (point["payload"], point["vector"]) == (payloads[7], data[7].tolist())
    assert "40 points imported" in shell("import", "bare", *sources["npy"][:2], "--create").out
    assert shell("get", "bare", "39", "--json").json[0]["payload"] == {}
    missing = shell("import", "absent", *sources["npy"], "--json")  # no --create
    assert (missing.code, missing.out, missing.error["code"]) == (1, "", "not_found")
    with connect(cluster.connect) as db:
        for name in (*sources, "bare"):
            db.delete_collection(name)


def test_the_node_dies_in_the_middle_of_an_import(cluster: ProcessCluster, tmp_path: Path) -> None:
    """The import goes on through nodes that it learnt of; run again, it changes nothing."""
    sample = write_sample(tmp_path / "sample")
    words = ["import", "words", "--vectors", sample["vectors"], "--payloads", sample["payloads"], "--create"]
    slow = [*PROGRAM, *words, "--batch", "64", "--parallel", "1", "--json"]
    with (
        connect(cluster.others(1)) as db,
        subprocess.Popen([*map(str, slow), "--connect", cluster[1].address], stdout=subprocess.PIPE) as loading,
    ):
        try:
            words_there = db.collection("words")
            wait_for(
                lambda: True if db.list_collections() and words_there.count() > 300 else None, PATIENCE, "some points"
            )
            cluster.kill(1)
            assert words_there.count() < 8000
            out, _ = loading.communicate(timeout=PATIENCE)
        finally:
            loading.kill()
        assert loading.returncode == 0, out
        assert json.loads(out)["sent"] == 8000
        assert words_there.count() == 8000
        command = [*PROGRAM, *map(str, words), "--json", "--connect", cluster.others(1)]
        done = subprocess.run(command, stdout=subprocess.PIPE, timeout=PATIENCE, check=True)
        assert json.loads(done.stdout)["sent"] == 8000
        assert words_there.count() == 8000
        cluster.start_node(1)
        wait_equal(db, "words")
        db.delete_collection("words")


def test_the_output_can_be_cut_off(cluster: ProcessCluster) -> None:
    """`vectron ... | head` is no failure."""
    nodes = f"{sys.executable} -m vectron_p2p nodes --connect {cluster.connect}"
    command = ["bash", "-c", f"{nodes} | head -n 1 >/dev/null; exit ${{PIPESTATUS[0]}}"]
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_logs(cluster: ProcessCluster, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VECTRON_CONNECT", cluster[2].address)

    def all_answer() -> str | None:  # each has a second and a half for it: not enough on a busy machine
        done = shell("logs", "--limit", "1000")
        return None if done.err else done.out

    lines = wait_for(all_answer, PATIENCE, "the logs of all nodes").splitlines()
    assert any(" cluster_founded " in line and " node=n0 " in line for line in lines)
    assert {word for line in lines for word in line.split() if word.startswith("node=")} >= {"node=n0", "node=n1"}
    assert [line.split()[0] for line in lines] == sorted(line.split()[0] for line in lines)
    records = shell("logs", "n1", "--json").json
    assert {record["node"] for record in records} == {"n1"}
    assert {record["node_id"] for record in records} == {cluster[1].id}
    (founded,) = [json.loads(line) for line in cluster[0].log().splitlines() if '"cluster_founded"' in line]
    assert founded["level"] == "info"  # stderr is no terminal: JSON
    nobody = shell("logs", "n9", "--json")
    assert (nobody.code, nobody.error["code"], len(nobody.error["trace"])) == (1, "not_found", 16)
    slow = shell("logs", "--slow").out.splitlines()  # none, unless the machine is busy
    assert all(" slow_request " in line for line in slow)


def test_logs_can_be_followed(cluster: ProcessCluster) -> None:
    command = [*PROGRAM, "logs", "--follow", "--json", "--connect", cluster.connect]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert json.loads(process.stdout.readline())["node"], "what is there already"
            with connect(cluster.connect) as db:
                db.create_collection("followed", dimension=2, shards=1)
                db.delete_collection("followed")
            cluster.kill(1)
            for line in process.stdout:
                record = json.loads(line)
                if (record["event"], record["fields"].get("after")) == ("member_changed", "dead"):
                    break
        finally:
            process.kill()
