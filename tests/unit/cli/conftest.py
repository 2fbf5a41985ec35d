"""A shell, and a node for it to talk to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.cli.running import Shell
from tests.unit.client.memory_node import MemoryNode


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryNode]:
    with MemoryNode() as running:
        monkeypatch.setenv("VECTRON_CONNECT", running.target)
        yield running


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(monkeypatch, capsys)
