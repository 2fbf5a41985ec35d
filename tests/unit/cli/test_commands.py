"""The commands that ask a cluster: output, JSON documents, exit codes."""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from tests.unit.cli.running import Shell
from tests.unit.client.fake_node import FakeNode, cluster_info, cluster_status, collection_info, payload_fields
from tests.unit.client.memory_node import MemoryNode
from vectron_p2p.cli import explain, options, output
from vectron_p2p.model.errors import ConsistencyError
from vectron_p2p.model.ids import parse_point_id
from vectron_p2p.model.points import pack_payload
from vectron_p2p.protocol import messages

ROWS = '{"id": 1, "vector": [1, 2, 3], "payload": {"text": "größe"}}\n\n{"id": "1", "vector": [1, 2, 3]}\n'


@pytest.mark.usefixtures("node")
@pytest.mark.parametrize(
    ("words", "document"),
    [
        (["status"], asdict(cluster_status())),
        (["nodes"], [asdict(info) for info in cluster_info().nodes]),
        (["shards"], [asdict(info) for info in cluster_info().shards]),
        (["collections"], [asdict(collection_info())]),
        (["collection", "show", "docs"], asdict(collection_info("docs"))),
        (["collection", "fields", "docs"], asdict(payload_fields("docs"))),
        (["collection", "create", "docs", "--dimension", "3"], asdict(collection_info("docs"))),
        (["collection", "delete", "docs"], {"deleted": "docs"}),
        (["count", "docs"], {"count": 0}),
    ],
)
def test_json_documents_have_the_fields_of_the_results(shell: Shell, words: list[str], document: Any) -> None:
    done = shell(*words, "--json")
    assert done.code == 0
    assert done.json == document
    assert done.err == ""


@pytest.mark.usefixtures("node")
@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["status"], ["nodes 1/1 alive", "n1", "LOOP_LAG_MS", "1.5"]),
        (["nodes"], ["n1", "active", "alive", "127.0.0.1:7700"]),
        (["shards"], ["docs", "ready", "1000 B"]),
        (["collections"], ["docs", "cosine"]),
        (["collection", "show", "docs"], ["ef_construction", "100"]),
        (["collection", "fields", "docs"], ["colour", '"blue", "red"', "int, float", ">= 33", "0.5 .. 900", "2.1 KiB"]),
    ],
)
def test_tables(shell: Shell, words: list[str], shown: list[str]) -> None:
    done = shell(*words)
    assert done.code == 0
    assert all(text in done.out for text in shown)


def test_points_from_stdin_and_back(shell: Shell, node: MemoryNode) -> None:
    written = shell("upsert", "docs", "--json", stdin=ROWS)
    assert written.code == 0
    assert written.json["count"] == 2
    assert len(written.json["operation_id"]) == 32
    found = shell("get", "docs", "1", '"1"', "77", "--with-vector", "--json").json
    assert [point and (point["id"], point["payload"], point["vector"]) for point in found] == [
        (1, {"text": "größe"}, [1.0, 2.0, 3.0]),
        ("1", {}, [1.0, 2.0, 3.0]),
        None,
    ]
    lines = shell("get", "docs", "1", "77").out.splitlines()
    assert json.loads(lines[0])["payload"] == {"text": "größe"}
    assert lines[1] == "null"
    assert shell("delete", "docs", "1", "99", "--json").json["count"] == 2
    assert list(node.rows) == ["1"]
    assert shell("count", "docs").out == "1\n"


def test_search(shell: Shell, node: MemoryNode) -> None:
    shell("upsert", "docs", stdin=ROWS)
    found = shell("search", "docs", "--vector", "[1, 2, 3]", "--json").json
    assert set(found) == {"hits", "partial", "missing_shards", "took_ms", "plan"}
    assert set(found["hits"][0]) == {"id", "score", "payload", "vector", "version"}
    assert [hit["id"] for hit in found["hits"]] == [1, "1"]
    like = shell("search", "docs", "--like", '"1"', "-k", "3", "--filter", '{"a": {"$gt": 1}}', "--ef", "70", "--exact")
    assert "größe" in like.out
    request = node.requests[-1]
    assert (request.id, request.k, request.filter, request.ef, request.exact) == ("1", 3, {"a": {"$gt": 1}}, 70, True)
    explained = shell("search", "docs", "--like", "1", "--explain", "--consistency", "quorum").out
    assert "1.5 ms in all; 1 searches of shards on 1 node(s)" in explained
    assert "SHARD" in explained
    assert node.requests[-1].consistency == "quorum"


