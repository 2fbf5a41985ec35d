"""`vectron import`: formats, ids, errors."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.unit.cli.running import Shell
from tests.unit.client.fake_node import collection_info
from tests.unit.client.memory_node import MemoryNode
from vectron_p2p.model.points import unpack_payload
from vectron_p2p.protocol import messages

VECTORS = np.arange(12, dtype=np.float32).reshape(4, 3) + 1
PAYLOADS = [{"id": "a", "n": 0}, {"n": 1}, {"id": 7}, {"id": None, "n": 3}]


def lines(path: Path, values: list[Any]) -> Path:
    text = "".join(json.dumps(value) + "\n" for value in values).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def array(path: Path, values: Any = VECTORS) -> Path:
    np.save(path, values)
    return path


def stored(node: MemoryNode) -> dict[Any, tuple[list[float], Any]]:
    return {
        key: (np.frombuffer(vector, "<f4").tolist(), unpack_payload(payload))
        for key, (vector, payload) in node.rows.items()
    }


@pytest.mark.parametrize("name", ["p.jsonl", "p.jsonl.gz"])
def test_vectors_with_payloads(shell: Shell, node: MemoryNode, tmp_path: Path, name: str) -> None:
    vectors, payloads = array(tmp_path / "v.npy"), lines(tmp_path / name, PAYLOADS)
    done = shell("import", "docs", "--vectors", str(vectors), "--payloads", str(payloads), "--json")
    assert done.code == 0
    assert {**done.json, "seconds": 0} == {"sent": 4, "failed": 0, "errors": [], "seconds": 0}
    assert stored(node) == {key: (VECTORS[row].tolist(), PAYLOADS[row]) for row, key in enumerate(["a", 1, 7, 3])}


def test_vectors_alone_are_numbered(shell: Shell, node: MemoryNode, tmp_path: Path) -> None:
    vectors = array(tmp_path / "v.npy", VECTORS.astype(np.int8))
    done = shell("import", "docs", "--vectors", str(vectors), "--batch", "2")
    assert done.code == 0
    assert "4 points imported" in done.out
    assert stored(node) == {row: (VECTORS[row].tolist(), {}) for row in range(4)}
    assert [len(request.ids) for request in node.requests] == [2, 2]


@pytest.mark.parametrize("name", ["f.jsonl", "f.jsonl.gz"])
def test_json_lines(shell: Shell, node: MemoryNode, tmp_path: Path, name: str) -> None:
    source = lines(
        tmp_path / name,
        [
            {"id": "a", "vector": [1, 2], "payload": {"x": 1}},
            {"vector": [3, 4], "payload": {"id": 9, "x": 2}},
            {"vector": [5, 6], "x": 3},
            {"id": 8, "vector": [7, 8], "x": 4},
        ],
    )
    assert shell("import", "docs", str(source)).code == 0
    assert stored(node) == {
        "a": ([1, 2], {"x": 1}),
        9: ([3, 4], {"id": 9, "x": 2}),
        2: ([5, 6], {"x": 3}),
        8: ([7, 8], {"id": 8, "x": 4}),
    }


def test_parquet(shell: Shell, node: MemoryNode, tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pyarrow.table({"id": [5, 6], "vector": [[1.0, 2.0], [3.0, 4.0]], "year": [2020, None]})
    parquet.write_table(table, tmp_path / "f.parquet")
    assert shell("import", "docs", str(tmp_path / "f.parquet")).code == 0
    assert stored(node) == {5: ([1, 2], {"id": 5, "year": 2020}), 6: ([3, 4], {"id": 6, "year": None})}
    table = pyarrow.table({"vector": [[1.0, 2.0]], "payload": ['{"id": "x", "a": [1]}']})
    parquet.write_table(table, tmp_path / "g.parquet")
    assert shell("import", "docs", str(tmp_path / "g.parquet")).code == 0
    assert stored(node)["x"] == ([1, 2], {"id": "x", "a": [1]})


def test_again_is_harmless(shell: Shell, node: MemoryNode, tmp_path: Path) -> None:
    vectors = array(tmp_path / "v.npy")
    for _ in range(2):
        assert shell("import", "docs", "--vectors", str(vectors), "--json").json["sent"] == 4
    assert len(node.rows) == 4


def test_create_takes_the_dimension_of_the_data(shell: Shell, node: MemoryNode, tmp_path: Path) -> None:
    vectors = array(tmp_path / "v.npy")
    assert shell("import", "docs", "--vectors", str(vectors), "--create", "--metric", "l2", "--shards", "4").code == 0
    created = node.requests[0]
    assert isinstance(created, messages.CreateCollection)
    assert (created.dimension, created.metric, created.shards, created.if_not_exists) == (3, "l2", 4, True)
    assert collection_info().dimension == 3


def test_bad_rows_are_named_and_the_others_imported(shell: Shell, node: MemoryNode, tmp_path: Path) -> None:
    source = lines(
        tmp_path / "f.jsonl", [{"vector": [1, 2]}, {"vector": [1, "x"]}, {"vector": [3]}, {"vector": [5, 6]}]
    )
    done = shell("import", "docs", str(source), "--json")
    assert done.code == 1
    assert (done.json["sent"], done.json["failed"]) == (2, 2)
    assert [error["rows"] for error in done.json["errors"]] == [[1, 2], [2, 3]]
    assert "row 1" in done.err
    assert list(node.rows) == [0, 3]


@pytest.mark.usefixtures("node")
def test_nothing_to_import(shell: Shell, tmp_path: Path) -> None:
    assert shell("import", "docs", str(lines(tmp_path / "f.jsonl", []))).code == 0
    assert shell("import", "docs", "--vectors", str(array(tmp_path / "v.npy", np.empty((0, 3))))).code == 0


@pytest.mark.usefixtures("node")
@pytest.mark.parametrize(
    ("files", "code", "said"),
    [
        ({"v.npy": VECTORS, "p.jsonl": PAYLOADS[:3]}, 1, "3 lines"),
        ({"v.npy": VECTORS[:3], "p.jsonl": PAYLOADS}, 1, "more lines"),
        ({"v.npy": VECTORS[0]}, 1, "two-dimensional"),
        ({"v.npy": np.array([["a"]])}, 1, "two-dimensional"),
        ({"v.npy": b"no array"}, 1, "no .npy file"),
        ({"v.npy": VECTORS, "p.jsonl": b"{}\nx\n"}, 1, "no JSON-lines file"),
        ({"v.npy": VECTORS, "p.jsonl": b"\xff\n"}, 1, "no JSON-lines file"),
        ({"v.npy": VECTORS, "p.jsonl.gz": b"no gzip"}, 1, "cannot be read"),
        ({"v.npy": VECTORS, "p.jsonl": [5]}, 1, "no JSON object"),
        ({"f.jsonl": [{"id": 1}]}, 1, "no vector"),
        ({"f.jsonl": [{"vector": "abc"}]}, 1, "no list"),
        ({"f.jsonl": [{"vector": [1], "payload": 5}]}, 1, "no object"),
        ({"f.parquet": b"x"}, 1, "Parquet"),
        ({"f.csv": b"x"}, 2, "tells no format"),
        ({}, 2, "give either"),
        ({"v.npy": VECTORS, "f.jsonl": []}, 2, "give either"),
        ({"f.jsonl": [], "p.jsonl": []}, 2, "belongs to"),
    ],
)
def test_files_that_are_not_what_they_should_be(
    shell: Shell, tmp_path: Path, files: dict[str, Any], code: int, said: str
) -> None:
    words = ["import", "docs"]
    for name, content in files.items():
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif isinstance(content, list):
            lines(path, content)
        else:
            array(path, content)
        words += {"v": ["--vectors", str(path)], "p": ["--payloads", str(path)], "f": [str(path)]}[name[0]]
    done = shell(*words)
    assert done.code == code
    assert said in done.err


def test_a_file_that_is_not_there_is_wrong_usage(shell: Shell) -> None:
    assert shell("import", "docs", "--vectors", "no-such-file.npy").code == 2
