"""`vectron dev`: what it prints, and that it leaves nothing running. The nodes are scripts that only print."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.client.test_sync_client import wait_until

NODE = """
import os, signal, sys
words = dict(zip(sys.argv[2::2], sys.argv[3::2]))
name = words["--name"]
data = words["--data"]
os.makedirs(data, exist_ok=True)
if os.path.exists(os.path.join(data, "fail")):
    sys.exit(3)
open(os.path.join(data, "arguments"), "w").write(" ".join(sys.argv[1:]))
signal.signal(signal.SIGTERM, lambda *_: (open(os.path.join(data, "stopped"), "w").close(), os._exit(0)))
listen = words["--listen"]
if listen.endswith(":0"):
    listen = "127.0.0.1:" + str(40000 + int(name[-1]))
open(os.path.join(data, "pid"), "w").write(str(os.getpid()))
print(f"ready node=0000-{name} name={name} listen={listen} http=-", flush=True)
while True:
    signal.pause()
"""
DEV = """
import sys
from vectron_p2p.cli import dev, main
dev.PROGRAM = (sys.executable, sys.argv[1])
main.main(["dev", *sys.argv[2:]])
"""


class Running:
    def __init__(self, folder: Path, *words: str) -> None:
        script = folder / "node.py"
        script.write_text(NODE)
        command = [sys.executable, "-c", DEV, str(script), "--data", str(folder / "data"), *words]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.data = folder / "data"

    def lines(self, count: int) -> list[str]:
        assert self.process.stdout is not None
        return [self.process.stdout.readline().rstrip() for _ in range(count)]

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, err

    def pids(self) -> list[int]:
        return [int((self.data / f"node{number}" / "pid").read_text()) for number in range(1, 4)]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    started = Running(tmp_path, "--nodes", "3", "--base-port", "0")
    yield started
    started.process.kill()
    started.end()


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    # A zombie that nobody has collected yet is not running either.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def test_ready_lines_and_the_addresses(running: Running) -> None:
    first, *others, last = running.lines(4)
    assert first == "ready node=0000-node1 name=node1 listen=127.0.0.1:40001 http=-"
    assert sorted(line.split()[2] for line in others) == ["name=node2", "name=node3"]
    assert last == "ready nodes=3 connect=127.0.0.1:40001,127.0.0.1:40002,127.0.0.1:40003"
    arguments = [(running.data / f"node{number}" / "arguments").read_text() for number in (1, 2, 3)]
    assert ["--join 127.0.0.1:40001" in text for text in arguments] == [False, True, True]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_passed_on_and_nothing_is_left(running: Running, number: signal.Signals) -> None:
    running.lines(4)
    pids = running.pids()
    running.process.send_signal(number)
    code, _, _ = running.end()
    assert code == 0
    assert all(gone(pid) for pid in pids)
    assert all((running.data / f"node{each}" / "stopped").exists() for each in (1, 2, 3))


def test_one_node_may_die(running: Running) -> None:
    running.lines(4)
    os.kill(running.pids()[1], signal.SIGKILL)
    assert running.process.stderr is not None
    assert running.process.stderr.readline() == "node2 ended with exit code -9\n"
    running.process.send_signal(signal.SIGTERM)
    assert running.end()[0] == 0


def test_when_all_have_died_it_ends(running: Running) -> None:
    running.lines(4)
    for pid in running.pids():
        os.kill(pid, signal.SIGKILL)
    code, _, err = running.end()
    assert code == 1
    assert "no node is left" in err


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_killed_itself_it_takes_its_nodes_along(running: Running) -> None:
    running.lines(4)
    pids = running.pids()
    running.process.kill()
    running.process.wait()
    wait_until(lambda: all(gone(pid) for pid in pids))


def test_a_node_that_does_not_start_ends_it(tmp_path: Path) -> None:
    (tmp_path / "data" / "node2").mkdir(parents=True)
    (tmp_path / "data" / "node2" / "fail").touch()
    code, _, err = Running(tmp_path, "--nodes", "2", "--base-port", "7800").end()
    assert code == 1
    assert "node2 ended with exit code 3" in err
    assert (tmp_path / "data" / "node1" / "stopped").exists()
    assert "127.0.0.1:7800" in (tmp_path / "data" / "node1" / "arguments").read_text()
