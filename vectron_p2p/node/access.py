"""Which requests a node answers to whom, and when."""

from __future__ import annotations

from vectron_p2p.protocol import messages as m

INSPECTION = (m.GetNodeStatus, m.MerkleRoots, m.MerkleLeaves, m.LeafVersions, m.FetchRows)
"""Requests between nodes that clients may make too: reads of one replica, for tools that compare replicas."""

LOOKING = (m.GetStatus, m.GetCluster, m.GetAlerts)
"""Requests of clients that a node answers while it is still starting: what it waits for shows there."""
