"""`vectron cluster repair`: it waits for the passes it began, and says what they found."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest

from tests.unit.cli.running import Shell
from tests.unit.client.fake_node import FakeNode
from vectron_p2p.client import operations
from vectron_p2p.model.errors import NotFound
from vectron_p2p.model.repair import NodeRepair
from vectron_p2p.protocol import messages

DONE = NodeRepair("id-1", "n1", shards=4, compared=4, differing=2, pulled=1200, pushed=30, bytes=5000)


class Repairing:
    """Answers the looks at a repair one after the other; the last one for ever."""

    def __init__(self, *looks: list[NodeRepair]) -> None:
        self.looks = list(looks)
        self.asked: list[messages.Repair] = []

    def __call__(self, message: Any) -> Any:
        assert isinstance(message, messages.Repair)
        self.asked.append(message)
        if message.node == "nowhere":
            raise NotFound("there is no node 'nowhere'", field="node")
        look = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        return messages.RepairReply([asdict(each) for each in look])


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "POLL_S", 0.01)
    monkeypatch.setattr(operations, "SILENCE_S", 0.05)


def run(shell: Shell, node: Repairing, *words: str) -> Any:
    with FakeNode(node) as running:
        return shell("cluster", "repair", *words, "--connect", running.target)


def test_it_waits_until_all_passes_are_over(shell: Shell) -> None:
    node = Repairing([replace(DONE, running=True, compared=1)], [replace(DONE, running=True)], [DONE])
    done = run(shell, node, "n1", "--json")
    assert done.code == 0
    assert done.json == {"nodes": [asdict(DONE)], "complete": True}
    assert [each.start for each in node.asked] == [True, False, False]
    assert len({each.token for each in node.asked}) == 1
    assert {each.node for each in node.asked} == {"n1"}


def test_the_report_for_people(shell: Shell) -> None:
    done = run(shell, Repairing([DONE]))
    assert done.code == 0
    assert all(
        text in done.out for text in ("n1", "4/4", "1,200", "4.9 KiB", "1,230 rows copied", "no differences left")
    )


@pytest.mark.parametrize(
    ("found", "shown"),
    [
        (replace(DONE, left=3), "3 rows differ still"),
        (replace(DONE, compared=3, skipped=["shard 2 with n3: it is not open there"]), "n1: shard 2 with n3"),
        (replace(DONE, answered=False, skipped=["node n1 did not answer"]), "n1: node n1 did not answer"),
    ],
)
def test_what_is_not_whole_fails_and_says_why(shell: Shell, found: NodeRepair, shown: str) -> None:
    done = run(shell, Repairing([found]))
    assert done.code == 1
    assert shown in done.out


def test_a_node_that_falls_silent_is_waited_for_but_not_for_ever(shell: Shell) -> None:
    busy, silent = replace(DONE, running=True), replace(DONE, answered=False)
    assert run(shell, Repairing([busy], [silent], [DONE])).code == 0
    assert run(shell, Repairing([busy], [silent])).code == 1


def test_an_unknown_node_is_an_error(shell: Shell) -> None:
    done = run(shell, Repairing([DONE]), "nowhere", "--json")
    assert (done.code, done.error["code"]) == (1, "not_found")
