"""`vectron node`: options, the configuration file, and what is refused before anything starts."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.running import Shell
from vectron_p2p.model.errors import Unavailable
from vectron_p2p.model.ids import Address
from vectron_p2p.node.config import NodeConfig


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[NodeConfig]:
    """The configurations that nodes would have been started with."""
    from vectron_p2p.node import main

    configs: list[NodeConfig] = []

    def run_node(config: NodeConfig) -> int:
        configs.append(config)
        return 0

    monkeypatch.setattr(main, "run_node", run_node)
    return configs


def test_defaults(shell: Shell, started: list[NodeConfig], tmp_path: Path) -> None:
    assert shell("node", "--data", str(tmp_path)).code == 0
    assert started == [NodeConfig(data=tmp_path)]


def test_all_options(shell: Shell, started: list[NodeConfig], tmp_path: Path) -> None:
    words = ["--data", str(tmp_path), "--listen", "0.0.0.0:0", "--advertise", "10.0.0.1:7700", "--join", "a:1"]
    words += ["--join", "[::1]:2", "--zone", "z", "--name", "n", "--durability", "interval", "--insecure"]
    words += ["--max-requests-per-second", "500", "--max-requests-per-second-per-connection", "2.5"]
    words += ["--max-concurrent-requests", "7"]
    assert shell("node", *words).code == 0
    assert started == [
        NodeConfig(
            data=tmp_path,
            listen=Address("0.0.0.0", 0),
            advertise=Address("10.0.0.1", 7700),
            join=[Address("a", 1), Address("::1", 2)],
            zone="z",
            name="n",
            durability="interval",
            insecure=True,
            max_requests_per_second=500.0,
            max_requests_per_second_per_connection=2.5,
            max_concurrent_requests=7,
        )
    ]


def test_a_file_gives_defaults_and_flags_win(shell: Shell, started: list[NodeConfig], tmp_path: Path) -> None:
    config = tmp_path / "node.toml"
    place = f'data = "{tmp_path}"\nlisten = "127.0.0.1:9"\n'
    config.write_text(f'{place}join = ["a:1", "b:2"]\nname = "file"\ninsecure = true\nmax_requests_per_second = 20\n')
    assert shell("node", "--config", str(config), "--name", "flag").code == 0
    [found] = started
    assert (found.data, found.listen, found.name, found.insecure) == (tmp_path, Address("127.0.0.1", 9), "flag", True)
    assert found.join == [Address("a", 1), Address("b", 2)]
    assert found.max_requests_per_second == 20.0
    config.write_text(f'data = "{tmp_path}"\njoin = "a:1"\n')
    assert shell("node", "--config", str(config)).code == 0
    assert started[1].join == [Address("a", 1)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('listn = "a:1"', "did you mean 'listen'"),
        ('colour = "a"', "the keys are"),
        ('config = "x"', "unknown key"),
        ("name = 5", "name is a string"),
        ('insecure = "yes"', "true or false"),
        ("join = [1]", "list of strings"),
        ('max_requests_per_second = "many"', "is a number"),
        ("max_concurrent_requests = 0", "max-concurrent-requests"),
        ('durability = "never"', "durability"),
        ('listen = "nonsense"', "HOST:PORT"),
        ("= 1", "node.toml"),
        ('name = "\udcff"', "node.toml"),
    ],
)
def test_what_a_file_may_not_say(shell: Shell, started: list[NodeConfig], tmp_path: Path, text: str, said: str) -> None:
    config = tmp_path / "node.toml"
    config.write_bytes(text.encode("utf-8", "surrogateescape"))
    done = shell("node", "--data", str(tmp_path), "--config", str(config))
    assert done.code == 2
    assert said in done.err
    assert not started


def test_each_value_has_its_origin_and_the_nearest_wins(
    shell: Shell, started: list[NodeConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "node.toml"
    config.write_text('name = "file"\nzone = "file"\ndurability = "interval"\n')
    monkeypatch.setenv("VECTRON_NODE_NAME", "env")
    monkeypatch.setenv("VECTRON_NODE_ZONE", "env")
    monkeypatch.setenv("VECTRON_NODE_JOIN", "a:1 b:2")
    assert shell("node", "--data", str(tmp_path), "--config", str(config), "--name", "flag").code == 0
    found = {each.name: (each.value, each.origin) for each in started[0].settings}
    assert found["name"] == ("flag", "command line")
    assert found["zone"] == ("env", "environment (VECTRON_NODE_ZONE)")
    assert found["join"] == (["a:1", "b:2"], "environment (VECTRON_NODE_JOIN)")
    assert found["durability"] == ("interval", f"config file ({config})")
    assert found["slow_ms"] == (500.0, "default")
    assert (started[0].name, started[0].zone, started[0].durability) == ("flag", "env", "interval")
    fields = {each.name for each in dataclasses.fields(NodeConfig)} - {"settings"}
    assert set(found) == fields


def test_a_file_is_checked_without_a_node(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VECTRON_NODE_DURABILITY", "fsync")
    config = tmp_path / "node.toml"
    config.write_text('zone = "a"\n')
    assert shell("config", "check", str(config)).code == 0
    for text, said in (
        ('zonee = "a"', "unknown key 'zonee'"),
        ('durability = "never"', "never"),
        ('zone = "a b"', "--zone"),
        ("= 1", "node.toml"),
    ):
        config.write_text(text)
        done = shell("config", "check", str(config))
        assert done.code == 2
        assert said in done.err


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--data", "x", "--listen", "nonsense"],
        ["--data", "x", "--join", "a:0"],
        ["--data", "x", "--advertise", "a:0"],
        ["--data", "x", "--name", "a b"],
        ["--data", "x", "--zone", "a b"],
        ["--data", "x", "--zone", ""],
        ["--data", "x", "--durability", "never"],
        ["--data", "x", "--http", "127.0.0.1"],
    ],
)
def test_wrong_usage_starts_nothing(shell: Shell, started: list[NodeConfig], words: list[str]) -> None:
    assert shell("node", *words).code == 2
    assert not started


def test_exit_codes_and_errors_of_the_node_are_passed_on(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from vectron_p2p.node import main

    monkeypatch.setattr(main, "run_node", lambda _: 1)
    assert shell("node", "--data", str(tmp_path)).code == 1

    def fail(_: Any) -> int:
        raise Unavailable("the folder is in use by process 7")

    monkeypatch.setattr(main, "run_node", fail)
    done = shell("node", "--data", str(tmp_path))
    assert done.code == 1
    assert "process 7" in done.err


def test_help_starts_without_the_heavy_packages() -> None:
    program = (
        "import sys\nfrom vectron_p2p.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit: pass\n"
        "print('LOADED', *{name.split('.')[0] for name in sys.modules})"
    )
    for words in (["--help"], ["node", "--help"], ["import", "--help"], ["console", "--help"]):
        done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=True)
        loaded = set(done.stdout.rpartition("LOADED")[2].split())
        assert not loaded & {"numpy", "hnswlib", "plyvel", "textual", "trio", "anyio", "rich", "pyarrow"}
