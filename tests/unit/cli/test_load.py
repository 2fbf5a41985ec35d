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
from vectron_p2p.cli import importing
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
    assert [len(request.ids) for request in node.requests if isinstance(request, messages.Upsert)] == [2, 2]


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
    node.dimension = 2
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
    node.dimension = 2
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


BAD = [
    b'{"vector": [1, 2]}',
    b'{"id": "x", "vector": [1, "x"]}',
    b'{"vector": [3]}',
    b'{"vector": [1, 2',
    b"[1]",
    b"\xff\xfe",
    b'{"id": 6}',
    b'{"id": 7, "vector": [7, 8], "payload": 5}',
    b'{"id": 8, "vector": [0, 0]}',
    b'{"id": [], "vector": [9, 9]}',
    b'{"id": "refused", "vector": [1, 9]}',
    b'{"vector": [5, 6]}',
]


def test_bad_rows_are_named_and_the_others_imported(shell: Shell, node: MemoryNode, tmp_path: Path) -> None:
    source, rejects = tmp_path / "f.jsonl", tmp_path / "rejects.jsonl"
    source.write_bytes(b"\n".join(BAD))
    node.dimension, node.refused = 2, {"refused"}
    done = shell("import", "docs", str(source), "--json", "--rejects", str(rejects))
    assert done.code == 1
    assert (done.json["sent"], done.json["failed"]) == (2, 10)
    assert [error["rows"] for error in done.json["errors"]] == [[row, row + 1] for row in range(1, 11)]
    assert list(node.rows) == [0, 11]
    kept = [json.loads(line) for line in rejects.read_text().splitlines()]
    assert [(entry["row"], entry["id"]) for entry in kept] == [
        (1, "x"), (2, 2), (3, None), (4, None), (5, None), (6, None), (7, None), (8, 8), (9, None), (10, "refused"),
    ]  # fmt: skip
    assert {entry["code"] for entry in kept} == {"invalid_argument"}
    said = [entry["message"] for entry in kept]
    assert not any("row 0" in words or "[0]" in words for words in said)
    for row, words in ((1, "numbers"), (3, "line 4: no JSON: Expecting"), (4, "object"), (6, "no vector"), (8, "zero")):
        assert words in said[row - 1]
    told = shell("import", "docs", str(source), "--rejects", str(rejects))
    assert told.code == 1
    assert "2 points imported" in told.out
    assert "not imported: row 1 (id 'x')" in told.err
    assert f"10 rows were not imported; all of them are in {rejects}" in told.err
    assert len(rejects.read_text().splitlines()) == 10, "of this import alone"


def test_a_payload_that_is_none_rejects_its_row_and_moves_no_other(
    shell: Shell, node: MemoryNode, tmp_path: Path
) -> None:
    vectors, payloads = array(tmp_path / "v.npy"), tmp_path / "p.jsonl"
    payloads.write_bytes(b'{"id": "a"}\nx\n\n{"id": "d"}\n\n \n')
    done = shell("import", "docs", "--vectors", str(vectors), "--payloads", str(payloads))
    assert done.code == 1
    assert "row 1: p.jsonl, line 2" in done.err
    assert "row 2: p.jsonl, line 3 is blank" in done.err
    assert stored(node) == {"a": (VECTORS[0].tolist(), {"id": "a"}), "d": (VECTORS[3].tolist(), {"id": "d"})}


def test_too_many_rejected_rows_end_it(shell: Shell, node: MemoryNode, tmp_path: Path) -> None:
    source = lines(tmp_path / "f.jsonl", [{"vector": [1, 2]}] + [{"vector": [1]}] * 100)
    node.dimension = 2
    done = shell("import", "docs", str(source), "--max-rejected", "20", "--batch", "10", "--parallel", "1")
    assert done.code == 1
    assert "more than 20 rows were rejected" in done.err
    assert "the first 30 rows are done" in done.err


