"""What the looks at running nodes find wrong."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from vectron_p2p.model.ids import NodeId
from vectron_p2p.testing.checks.agreement import Agreement


def node(mark: int, boot: str, incarnation: int) -> Any:
    catalog = SimpleNamespace(state=SimpleNamespace(generation=1, epoch=1, hash=b"h", collections={}, members={}))
    gossip = SimpleNamespace(_swim=SimpleNamespace(incarnation=incarnation))
    identity = SimpleNamespace(node=NodeId("a"), name="n1", boot=boot)
    return SimpleNamespace(catalog=catalog, gossip=gossip, identity=identity, stamps=SimpleNamespace(mark=mark))


def test_a_clock_that_comes_back_below_its_mark_is_found() -> None:
    found: list[str] = []
    agreement = Agreement(lambda invariant, text: found.append(invariant))
    agreement.look([node(10, "first", 1)])
    agreement.look([node(12, "first", 1)])
    agreement.look([node(12, "second", 2)])
    assert found == []
    agreement.look([node(11, "third", 3)])
    assert found == ["C1"]