def test_a_plan_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    explain.show(
        [
            {"shard": 1, "node": "u1", "name": "n1", "plan": "graph", "ef": 64, "fetch": 90, "scanned": 7,
             "points": 5000, "rounds": 2, "dimensions": 208, "queue_ms": 0.25, "search_ms": 1.5,
             "rows_ms": 0.1, "answer_ms": 2.75, "together": 3},
            {"shard": 0, "node": "u2", "name": "n2", "plan": "exact", "ef": 64, "fetch": 0, "scanned": 12,
             "points": 5001, "matches": 12, "undecided": 12, "checked": 10, "unindexed": 9},
            {"shard": 2, "node": "u2", "name": "n2", "plan": "graph", "ef": 64, "fetch": 119, "scanned": 0,
             "points": 5001, "matches": 3001, "dimensions": 208, "subgraph": 3000},
            {"shard": 3, "node": "u2", "name": "n2", "plan": "graph", "ef": 64, "fetch": 190, "scanned": 0,
             "points": 5001, "matches": 3001, "subgraph": 0},
        ],
        3.0,
    )  # fmt: skip
    head, columns, graph, scan, own, soon = capsys.readouterr().out.splitlines()
    assert head == "3.0 ms in all; 4 searches of shards on 2 node(s)"
    assert columns.split()[:5] == ["SHARD", "NODE", "WAY", "EF", "CANDIDATES"]
    assert graph.split()[:12] == ["1", "n1", "graph", "64", "90", "7", "-", "5000", "0.25", "1.50", "0.10", "2.75"]
    assert "in 208 dimensions; beam widened 1 time(s); 3 queries together" in graph
    assert scan.split()[:8] == ["0", "n2", "scan", "64", "-", "12", "12", "5001"]
    assert "leaves 12 matches open; 10 payloads read; 9 points not in the payload index" in scan
    assert "in 208 dimensions; in a graph of 3,000 matches" in own
    assert "a graph of the matches is being linked" in soon


