"""A fourth node joins real processes, is drained and dies, through the command line."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import fields

import pytest

from tests.integration.nodes import PATIENCE, vectron
from tests.unit.cli.running import Shell
from vectron_p2p import connect
from vectron_p2p.model.moves import MovesReport
from vectron_p2p.testing import ProcessCluster
from vectron_p2p.testing.processes import wait_for

pytestmark = pytest.mark.processes
POINTS = 200


def owned(shell: Shell) -> Counter[str]:
    """Replicas by node id."""
    return Counter(replica["node"] for shard in shell("shards", "--json").json for replica in shard["replicas"])


def test_a_node_joins_is_drained_and_another_one_dies(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    with ProcessCluster(3) as cluster:
        cluster.start()
        monkeypatch.setenv("VECTRON_CONNECT", cluster.connect)
        monkeypatch.setenv("COLUMNS", "200")
        with connect(cluster.connect) as db:
            docs = db.create_collection("docs", dimension=2, metric="l2", shards=4)
            docs.upsert(ids=range(POINTS), vectors=[[number, 1] for number in range(POINTS)])
        fourth = cluster.add_node()
        cluster.start_node(fourth.index)

        def shared() -> bool | None:
            return True if owned(shell) == Counter({node.id: 3 for node in cluster.nodes}) else None

        wait_for(shared, PATIENCE, "the fourth node to get its share", lambda: shell("cluster", "moves").out)
        balanced = shell("cluster", "rebalance", "--json")
        assert balanced.json.keys() == {field.name for field in fields(MovesReport)}
        assert (balanced.json["moves"], balanced.json["wanted"]) == ([], 0)
        assert shell("cluster", "rebalance").out == "every shard lies where it should\n"

        refused = shell("cluster", "remove", "n3")
        assert refused.code != 0
        assert "n3 is alive" in refused.err
        assert "no node 'n9'" in shell("cluster", "drain", "n9").err

        left = vectron("cluster", "drain", "n3", "--json", "--connect", cluster[0].address, timeout=PATIENCE)
        assert left.returncode == 0, left.stderr
        assert (json.loads(left.stdout)["state"], json.loads(left.stdout)["shards"]) == ("left", 0)
        assert fourth.process is not None
        assert fourth.process.wait(PATIENCE) == 0
        assert "left node=" in fourth.output()
        assert owned(shell) == Counter({node.id: 4 for node in cluster.nodes[:3]})
        assert "left" in shell("nodes").out
        assert len(shell("status", "--json").json["voters"]) == 3

        smaller = shell("collection", "set", "docs", "--replicas", "2")
        assert smaller.out.startswith("docs is to have 2 replicas")
        assert shell("cluster", "rebalance").code == 0
        assert sum(owned(shell).values()) == 8

        cluster.kill(2)
        removed = wait_for(
            lambda: found if (found := shell("cluster", "remove", "n2", "--no-wait")).code == 0 else None,
            PATIENCE,
            "n2 to be found dead",
        )
        assert "n2 removed" in removed.out or "n2 is removed" in removed.out
