"""Starts of `vectron node` that must fail, and say why in one line; those that must wait; `vectron dev`."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.integration.nodes import DIMENSION, PATIENCE, READY, free_port, node, running, vectors, vectron
from vectron_p2p import connect
from vectron_p2p.testing.processes import wait_for

pytestmark = pytest.mark.processes


def refused(*words: object) -> tuple[int, str]:
    """Exit code and the last line on stderr of a node that does not start; nothing on stdout, no traceback."""
    done = vectron("node", *words)
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr.rstrip("\n").rpartition("\n")[2]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("starts")


@pytest.fixture(scope="module")
def alone(place: Path) -> Iterator[str]:
    """The address of a cluster of one node, named "one"."""
    with node(place, place / "one", "--name", "one") as (_, address):
        yield address


def test_a_folder_in_use(alone: str, place: Path) -> None:
    code, line = refused("--data", place / "one", "--listen", "127.0.0.1:0")
    pid = (place / "one" / "lock").read_text().strip()
    assert code == 1
    assert psutil.pid_exists(int(pid))
    assert f"in use by process {pid}" in line


def test_a_folder_of_another_cluster(alone: str, place: Path, tmp_path: Path) -> None:
    with node(tmp_path, tmp_path / "two") as (process, _):
        assert process.end() == (0, "")
    code, line = refused("--data", tmp_path / "two", "--listen", "127.0.0.1:0", "--join", alone)
    assert code == 1
    assert alone in line
    assert "belongs to cluster" in line


def test_a_name_in_use(alone: str, tmp_path: Path) -> None:
    words = ("--data", tmp_path / "two", "--listen", "127.0.0.1:0", "--join", alone)
    code, line = refused(*words, "--name", "one")
    assert code == 1
    assert "one" in line
    assert "name" in line
    with connect(alone) as db:
        assert [each.name for each in db.cluster().nodes] == ["one"]


def test_a_port_in_use(alone: str, tmp_path: Path) -> None:
    code, line = refused("--data", tmp_path / "two", "--listen", alone)
    assert code == 1
    assert line == f"vectron node: cannot listen on {alone}: Address already in use"
    with socket.socket(type=socket.SOCK_DGRAM) as packets:
        packets.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{packets.getsockname()[1]}"
        code, line = refused("--data", tmp_path / "two", "--listen", address)
    assert code == 1
    assert line == f"vectron node: cannot listen on {address}: Address already in use"


def test_an_address_that_is_not_of_this_machine(tmp_path: Path) -> None:
    code, line = refused("--data", tmp_path / "x", "--listen", "192.0.2.1:7700", "--insecure")
    assert code == 1
    assert "192.0.2.1:7700" in line


@pytest.mark.parametrize(
    "words",
    [
        ("--listen", "192.0.2.1:7700"),
        ("--listen", "0.0.0.0:0", "--advertise", "127.0.0.1:7700"),
        ("--listen", "0.0.0.0:0", "--insecure"),  # nobody could tell where it is
    ],
)
def test_beyond_loopback_only_when_asked_for_and_told_where(tmp_path: Path, words: tuple[str, ...]) -> None:
    code, line = refused("--data", tmp_path / "x", *words)
    assert code == 2
    assert "--insecure" in line or "--advertise" in line
    assert not (tmp_path / "x").exists()


def test_beyond_loopback_when_asked_for(tmp_path: Path) -> None:
    port = free_port()
    words = ("--listen", f"0.0.0.0:{port}", "--advertise", f"127.0.0.1:{port}", "--insecure")
    with running(tmp_path, "node", "--data", tmp_path / "x", *words) as process:
        match = READY.fullmatch(process.line())
        assert match, process.err
        assert match[2] == f"127.0.0.1:{port}"
        with connect(match[2]) as db:
            assert db.cluster().nodes[0].address == f"127.0.0.1:{port}"
        assert process.end() == (0, "")


def test_an_unknown_format(tmp_path: Path) -> None:
    with node(tmp_path, tmp_path / "x") as (process, _):
        assert process.end() == (0, "")
    (tmp_path / "x" / "format").write_text("vectron-data 99\n")
    code, line = refused("--data", tmp_path / "x", "--listen", "127.0.0.1:0")
    assert code == 1
    assert "vectron-data 99" in line
    assert "version" in line


def test_a_folder_that_holds_something_else(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    code, line = refused("--data", tmp_path, "--listen", "127.0.0.1:0")
    assert code == 1
    assert "thesis.tex" in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["thesis.tex"]


def test_a_file_for_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, line = refused("--data", tmp_path / "file" / "below", "--listen", "127.0.0.1:0")
    assert code == 1
    assert "data folder" in line


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_joining_nobody_waits_and_says_so(tmp_path: Path, number: signal.Signals) -> None:
    seed = f"127.0.0.1:{free_port()}"
    with running(tmp_path, "node", "--data", tmp_path / "x", "--listen", "127.0.0.1:0", "--join", seed) as process:
        process.wait_err(seed)
        process.wait_err("retrying")
        assert process.process.poll() is None
        assert process.end(number) == (0, "")
        assert "Traceback" not in process.err
    with running(tmp_path, "node", "--data", tmp_path / "x", "--listen", "127.0.0.1:0", "--join", seed) as process:
        process.wait_err("retrying")  # the folder belongs to no cluster yet, and founds none
        process.end()


def test_a_joining_node_waits_for_its_cluster(tmp_path: Path) -> None:
    seed = f"127.0.0.1:{free_port()}"
    words = ("--listen", "127.0.0.1:0", "--join", seed, "--name", "second")
    with running(tmp_path, "node", "--data", tmp_path / "second", *words) as second:
        second.wait_err("retrying")
        with running(tmp_path, "node", "--data", tmp_path / "first", "--listen", seed) as first:
            assert READY.fullmatch(first.line())
            assert READY.fullmatch(second.line())


def test_a_config_file_says_the_same(tmp_path: Path) -> None:
    config = tmp_path / "node.toml"
    config.write_text(f'data = "{tmp_path / "x"}"\nlisten = "127.0.0.1:0"\nname = "by-file"\ndurability = "interval"\n')
    with running(tmp_path, "node", "--config", config, "--name", "by-flag") as process:
        match = READY.fullmatch(process.line())
        assert match, process.err
        assert match[1] == "by-flag"
        assert process.end() == (0, "")


def test_dev_runs_a_cluster_and_leaves_nothing(tmp_path: Path) -> None:
    words = ("dev", "--nodes", "3", "--data", tmp_path / "cluster", "--base-port", "0")
    with running(tmp_path, *words) as process:
        matches = [READY.fullmatch(process.line()) for _ in range(3)]
        assert all(matches), process.err
        addresses = {match[1]: match[2] for match in matches if match}
        assert sorted(addresses) == ["node1", "node2", "node3"]
        last = process.line()
        assert last == f"ready nodes=3 connect={','.join(addresses[name] for name in sorted(addresses))}\n"
        children = psutil.Process(process.process.pid).children(recursive=True)
        assert len(children) == 3
        with connect(last.strip().partition("connect=")[2]) as db:
            docs = db.create_collection("docs", dimension=DIMENSION)
            docs.upsert(ids=list(range(10)), vectors=vectors(10), consistency="all")
        assert process.end(signal.SIGINT) == (0, "")
        assert not any(child.is_running() for child in children)
        assert "Traceback" not in process.err

    with running(tmp_path, *words) as process:  # the same folder: the same cluster
        lines = [process.line() for _ in range(4)]
        with connect(lines[-1].strip().partition("connect=")[2]) as db:
            wait_for(lambda: db.collection("docs").count() == 10 or None, PATIENCE, "the points of the run before")
        assert process.end() == (0, "")