def test_search_by_group_and_by_examples(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[messages.Search] = []
    hits = messages.HitList([1, "1", 2], np.ones(3, "<f4").tobytes(), [b"v"] * 3, [], b"")
    reply = messages.SearchReply([hits], [], 1.0, None, [[messages.Group("a", 2), messages.Group(7, 1)]])

    def answer(request: messages.Search) -> messages.SearchReply:
        asked.append(request)
        return reply

    with FakeNode(answer) as node:
        monkeypatch.setenv("VECTRON_CONNECT", node.target)
        words = [
            "search",
            "docs",
            "--like",
            "1",
            "--like",
            "2",
            "--unlike",
            "3",
            "--group-by",
            "doc",
            "--group-size",
            "2",
        ]
        found = shell(*words, "--json", "--score-threshold", "0.5", "--with-vector", "--timeout", "4").json
    assert [(group["value"], [hit["id"] for hit in group["hits"]]) for group in found["groups"]] == [
        ("a", [1, "1"]),
        (7, [2]),
    ]
    (request,) = asked
    assert (request.positive, request.negative, request.id) == ([1, 2], [3], None)
    assert (request.group_by, request.group_size, request.with_vector) == ("doc", 2, True)
    assert (request.score_threshold, request.timeout) == (0.5, 4.0)
    with FakeNode(answer) as node:
        monkeypatch.setenv("VECTRON_CONNECT", node.target)
        shown = shell("search", "docs", "--vector", "[1]", "--group-by", "doc", "--offset", "0").out.splitlines()
    assert shown[0].split() == ["GROUP", "ID", "SCORE", "PAYLOAD"]
    assert [line.split()[:2] for line in shown[1:]] == [['"a"', "1"], ['"a"', '"1"'], ["7", "2"]]


def test_scroll(shell: Shell, node: MemoryNode) -> None:
    shell("upsert", "docs", stdin=ROWS)
    first = shell("scroll", "docs", "--limit", "1", "--with-vector")
    assert json.loads(first.out)["vector"] == [1.0, 2.0, 3.0]
    assert "--cursor 1" in first.err
    rest = shell("scroll", "docs", "--limit", "5", "--cursor", "1", "--json").json
    assert ([point["id"] for point in rest["points"]], rest["cursor"]) == (["1"], None)
    shell("scroll", "docs", "--order-by", "year", "--desc", "--start-from", "2020", "--filter", '{"a": 1}')
    request = node.requests[-1]
    assert request.order_by == {"key": "year", "direction": "desc", "start_from": 2020}
    assert request.filter == {"a": 1}
    shell("scroll", "docs", "--order-by", "name", "--start-from", '"m"')
    assert node.requests[-1].order_by == {"key": "name", "direction": "asc", "start_from": "m"}


def test_a_partial_search_is_no_failure(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    reply = messages.SearchReply([messages.HitList([], b"", [], [], b"")], [1, 3], 1.0, None)
    with FakeNode(lambda _: reply) as node:
        monkeypatch.setenv("VECTRON_CONNECT", node.target)
        done = shell("search", "docs", "--vector", "[1]")
        assert done.code == 0
        assert "shards 1, 3" in done.err
        assert shell("search", "docs", "--vector", "[1]", "--json").json["missing_shards"] == [1, 3]


def test_errors_of_the_cluster(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Any) -> Any:
        raise ConsistencyError("no quorum", acked=0, required=2, node="n7")

    with FakeNode(fail) as node:
        monkeypatch.setenv("VECTRON_CONNECT", node.target)
        done = shell("count", "docs", "--json")
        assert (done.code, done.out) == (1, "")
        error = done.error
        assert len(error.pop("trace")) == 16
        assert error == {
            "code": "consistency_error", "message": "no quorum", "retryable": True, "node": "n7", "field": None,
            "acked": 0, "required": 2,
        }  # fmt: skip
        said = shell("count", "docs").err
        assert re.fullmatch(r"error: no quorum \(consistency_error, trace [0-9a-f]{16}\)\n", said)


def test_nobody_answers(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "UNREACHABLE_S", 0.01)
    done = shell("status", "--connect", "127.0.0.1:1", "--json")
    assert done.code == 1
    assert done.error["code"] == "unavailable"
    assert "127.0.0.1:1" in done.error["message"]


@pytest.mark.usefixtures("node")
@pytest.mark.parametrize(
    ("words", "field"),
    [
        (["search", "docs", "--vector", "[1]", "-k", "0"], "k"),
        (["search", "docs", "--vector", "[1, null]"], "vector"),
        (["search", "docs", "--vector", "[NaN]"], "vector"),
        (["search", "docs", "--vector", "[]"], "vector"),
        (["get", "docs", ""], "id"),
        (["get", "docs", str(2**64)], "id"),
        (["count", "a b"], "name"),
        (["collection", "create", "docs", "--dimension", "0"], "dimension"),
        (["status", "--connect", "nonsense"], "target"),
    ],
)
def test_bad_values_fail_and_name_the_field(shell: Shell, words: list[str], field: str) -> None:
    done = shell(*words, "--json")
    assert (done.code, done.out) == (1, "")
    assert (done.error["code"], done.error["field"]) == ("invalid_argument", field)


@pytest.mark.parametrize(
    "words",
    [
        ["search", "docs"],
        ["search", "docs", "--vector", "[1]", "--like", "1"],
        ["search", "docs", "--vector", "[1]", "--unlike", "1"],
        ["scroll", "docs", "--desc"],
        ["scroll", "docs", "--order-by", "year", "--start-from", "[1]"],
        ["search", "docs", "--vector", "[1"],
        ["search", "docs", "--vector", "{}"],
        ["search", "docs", "--vector", "[1]", "--filter", "[]"],
        ["search", "docs", "--vector", "[1]", "-k", "x"],
        ["search", "docs", "--vector", "[1]", "--consistency", "most"],
        ["get", "docs"],
        ["count"],
        ["collection", "create", "docs"],
        ["collection", "create", "docs", "--dimension", "3", "--metric", "x"],
        ["nothing"],
        ["count", "docs", "--nothing"],
        ["status", "--api-key", "k"],
    ],
)
def test_wrong_usage(shell: Shell, words: list[str]) -> None:
    plain = shell(*words)
    assert (plain.code, plain.out) == (2, "")
    assert "Error:" in plain.err
    as_json = shell(*words, "--json")
    assert (as_json.code, as_json.out) == (2, "")
    assert as_json.error["code"] == "invalid_argument"


@pytest.mark.parametrize("stdin", ["{", "\udcff\n", "[" * 100_000])
def test_lines_that_are_no_json_are_wrong_usage(shell: Shell, stdin: str) -> None:
    done = shell("upsert", "docs", stdin='{"id": 1, "vector": [1]}\n' + stdin)
    assert done.code == 2
    assert "line 2" in done.err


def test_lines_that_are_no_points_fail(shell: Shell) -> None:
    done = shell("upsert", "docs", "--json", stdin="5\n")
    assert done.code == 1
    assert done.error["field"] == "points"


def test_help_and_version(shell: Shell) -> None:
    shown = shell("--help")
    assert shown.code == 0
    for command in ("node", "dev", "status", "import", "search", "console"):
        assert f"  {command} " in shown.out
    assert shell("--version").out.startswith("vectron, version ")
    assert shell("search", "-h").code == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", 1), ("0", 0), ("01", "01"), ('"1"', "1"), ("-1", "-1"), ("1.0", "1.0"), ("a", "a"), ("", ""), ('"', '"'),
        ('"a', '"a'), ('"a"b"', '"a"b"'), ("18446744073709551615", 2**64 - 1),
        ("٣", "٣"), ('"\\u0041"', "A"), ("1 ", "1 "),
    ],
)  # fmt: skip
def test_ids_on_the_command_line(text: str, expected: int | str) -> None:
    found = parse_point_id(text)
    assert found == expected
    assert type(found) is type(expected)