@pytest.mark.parametrize("parallel", [1, 4])
def test_an_import_goes_on_where_it_was(shell: Shell, node: MemoryNode, tmp_path: Path, parallel: int) -> None:
    values: list[Any] = [{"id": f"p{row}", "vector": [row + 1, 1]} for row in range(100)]
    values[15] = {"id": "bad", "vector": [1]}
    source, resume, rejects = lines(tmp_path / "f.jsonl", values), tmp_path / "resume", tmp_path / "rejects.jsonl"
    node.dimension, node.down_after = 2, 4
    words = ["import", "docs", str(source), "--batch", "10", "--resume", str(resume), "--rejects", str(rejects)]
    words += ["--parallel", str(parallel)]
    first = shell(*words)
    assert first.code == 1
    assert "gone" in first.err
    assert "run the same command again" in first.err
    rows = json.loads(resume.read_text())["rows"]
    if parallel == 1:
        assert rows == 40
    else:  # which four of the batches under way the node has taken is a matter of threads
        assert rows in range(0, 50, 10)
    assert f"the first {rows} rows are done" in first.err
    with rejects.open("a") as file:  # died after this and before the resume file said so
        file.write('{"row": 77}\n')
    before, node.down_after = len(node.requests), None
    again = shell(*words)
    assert again.code == 1, "a row was rejected"
    assert not resume.exists()
    sent = [
        point for request in node.requests[before:] if isinstance(request, messages.Upsert) for point in request.ids
    ]
    assert sorted(sent) == sorted(value["id"] for value in values[rows:] if value["id"] != "bad")
    assert len(node.rows) == 99
    assert [json.loads(line)["row"] for line in rejects.read_text().splitlines()] == [15]
    assert "1 row was not imported" in again.err


@pytest.mark.parametrize("change", ["file", "collection", "nonsense"])
def test_a_resume_file_of_another_import_is_refused(
    shell: Shell, node: MemoryNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    vectors, resume = array(tmp_path / "v.npy"), tmp_path / "resume"
    words = ["import", "docs", "--vectors", str(vectors), "--batch", "2", "--resume", str(resume)]
    node.down_after = 1
    assert shell(*words).code == 1
    node.down_after = None
    if change == "file":
        array(vectors, VECTORS + 1)
    elif change == "collection":
        node.id = "another"
    else:
        resume.write_text("[]")
    before = len(node.rows)
    done = shell(*words)
    assert done.code == 1
    assert ("no file of --resume" if change == "nonsense" else "remove it to begin anew") in done.err
    assert len(node.rows) == before


def test_vectors_of_another_dimension_are_refused_at_once(shell: Shell, node: MemoryNode, tmp_path: Path) -> None:
    node.dimension = 2
    done = shell("import", "docs", "--vectors", str(array(tmp_path / "v.npy")))
    assert done.code == 1
    assert "has dimension 2" in done.err
    assert not node.rows


def test_progress_is_said_now_and_then(
    shell: Shell, node: MemoryNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "LINE_S", 0.0)
    vectors = array(tmp_path / "v.npy")
    done = shell("import", "docs", "--vectors", str(vectors), "--batch", "2", "--parallel", "1")
    said = [line for line in done.err.splitlines() if "rows, " in line]
    assert said[0].startswith("2 of 4 rows, ")
    assert "s left" in said[0]
    assert done.out.startswith("4 points imported")
    assert not shell("import", "docs", "--vectors", str(vectors), "--json").err


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
        ({"v.npy": VECTORS, "p.jsonl": b"{}\nx\n"}, 1, "2 lines"),
        ({"v.npy": VECTORS, "p.jsonl.gz": b"no gzip"}, 1, "cannot be read"),
        ({"v.npy": VECTORS, "p.jsonl.gz": gzip.compress(b"{}\n" * 4)[:-12]}, 1, "cannot be read"),
        ({"v.npy": VECTORS, "p.jsonl.gz": gzip.compress(b"{}\n" * 4)[:12] + b"damaged"}, 1, "cannot be read"),
        ({"f.jsonl": [{"id": 1}]}, 1, "no vector"),
        ({"f.jsonl": [{"vector": "abc"}]}, 1, "none of its rows is a point: the vector is no list"),
        ({"f.jsonl": b"x\n" * 5000}, 1, "none of its first 1000 rows is a point: f.jsonl, line 1: no JSON"),
        ({"f.jsonl": [{"vector": [1], "payload": 5}]}, 1, "no object"),
        ({"f.parquet": b"x"}, 1, "Parquet"),
        ({"f.csv": b"x"}, 2, "tells no format"),
        ({}, 2, "give either"),
        ({"v.npy": VECTORS, "f.jsonl": []}, 2, "give either"),
        ({"f.jsonl": [], "p.jsonl": []}, 2, "belongs to"),
        ({"v.npy": VECTORS, "r.npy": VECTORS}, 2, "files of their own"),
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
        words += {
            "v": ["--vectors", str(path)],
            "p": ["--payloads", str(path)],
            "f": [str(path)],
            "r": ["--rejects", str(tmp_path / "v.npy")],
        }[name[0]]
    done = shell(*words)
    assert done.code == code
    assert said in done.err


def test_a_file_that_is_not_there_is_wrong_usage(shell: Shell) -> None:
    assert shell("import", "docs", "--vectors", "no-such-file.npy").code == 2
