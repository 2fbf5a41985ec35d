"""Collections: the table of all, the shards of one, the replicas of one shard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.render import format as fmt
from tui.render import marks
from tui.render.table import Cell, Column, Row, Sort, Table, cell
from tui.render.text import Line, Span, Tone, line

if TYPE_CHECKING:
    from vectron_p2p.model.collections import CollectionInfo
    from vectron_p2p.model.nodes import ClusterInfo, ReplicaInfo, ShardInfo

INDEXED = Column(
    "indexed",
    "INDEXED",
    priority=3,
    right=True,
    help="share of the points that a graph holds; small shards need none",
)
COLUMNS = (
    Column("name", "COLLECTION", most=48),
    Column("points", "POINTS", right=True),
    INDEXED,
    Column("size", "SIZE", priority=2, right=True, help="one replica of each shard"),
    Column("dimension", "DIM", priority=1, right=True),
    Column("metric", "METRIC", priority=4),
    Column("shards", "SHARDS", priority=5, right=True),
    Column("replicas", "REPLICAS", priority=6, right=True, help="replicas asked for"),
    Column("under", "MISSING", priority=2, right=True, help="shards with fewer replicas than asked"),
    Column("m", "M", priority=8, right=True, help="links of a graph node"),
    Column("ef", "EF CONSTR", priority=9, right=True, help="breadth of the search while linking"),
    Column("id", "ID", priority=10, most=36),
)
DEFAULT_SORT = Sort("name")


def _row(info: CollectionInfo) -> Row:
    under = Tone.WARN if info.under_replicated else Tone.MUTED
    return Row(
        info.id or info.name,
        {
            "name": cell(info.name, Tone.STRONG),
            "points": cell(fmt.count(info.count), sort=float(info.count)),
            "indexed": cell(
                fmt.share(info.indexed, info.count), sort=info.indexed / info.count if info.count > 0 else 0.0
            ),
            "size": cell(fmt.size(info.bytes), sort=float(info.bytes)),
            "dimension": cell(str(info.dimension), sort=float(info.dimension)),
            "metric": cell(info.metric, Tone.MUTED),
            "shards": cell(str(info.shards), sort=float(info.shards)),
            "replicas": cell(str(info.replicas), sort=float(info.replicas)),
            "under": cell(str(info.under_replicated), under, sort=float(info.under_replicated)),
            "m": cell(str(info.m), Tone.MUTED, sort=float(info.m)),
            "ef": cell(str(info.ef_construction), Tone.MUTED, sort=float(info.ef_construction)),
            "id": cell(info.id or fmt.UNKNOWN, Tone.MUTED),
        },
    )


def table(infos: list[CollectionInfo]) -> Table:
    return Table(COLUMNS, tuple(_row(info) for info in infos))


def title(infos: list[CollectionInfo]) -> str:
    return f"Collections · {len(infos)}"


def find(infos: list[CollectionInfo] | None, key: str) -> CollectionInfo | None:
    return next((info for info in infos if key in (info.id, info.name)), None) if infos is not None else None


def empty() -> list[Line]:
    return [
        line(("No collections yet", Tone.STRONG)),
        (),
        line("Create one with"),
        line(("vectron collection create NAME --dimension D", Tone.ACCENT)),
    ]


def facts(info: CollectionInfo) -> list[tuple[str, Line]]:
    under = fmt.plural(info.under_replicated, "shard") if info.under_replicated else "none"
    return [
        ("Points", line((fmt.count(info.count), Tone.STRONG))),
        ("Indexed", line(f"{fmt.count(info.indexed)} ({fmt.share(info.indexed, info.count)})")),
        ("Size", line(fmt.size(info.bytes))),
        ("Vectors", line(f"{info.dimension} × float32, {info.metric}")),
        ("Graph", line(f"M {info.m}, ef {info.ef_construction}")),
        ("Placement", line(f"{fmt.plural(info.shards, 'shard')} × {fmt.plural(info.replicas, 'replica')}")),
        ("Payload index", line(*_payload_index(info))),
        ("Too few owners", line((under, Tone.WARN if info.under_replicated else Tone.NORMAL))),
    ]


def _payload_index(info: CollectionInfo) -> list[str | tuple[str, Tone]]:
    """Its memory, and what it had no room for."""
    if not info.payload_index:
        return [("off", Tone.MUTED)]
    left = max(0, info.payload_unindexed)
    return [fmt.size(info.payload_bytes), *([(f", {fmt.count(left)} points not in it", Tone.WARN)] if left else [])]


SHARD_COLUMNS = (
    Column("shard", "SHARD", right=True),
    Column("health", "HEALTH", help="whether its replicas answer and hold the same rows"),
    Column("points", "POINTS", priority=1, right=True, help="of the fullest replica"),
    Column(
        "indexed", "INDEXED", priority=4, right=True, help="of the least indexed replica; small shards need no graph"
    ),
    Column("tombstones", "DELETED", priority=5, right=True, help="tombstones of the fullest replica"),
    Column("size", "SIZE", priority=3, right=True, help="of the largest replica"),
    Column("owners", "OWNERS", priority=2, most=60, help="nodes that hold it, with the state of each replica"),
)
SHARD_SORT = Sort("shard")


def shards_of(info: ClusterInfo, collection: CollectionInfo) -> list[ShardInfo]:
    return [shard for shard in info.shards if shard.collection in (collection.name, collection.id)]


def health(shard: ShardInfo, wanted: int) -> tuple[str, Tone, float]:
    """Word, tone and rank (worst first) of a shard; `wanted` replicas are asked for."""
    answering = [replica for replica in shard.replicas if replica.state != "unreachable"]
    silent = len(shard.replicas) - len(answering)
    if not answering:
        return "✕ no replica", Tone.BAD, 0.0
    if len(answering) < len(shard.replicas) // 2 + 1:
        return "✕ no quorum", Tone.BAD, 1.0
    if silent:
        return f"◐ {silent} silent", Tone.WARN, 2.0
    if len({replica.merkle_root for replica in answering}) > 1:
        return "◐ differs", Tone.WARN, 3.0
    if len(shard.replicas) < wanted:
        return f"◐ {len(shard.replicas)} of {wanted}", Tone.WARN, 4.0
    return "● in sync", Tone.OK, 5.0


def _name(node: str, names: dict[str, str]) -> str:
    return names.get(node, node[:8])


def _owners(replicas: list[ReplicaInfo], names: dict[str, str]) -> Line:
    spans: list[Span] = []
    for replica in replicas:
        sign, tone = marks.replica(replica.state)
        spans += [Span(f"{sign} ", tone), Span(f"{_name(replica.node, names)}  ")]
    return tuple(spans)


def shard_table(shards: list[ShardInfo], wanted: int, names: dict[str, str]) -> Table:
    rows = []
    for shard in shards:
        word, tone, rank = health(shard, wanted)
        known = [replica for replica in shard.replicas if replica.points >= 0]
        fullest = max(known, key=lambda replica: replica.points, default=None)
        least = min(known, key=lambda replica: replica.indexed, default=None)
        rows.append(
            Row(
                str(shard.shard),
                {
                    "shard": cell(str(shard.shard), Tone.STRONG, sort=float(shard.shard)),
                    "health": cell(word, tone, sort=rank),
                    "points": _of(fullest, "points"),
                    "indexed": cell(fmt.share(least.indexed, least.points), sort=float(least.indexed))
                    if least is not None
                    else _of(None, ""),
                    "tombstones": _of(fullest, "tombstones", Tone.MUTED),
                    "size": cell(fmt.size(size), sort=float(size))
                    if (size := max((replica.bytes for replica in known), default=-1)) >= 0
                    else _of(None, ""),
                    "owners": Cell(_owners(shard.replicas, names), float(len(shard.replicas))),
                },
            )
        )
    return Table(SHARD_COLUMNS, tuple(rows))


def _of(replica: ReplicaInfo | None, figure: str, tone: Tone = Tone.NORMAL) -> Cell:
    if replica is None:
        return cell(fmt.UNKNOWN, Tone.MUTED, sort=-1.0)
    value = float(getattr(replica, figure))
    return cell(fmt.count(value), tone, sort=value)


REPLICA_COLUMNS = (
    Column("node", "NODE"),
    Column("liveness", "LIVE", priority=2),
    Column("state", "REPLICA", priority=1),
    Column("points", "POINTS", priority=1, right=True),
    Column("indexed", "INDEXED", priority=3, right=True),
    Column("tombstones", "DELETED", priority=5, right=True),
    Column("bytes", "SIZE", priority=4, right=True),
    Column("root", "MERKLE ROOT", priority=2, most=32, help="equal roots: equal replicas"),
)
REPLICA_SORT = Sort("node")


def replica_table(shard: ShardInfo, names: dict[str, str], liveness: dict[str, str]) -> Table:
    """The replicas of one shard; a root unlike that of most stands out."""
    known = [replica.merkle_root for replica in shard.replicas if replica.merkle_root]
    usual = max(set(known), key=lambda root: (known.count(root), root)) if known else ""
    rows = []
    for replica in shard.replicas:
        sign, tone = marks.replica(replica.state)
        alive = liveness.get(replica.node, "unknown")
        live_sign, live_tone = marks.liveness(alive)
        odd = bool(replica.merkle_root) and replica.merkle_root != usual
        root = cell(replica.merkle_root or fmt.UNKNOWN, Tone.WARN if odd else Tone.MUTED)
        rows.append(
            Row(
                replica.node,
                {
                    "node": cell(_name(replica.node, names), Tone.STRONG),
                    "liveness": cell(f"{live_sign} {alive}", live_tone),
                    "state": cell(f"{sign} {replica.state}", tone),
                    "points": cell(fmt.count(replica.points), sort=float(replica.points)),
                    "indexed": cell(fmt.share(replica.indexed, replica.points), sort=float(replica.indexed)),
                    "tombstones": cell(fmt.count(replica.tombstones), Tone.MUTED, sort=float(replica.tombstones)),
                    "bytes": cell(fmt.size(replica.bytes), sort=float(replica.bytes)),
                    "root": root,
                },
            )
        )
    return Table(REPLICA_COLUMNS, tuple(rows))
