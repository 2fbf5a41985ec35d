"""Who owns what: the share of each node, and every shard with its owners in one strip, a column for a node.

Nodes stand in the order of their zones, so that the replicas of a shard in one zone stand beside each other.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from tui.render import format as fmt
from tui.render import marks
from tui.render.collections import health
from tui.render.table import Cell, Column, LazyCells, Row, Sort, SortValue, Table, cell
from tui.render.text import Line, Span, Tone, clip, line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from vectron_p2p.model.collections import CollectionInfo
    from vectron_p2p.model.moves import MoveInfo
    from vectron_p2p.model.nodes import ClusterInfo, NodeInfo, ShardInfo

STRIP = 48  # nodes: the widest strip that leaves room for a name beside it
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
BAR = 24  # cells of the longest bar
GONE = ("left", "removed")


@dataclass(frozen=True, slots=True)
class Share:
    """What one node owns. `coming`, `leaving`: shards on their way to it and from it."""

    node: NodeInfo
    letter: str
    replicas: int
    coming: int
    leaving: int


@dataclass(frozen=True, slots=True)
class Placement:
    """All nodes with their shares, in the order of the strip."""

    shares: tuple[Share, ...]

    @property
    def mean(self) -> float:
        """Replicas of a node that takes shards."""
        taking = [share for share in self.shares if share.node.state != "draining"]
        return sum(share.replicas for share in self.shares) / len(taking) if taking else 0.0


class Places:
    """Counts what nodes own. Shards that are the same objects as before need not be counted again."""

    def __init__(self) -> None:
        self._shards: Sequence[ShardInfo] = ()
        self._owned: Counter[str] = Counter()
        self._coming: Counter[str] = Counter()
        self._leaving: Counter[str] = Counter()

    def placement(self, info: ClusterInfo) -> Placement:
        if len(info.shards) == len(self._shards):
            for shard, held in zip(info.shards, self._shards, strict=True):
                if shard is not held:
                    self._count(held, -1)
                    self._count(shard, 1)
        else:
            for counter in (self._owned, self._coming, self._leaving):
                counter.clear()
            for shard in info.shards:
                self._count(shard, 1)
        self._shards = info.shards
        members = (node for node in info.nodes if node.state not in GONE or self._owned[node.id])
        nodes = sorted(members, key=lambda node: (node.zone, node.name))
        letters = LETTERS.ljust(len(nodes), " ")
        return Placement(
            tuple(
                Share(node, letter, self._owned[node.id], self._coming[node.id], self._leaving[node.id])
                for node, letter in zip(nodes, letters, strict=False)
            )
        )

    def _count(self, shard: ShardInfo, times: int) -> None:
        for replica in shard.replicas:
            self._owned[replica.node] += times
        if shard.coming:
            self._coming[shard.coming] += times
        if shard.leaving:
            self._leaving[shard.leaving] += times


def summary(placed: Placement, moves: Sequence[MoveInfo]) -> Line:
    """How even the shares are, and what is under way."""
    taking = [share.replicas for share in placed.shares if share.node.state == "active"]
    if not taking or not placed.mean:
        return line(("No shards are placed.", Tone.MUTED))
    ratio = max(taking) / placed.mean
    even = line(
        (f"{min(taking)} to {max(taking)}", Tone.STRONG),
        f" replicas a node, most/mean {ratio:.2f}",
    )
    if not moves:
        return (*even, Span(" · nothing is being moved", Tone.MUTED))
    rows, total = sum(move.rows for move in moves), sum(max(0, move.total) for move in moves)
    copied = f", {fmt.share(rows, total)} copied" if total else ""
    return (*even, Span(f" · {fmt.plural(len(moves), 'shard')} being moved{copied}", Tone.ACCENT))


def shares(placed: Placement, width: int, height: int) -> list[Line]:
    """A bar for each node; when there are more than lines, the fullest and the emptiest."""
    shown = list(placed.shares)
    left_out = 0
    if len(shown) > height > 0:
        by_load = sorted(shown, key=lambda share: -share.replicas)
        half = (height - 1) // 2
        kept = {share.node.id for share in [*by_load[: height - 1 - half], *by_load[len(by_load) - half :]]}
        left_out = len(shown) - len(kept)
        shown = [share for share in shown if share.node.id in kept]
    most = max((share.replicas for share in placed.shares), default=0)
    name = min(18, max((len(share.node.name) for share in shown), default=4))
    zone = min(14, max((len(share.node.zone) for share in shown), default=0))
    bar = max(4, min(BAR, width - name - zone - 34))
    lines = [_bar(share, placed.mean, most, name, zone, bar, width) for share in shown]
    if left_out:
        lines.append(line((f"  … {fmt.plural(left_out, 'node')} between these", Tone.MUTED)))
    return lines


def _bar(share: Share, mean: float, most: int, name: int, zone: int, bar: int, width: int) -> Line:
    sign, tone = marks.liveness(share.node.liveness)
    filled = round(bar * share.replicas / most) if most else 0
    apart = share.replicas - mean
    moving = "".join(f" {arrow}{number}" for arrow, number in (("↓", share.coming), ("↑", share.leaving)) if number)
    state = "" if share.node.state == "active" else f" {share.node.state}"
    text = line(
        (f"{share.letter} ", Tone.ACCENT),
        (f"{sign} ", tone),
        (fmt.ellipsis(share.node.name, name).ljust(name), Tone.STRONG),
        (f" {fmt.ellipsis(share.node.zone, zone).ljust(zone)} " if zone else " ", Tone.MUTED),
        ("█" * filled, Tone.ACCENT),
        ("·" * (bar - filled), Tone.MUTED),
        f" {share.replicas:>5,}",
        (f" {apart:+6.1f}", Tone.MUTED),
        (moving, Tone.ACCENT),
        (state, marks.state(share.node.state)),
    )
    return clip(text, width)


COLUMNS = (
    Column("collection", "COLLECTION", most=28),
    Column("shard", "SHARD", right=True),
    Column("health", "HEALTH", priority=1, most=18),
    Column(
        "owners",
        "OWNERS",
        priority=2,
        most=64,
        help="a letter for a node, as above; ↓ a replica that comes",
    ),
    Column("move", "MOVE", priority=3, most=44, help="from → to, step and phase, how far the copy is"),
    Column("points", "POINTS", priority=4, right=True),
    Column("size", "SIZE", priority=5, right=True),
)
DEFAULT_SORT = Sort("collection")


@dataclass(frozen=True, slots=True)
class _Names:
    """Of the nodes, as rows show them."""

    letters: dict[str, str]
    names: dict[str, str]
    order: tuple[str, ...]
    """Of the strip; empty where nodes are too many for one."""


_Subject: TypeAlias = "tuple[ShardInfo, int, MoveInfo | None, _Names]"


class Rows:
    """The table of every shard. A row whose shard is the same object as before, under the same names and moves, is
    taken over: of thousands a few change in a second.
    """

    def __init__(self) -> None:
        self._given: object = None
        """All but the shards that rows are made of."""
        self._shards: Sequence[ShardInfo] = ()
        self._rows: tuple[Row, ...] = ()

    def table(
        self, info: ClusterInfo, collections: Iterable[CollectionInfo], placed: Placement, moves: Sequence[MoveInfo]
    ) -> Table:
        wanted = {each.name: each.replicas for each in collections}
        moving = {(move.collection, move.shard): move for move in moves}
        nodes = tuple((share.node.id, share.node.name, share.letter) for share in placed.shares)
        letters = {id: letter for id, _, letter in nodes}
        order = tuple(letters) if len(letters) <= STRIP else ()
        names = _Names(letters, {id: name for id, name, _ in nodes}, order)

        def made(shard: ShardInfo) -> Row:
            move = moving.get((shard.collection, shard.shard))
            subject: _Subject = (shard, wanted.get(shard.collection, 0), move, names)
            return Row(f"{shard.collection}/{shard.shard}", LazyCells(_MAKERS, subject, _VALUES))

        given = (wanted, moving, nodes)
        if given == self._given and len(info.shards) == len(self._shards):
            before = zip(info.shards, self._shards, self._rows, strict=True)
            self._rows = tuple(row if shard is held else made(shard) for shard, held, row in before)
        else:
            self._rows = tuple(map(made, info.shards))
        self._given, self._shards = given, info.shards
        return Table(COLUMNS, self._rows)


def _health(subject: _Subject) -> Cell:
    word, tone, rank = health(subject[0], subject[1])
    return cell(word, tone, sort=rank)


def _owners(subject: _Subject) -> Cell:
    shard, _, _, names = subject
    return _strip(shard, names.order, names.letters) if names.order else _names(shard, names.names)


def _most_points(subject: _Subject) -> float:
    return float(max([replica.points for replica in subject[0].replicas], default=-1))


def _most_bytes(subject: _Subject) -> float:
    return float(max([replica.bytes for replica in subject[0].replicas], default=-1))


def _points(subject: _Subject) -> Cell:
    points = _most_points(subject)
    return cell(fmt.count(points), sort=points)


def _size(subject: _Subject) -> Cell:
    size = _most_bytes(subject)
    return cell(fmt.size(size), sort=size)


_MAKERS: dict[str, Callable[[_Subject], Cell]] = {
    "collection": lambda subject: cell(subject[0].collection, Tone.STRONG),
    "shard": lambda subject: cell(str(subject[0].shard), sort=float(subject[0].shard)),
    "health": _health,
    "owners": _owners,
    "move": lambda subject: _move(subject[0], subject[2], subject[3].names),
    "points": _points,
    "size": _size,
}
"""A cell of each column; what cells show of a shard is made of its row only when it is drawn or sorted by."""

_VALUES: dict[str, Callable[[_Subject], SortValue]] = {
    "collection": lambda subject: subject[0].collection.casefold(),
    "shard": lambda subject: float(subject[0].shard),
    "points": _most_points,
    "size": _most_bytes,
}
"""By what its cells are sorted."""


def _strip(shard: ShardInfo, order: Sequence[str], letters: dict[str, str]) -> Cell:
    """The letters of the owners, each in the column of its node."""
    states = {replica.node: replica.state for replica in shard.replicas}
    spans = []
    for node in order:
        if node in states:
            spans.append(Span(letters[node], Tone.WARN if node == shard.leaving else marks.replica(states[node])[1]))
        elif node == shard.coming:
            spans.append(Span("↓", Tone.ACCENT))
        else:
            spans.append(Span("·", Tone.MUTED))
    return Cell(tuple(spans), "".join(letters.get(replica.node, "?") for replica in shard.replicas))


def _names(shard: ShardInfo, names: dict[str, str]) -> Cell:
    owners = [names.get(replica.node, replica.node[:8]) for replica in shard.replicas]
    return cell(" ".join(owners))


def _move(shard: ShardInfo, move: MoveInfo | None, names: dict[str, str]) -> Cell:
    if move is None and not (shard.leaving or shard.coming):
        return cell("", sort=-1.0)
    leaving, coming = (names.get(node, node[:8]) if node else "–" for node in (shard.leaving, shard.coming))
    if move is None:
        return cell(f"{leaving} → {coming}", Tone.ACCENT, sort=0.0)
    part = f" {fmt.share(move.rows, move.total)}" if move.total >= 0 else ""
    tone = Tone.WARN if move.error else Tone.ACCENT
    return cell(f"{leaving} → {coming} {move.step} {move.phase}{part}", tone, sort=float(max(0, move.rows)))


def title(info: ClusterInfo) -> str:
    return f"Shards · {len(info.shards)}"
