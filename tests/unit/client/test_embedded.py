"""Embedded mode: how both clients use the node in this process. It is a double; real ones have tests of their own."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest

from vectron_p2p import AsyncClient, connect
from vectron_p2p.client.session import RetryPolicy
from vectron_p2p.model.errors import NotFound, Unavailable
from vectron_p2p.protocol import messages


class Node:
    """What `vectron_p2p.node.embedded.EmbeddedNode` offers."""

    made: list[Node] = []  # noqa: RUF012  # emptied by the fixture

    def __init__(self, path: Any) -> None:
        self.path = path
        self.timeouts: list[float] = []
        self.closed = False
        self.refusals = 1
        Node.made.append(self)

    def call(self, message: Any, timeout: float, trace: int = 0) -> Any:
        self.timeouts.append(timeout)
        if isinstance(message, messages.Count):
            if self.refusals:
                self.refusals -= 1
                raise Unavailable("starting")
            return messages.CountReply(7)
        raise NotFound("none")

    async def acall(self, message: Any, timeout: float, trace: int = 0) -> Any:
        return self.call(message, timeout)

    def close(self) -> None:
        self.closed = True


@pytest.fixture(autouse=True)
def _node(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("vectron_p2p.node.embedded")
    module.EmbeddedNode = Node  # type: ignore[attr-defined]  # a double of the module
    monkeypatch.setitem(sys.modules, "vectron_p2p.node.embedded", module)
    Node.made.clear()


FAST = RetryPolicy(base_s=0.001)


@pytest.mark.parametrize(
    ("target", "path"), [(":memory:", ":memory:"), ("./data", Path("data")), (Path("x"), Path("x"))]
)
def test_the_blocking_client(target: Any, path: Any) -> None:
    with connect(target, timeout=9.0, retry=FAST) as db:
        [node] = Node.made
        assert node.path == path
        assert db.collection("docs").count() == 7
        assert 8.0 < node.timeouts[0] < 10.0
        with pytest.raises(NotFound):
            db.collection("docs").info()
        assert not node.closed
    assert node.closed


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_the_asynchronous_client(anyio_backend: str) -> None:
    async with AsyncClient(":memory:", retry=FAST) as db:
        [node] = Node.made
        assert await db.collection("docs").count() == 7
        with pytest.raises(NotFound):
            await db.collection("docs").info()
    assert node.closed
