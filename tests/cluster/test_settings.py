"""Settings of whole nodes, read through any of them."""

from __future__ import annotations

import pytest

from tests.cluster.looking import dead_to_all
from vectron_p2p.model.errors import NotFound, Unavailable
from vectron_p2p.testing import open_cluster


async def test_settings_of_all_of_one_and_of_none() -> None:
    async with open_cluster(nodes=3) as cluster, cluster.client("n1") as db:
        found = {(each.node, each.name): each for each in await db.settings()}
        assert {node for node, _ in found} == {"n1", "n2", "n3"}
        assert (found["n2", "name"].value, found["n2", "name"].origin) == ("n2", "program")
        assert found["n2", "durability"].origin == "default"
        limit = found["n3", "limits.write_timeout"]
        assert (limit.value, limit.origin) == (cluster.limits.write_timeout, "fixed")
        assert found["n3", "limits.swim.probe_interval"].value == cluster.limits.swim.probe_interval
        assert ("n1", "settings") not in found

        one = await db.settings("n2")
        assert {each.node for each in one} == {"n2"}
        assert await db.settings(one[0].node_id) == one
        with pytest.raises(NotFound):
            await db.settings("nobody")

        cluster.kill("n3")
        await dead_to_all(cluster, "n3")
        left = await db.settings()
        assert {each.node for each in left} == {"n1", "n2"}
        assert left.silent == ["n3"]
        with pytest.raises(Unavailable):
            await db.settings("n3")
