"""Node code reaches time, threads and randomness only through what it is handed.

Otherwise a simulation is no longer a function of its seed: the same node code runs there on a simulated clock, executor
and network. Import contracts cannot see this (trio itself is allowed), so the calls are looked up in the syntax tree.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "vectron_p2p"

# Programs and libraries around a node, and what hands out the real or the simulated clock, threads and randomness.
EXEMPT = {"runtime", "testing", "cli", "client", "bench"}

FORBIDDEN = {
    "trio.sleep": "Clock.sleep",
    "trio.sleep_until": "Clock.sleep_until",
    "trio.current_time": "Clock.now",
    "trio.fail_after": "Clock.fail_after",
    "trio.fail_at": "Clock.fail_after",
    "trio.move_on_after": "Clock.move_on_after",
    "trio.move_on_at": "Clock.move_on_after",
    "trio.to_thread": "Executor.run",
    "trio.from_thread": "Executor.run",
    "time.time": "Clock.wall",
    "time.time_ns": "Clock.wall",
    "time.monotonic": "Clock.now",
    "time.monotonic_ns": "Clock.now",
    "time.perf_counter": "Clock.now",
    "time.perf_counter_ns": "Clock.now",
    "time.sleep": "Clock.sleep",
    "datetime.datetime.now": "Clock.wall",
    "datetime.datetime.utcnow": "Clock.wall",
    "threading.Thread": "Executor.run",
    "threading.Timer": "Clock.sleep",
    "concurrent.futures.ThreadPoolExecutor": "Executor.run",
    "uuid.uuid1": "the Random that was handed in",
    "uuid.uuid4": "the Random that was handed in",
    "os.urandom": "the Random that was handed in",
    "secrets": "the Random that was handed in",
    "numpy.random": "the Random that was handed in",
    "random.SystemRandom": "the Random that was handed in",
    **{
        f"random.{name}": "the Random that was handed in"
        for name in (
            "random", "randint", "randrange", "choice", "choices", "shuffle", "sample", "uniform", "expovariate",
            "gauss", "getrandbits", "randbytes", "seed",
        )
    },
}  # fmt: skip

# (file, name) -> why this one is right. These files start a real node in a real process; no simulation runs them.
ALLOWED: dict[tuple[str, str], str] = {
    ("node/embedded.py", "threading.Thread"): "a node embedded in a program runs its own loop beside the program's",
    ("node/embedded.py", "trio.fail_after"): "the deadline of a call that comes from outside the node's loop",
    ("node/hosting.py", "os.urandom"): "the seed of the Random that everything else is handed",
}


class Names(ast.NodeVisitor):
    """Dotted names of other modules that a module uses, import aliases resolved: `(line, "trio.sleep")`.

    What is imported for type checking alone is not there when the code runs.
    """

    def __init__(self) -> None:
        self.aliases: dict[str, str] = {}
        self.used: list[tuple[int, str]] = []

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) not in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
            self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.aliases[alias.asname or alias.name.partition(".")[0]] = (
                alias.name if alias.asname else alias.name.partition(".")[0]
            )

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            full = f"{node.module}.{alias.name}"
            self.aliases[alias.asname or alias.name] = full
            self.used.append((node.lineno, full))

    def visit_Attribute(self, node: ast.Attribute) -> None:
        parts: list[str] = []
        inner: ast.expr = node
        while isinstance(inner, ast.Attribute):
            parts.append(inner.attr)
            inner = inner.value
        if isinstance(inner, ast.Name) and inner.id in self.aliases:
            parts.append(self.aliases[inner.id])
            self.used.append((node.lineno, ".".join(reversed(parts))))
        self.generic_visit(node)


def violations(source: str) -> list[tuple[int, str]]:
    """Forbidden names in `source`, each once per line."""
    names = Names()
    names.visit(ast.parse(source))
    found = {
        (line, banned)
        for line, used in names.used
        for banned in FORBIDDEN
        if used == banned or used.startswith(f"{banned}.")
    }
    return sorted(found)


def node_files() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] not in EXEMPT)


@pytest.mark.parametrize("path", node_files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_node_code_uses_only_what_it_is_handed(path: Path) -> None:
    relative = str(path.relative_to(PACKAGE))
    found = [
        f"{relative}:{line}: {name} (use {FORBIDDEN[name]})"
        for line, name in violations(path.read_text(encoding="utf-8"))
        if (relative, name) not in ALLOWED
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import trio\nasync def f():\n    await trio.sleep(1)", ["trio.sleep"]),
        ("import trio as t\nasync def f():\n    await t.to_thread.run_sync(g)", ["trio.to_thread"]),
        ("from trio import sleep", ["trio.sleep"]),
        ("from time import monotonic as now", ["time.monotonic"]),
        ("import random\nrandom.choice([1])", ["random.choice"]),
        ("import numpy as np\nnp.random.default_rng()", ["numpy.random"]),
        ("import secrets\nsecrets.token_hex()", ["secrets"]),
        ("import datetime\ndatetime.datetime.now()", ["datetime.datetime.now"]),
        ("from datetime import datetime\ndatetime.now()", ["datetime.datetime.now"]),
        ("import random\ndef f(rng: random.Random): return rng.choice([1])", []),
        ("import trio\nevent = trio.Event()\nasync def f(): await trio.sleep_forever()", []),
        ("def f(clock): return clock.sleep(1)", []),
        ("if TYPE_CHECKING:\n    import random\ndef f(random: random.Random): return random.choice([1])", []),
    ],
)
def test_the_check_sees_through_aliases(source: str, expected: list[str]) -> None:
    assert [name for _, name in violations(source)] == expected


def test_exceptions_are_still_needed() -> None:
    for relative, name in ALLOWED:
        used = [found for _, found in violations((PACKAGE / relative).read_text(encoding="utf-8"))]
        assert name in used, f"{relative} no longer uses {name}: take it off the list"
