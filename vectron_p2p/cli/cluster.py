"""The cluster at a glance: status, nodes, shards, collections."""

from __future__ import annotations

import click

from vectron_p2p.cli import output
from vectron_p2p.cli.options import client, client_options


@click.command()
@client_options
def status(connect: str, as_json: bool) -> None:
    """The cluster and its nodes at a glance."""
    with client(connect) as db:
        found = db.status()
    if as_json:
        output.document(found)
        return
    alive = sum(node.liveness == "alive" for node in found.nodes)
    nodes_alive = f"nodes {alive}/{len(found.nodes)} alive"
    output.text(f"cluster {found.cluster_id}  epoch {found.epoch}  {nodes_alive}  collections {found.collections}")
    output.table(
        (
            "NAME",
            "ADDRESS",
            "STATE",
            "LIVENESS",
            "SHARDS",
            "POINTS",
            "UNINDEXED",
            "HINTS",
            "DATA",
            "RSS",
            "LOOP_LAG_MS",
            "CACHE_HITS",
            "VERSION",
        ),
        [
            (node.name, node.address, node.state, node.liveness)
            + (
                (
                    node.shards,
                    output.figure(node.points),
                    node.unindexed,
                    node.hints,
                    output.size(node.data_bytes),
                    output.size(node.rss_bytes),
                    f"{node.loop_lag_ms:.1f}",
                    f"{node.cache_hit_ratio:.0%}",
                    node.version + (" read-only" if node.read_only else ""),
                )
                if node.version  # it answered; one believed alive may have died a moment ago
                else ("-",) * 9
            )
            for node in sorted(found.nodes, key=lambda node: node.name)
        ],
        numbers=("SHARDS", "POINTS", "UNINDEXED", "HINTS", "DATA", "RSS", "LOOP_LAG_MS", "CACHE_HITS"),
    )
    if found.moves:
        output.text(f"shards being moved: {found.moves} (`vectron cluster moves`)")
    if found.alerts:
        output.text(f"active alerts: {found.alerts} (`vectron alerts`)")
    if found.under_replicated:
        output.text(f"under-replicated shards: {found.under_replicated}")
    for warning in found.warnings:
        output.text(f"warning: {warning}")


@click.command()
@client_options
def nodes(connect: str, as_json: bool) -> None:
    """The members of the cluster.

    STATE is what all agree on, LIVENESS what the answering node sees.
    """
    with client(connect) as db:
        found = db.cluster().nodes
    if as_json:
        output.document(found)
        return
    output.table(
        ("NAME", "ID", "ADDRESS", "ZONE", "STATE", "LIVENESS"),
        [
            (node.name, node.id, node.address, node.zone or "-", node.state, node.liveness)
            for node in sorted(found, key=lambda node: node.name)
        ],
    )


@click.command()
@client_options
def shards(connect: str, as_json: bool) -> None:
    """The replicas of every shard."""
    with client(connect) as db:
        found = db.cluster()
    if as_json:
        output.document(found.shards)
        return
    names = {node.id: node.name for node in found.nodes}
    output.table(
        ("COLLECTION", "SHARD", "NODE", "STATE", "MOVE", "POINTS", "INDEXED", "TOMBSTONES", "BYTES", "MERKLE_ROOT"),
        [
            (
                shard.collection,
                shard.shard,
                names.get(replica.node, replica.node),
                replica.state,
                "coming" if replica.node == shard.coming else "leaving" if replica.node == shard.leaving else "-",
                output.figure(replica.points),
                output.figure(replica.indexed),
                output.figure(replica.tombstones),
                output.size(replica.bytes),
                replica.merkle_root[:12] or "-",
            )
            for shard in found.shards
            for replica in shard.replicas
        ],
        numbers=("SHARD", "POINTS", "INDEXED", "TOMBSTONES", "BYTES"),
    )


@click.command()
@client_options
def collections(connect: str, as_json: bool) -> None:
    """All collections."""
    with client(connect) as db:
        found = db.list_collections()
    if as_json:
        output.document(found)
        return
    output.table(
        ("NAME", "DIMENSION", "METRIC", "SHARDS", "REPLICAS", "COUNT", "INDEXED", "BYTES"),
        [
            (
                info.name,
                info.dimension,
                info.metric,
                info.shards,
                info.replicas,
                output.figure(info.count),
                output.figure(info.indexed),
                output.size(info.bytes),
            )
            for info in found
        ],
        numbers=("DIMENSION", "SHARDS", "REPLICAS", "COUNT", "INDEXED", "BYTES"),
    )
