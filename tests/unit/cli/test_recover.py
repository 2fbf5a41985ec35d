"""`vectron cluster recover`: what it prints and sends."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from tests.unit.cli.running import Shell
from tests.unit.client.fake_node import FakeNode
from vectron_p2p.model.errors import InvalidArgument
from vectron_p2p.model.recovery import HurtShardInfo, RecoveryInfo
from vectron_p2p.protocol import messages

HURT = [HurtShardInfo("docs", 3, ["n1", "n2", "n3"], ["n1"]), HurtShardInfo("docs", 4, ["n2", "n3"], [])]


def answer(message: Any) -> Any:
    assert isinstance(message, messages.Recover)
    if "n1" in message.lost:
        raise InvalidArgument("n1 is alive: only dead nodes can be given up", field="lost")
    return messages.RecoverReply(asdict(RecoveryInfo(message.force, 1, 9, ["n2", "n3"], ["n1"], HURT)))


def test_it_only_looks_unless_forced(shell: Shell) -> None:
    with FakeNode(answer) as node:
        looked = shell("cluster", "recover", "--connect", node.target)
        assert looked.code == 0
        for text in ("would be given up: n2, n3", "nothing was changed", "rows may be missing", "begins anew, empty"):
            assert text in looked.out
        done = shell("cluster", "recover", "--force", "--lost", "n2", "--lost", "n3", "--connect", node.target)
        assert done.code == 0
        assert done.out.startswith("given up: n2, n3")
        assert "nothing was changed" not in done.out
        assert node.requests == [messages.Recover(False, []), messages.Recover(True, ["n2", "n3"])]


def test_json_and_refusals(shell: Shell) -> None:
    with FakeNode(answer) as node:
        done = shell("cluster", "recover", "--json", "--connect", node.target)
        assert done.json["recovered"] is False
        assert done.json["hurt"][1]["left"] == []
        refused = shell("cluster", "recover", "--lost", "n1", "--json", "--connect", node.target)
        assert refused.code == 1
        assert refused.error["field"] == "lost"
        two = shell("cluster", "recover", "--json", "--connect", f"{node.target},127.0.0.1:1")
        assert two.code == 1
        assert "the one node" in two.error["message"]


def test_no_node_means_nothing_was_done(shell: Shell) -> None:
    done = shell("cluster", "recover", "--force", "--json", "--connect", "127.0.0.1:1")
    assert done.code == 1
    assert done.error["retryable"] is True


@pytest.mark.parametrize("words", [["cluster"], ["cluster", "recover", "--help"], ["doctor", "--help"]])
def test_help(shell: Shell, words: list[str]) -> None:
    assert "Usage" in "".join((done := shell(*words)).out + done.err)