def test_documents_are_always_json(node: MemoryNode, shell: Shell) -> None:
    node.rows[1] = np.ones(3, "<f4").tobytes(), pack_payload({"nan": math.nan, "inf": [math.inf], "big": 2**64 - 1})
    [point] = shell("get", "docs", "1", "--json").json
    assert point["payload"] == {"nan": None, "inf": [None], "big": 2**64 - 1}


def test_sizes_and_figures() -> None:
    assert [output.size(count) for count in (-1, 0, 1023, 1536, 5 * 2**40)] == [
        "-",
        "0 B",
        "1023 B",
        "1.5 KiB",
        "5.0 TiB",
    ]
    assert [output.figure(count) for count in (-1, 0, 12345)] == ["-", "0", "12,345"]


def test_markup_in_data_is_data(shell: Shell, node: MemoryNode) -> None:
    node.rows["[bold]x"] = np.ones(3, "<f4").tobytes(), pack_payload({"a": "[red]text[/red]"})
    shown = shell("search", "docs", "--vector", "[1]").out
    assert "[bold]x" in shown
    assert "[red]text[/red]" in shown


def test_conditional_commands_ask_for_what_they_say(shell: Shell) -> None:
    asked: list[Any] = []

    def answer(message: Any) -> Any:
        asked.append(message)
        return messages.WriteReply(2)

    with FakeNode(answer) as node:
        connect = ("--connect", node.target)
        assert shell("delete", "docs", "--filter", "{}", *connect).out == "2 deleted\n"
        assert shell("set-payload", "docs", '{"a": 1}', "7", *connect).out == "2 changed\n"
        assert shell("delete-payload", "docs", "--key", "a", "--key", "b", "--filter", '{"a": 1}', *connect).code == 0
        assert shell("upsert", "docs", "--mode", "insert", *connect, stdin='{"id": 1, "vector": [1]}').code == 0
        for wrong in (
            ("delete", "docs"),
            ("delete", "docs", "1", "--filter", "{}"),
            ("set-payload", "docs", "[]", "1"),
        ):
            assert shell(*wrong, *connect).code == 2
    delete, change, take, insert = asked
    assert (delete.ids, delete.filter) == ([], {})
    assert (change.ids, change.filter) == ([7], None)
    assert (take.remove, take.filter) == (["a", "b"], {"a": 1})
    assert (insert.mode, insert.if_versions) == ("insert", [])
