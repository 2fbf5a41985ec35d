"""The owners that the shards of one collection should have, as near as can be to those that they have.

Owns the search for them; must not know moves, nor the order in which owners change. A board starts from the owners that
may stay. First every shard gets as many as it should have, in as many zones as can be (`fill`): what is missing goes to
nodes that have least. Then nodes that have two more than others give shards to them (`level`), directly or over a chain
of nodes. Both undo their own choices before they touch an owner that was there, so that no replica goes twice.

Invariants: the owners of a shard are distinct; each zone has `most` of them or one less, as far as it has nodes; equal
boards end equal on every node; a board that is level stays as it is.
"""

from __future__ import annotations

import heapq
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from vectron_p2p.model.ids import NodeId

CHAINS_UP_TO = 32  # nodes: a search for a chain takes their square, 5 ms then
FAR = 1 << 32  # more than any way costs
TRIED = 8  # givers of each zone: the first one can nearly always, and who cannot gives nothing to anybody of this zone


class Board:
    """`rows[i]`: the owners of shard i that may stay; `nodes`: zone of every node that can own shards; `locked`: shards
    that cannot be changed now; `load`: replicas of each node over all collections, kept up to date here.
    """

    def __init__(
        self,
        rows: Sequence[Sequence[NodeId]],
        nodes: Mapping[NodeId, str],
        wanted: int,
        locked: Iterable[int],
        load: dict[NodeId, int],
    ) -> None:
        self.rows = [dict.fromkeys(row) for row in rows]
        self.locked = set(locked)
        self._before = [frozenset(row) for row in rows]
        self._zone = nodes
        self._wanted = min(wanted, len(nodes))
        self._load = load
        self._shards: dict[NodeId, dict[int, None]] = {node: {} for node in nodes}
        self._added: dict[NodeId, dict[int, None]] = {node: {} for node in nodes}
        self._dropped: dict[NodeId, dict[int, None]] = {node: {} for node in nodes}
        for index, row in enumerate(self.rows):
            for node in row:
                self._shards[node][index] = None
        sizes = Counter(nodes.values())
        most = 1
        while sum(min(size, most) for size in sizes.values()) < self._wanted:
            most += 1
        self._least = {zone: min(size, most - 1) for zone, size in sizes.items()}
        self._most = {zone: min(size, most) for zone, size in sizes.items()}
        self._total = Counter(dict.fromkeys(sizes, 0))
        for node, owned in self._shards.items():
            self._total[nodes[node]] += len(owned)

    def count(self, node: NodeId) -> int:
        """Shards of this collection that `node` owns."""
        return len(self._shards[node])

    # --- changes ------------------------------------------------------------------------------------------------------

    def _add(self, index: int, node: NodeId) -> None:
        self.rows[index][node] = None
        self._shards[node][index] = None
        self._load[node] += 1
        self._total[self._zone[node]] += 1
        if node in self._before[index]:
            del self._dropped[node][index]
        else:
            self._added[node][index] = None

    def _drop(self, index: int, node: NodeId) -> None:
        del self.rows[index][node]
        del self._shards[node][index]
        self._load[node] -= 1
        self._total[self._zone[node]] -= 1
        if node in self._before[index]:
            self._dropped[node][index] = None
        else:
            del self._added[node][index]

    def _in_zones(self, index: int) -> Counter[str]:
        return Counter(self._zone[node] for node in self.rows[index])

    # --- every shard its owners ---------------------------------------------------------------------------------------

    def fill(self) -> None:
        free = [index for index in range(len(self.rows)) if index not in self.locked]
        for index in free:
            while (giving := self._crowded(index)) is not None:
                here = [node for node in self.rows[index] if self._zone[node] in giving]
                self._drop(index, max(here, key=lambda node: (self.count(node), self._load[node], node)))
        short = [index for index in free if len(self.rows[index]) < self._wanted]
        if not short:
            return
        ranking = {zone: _Ranking(self, self._load) for zone in self._most}
        for node, zone in self._zone.items():
            ranking[zone].put(node)
        for index in sorted(short, key=lambda index: (len(self.rows[index]), index)):
            while len(self.rows[index]) < self._wanted:
                have = self._in_zones(index)
                takes = [zone for zone, least in self._least.items() if have[zone] < least] or [
                    zone for zone, most in self._most.items() if have[zone] < most
                ]
                best = min(ranking[zone].first(self.rows[index]) for zone in takes)[-1]
                self._add(index, best)
                ranking[self._zone[best]].put(best)

    def _crowded(self, index: int) -> set[str] | None:
        """Zones of which one owner of a shard has to go; None when all may stay."""
        have = self._in_zones(index)
        over = {zone for zone, number in have.items() if number > self._most[zone]}
        if over:
            return over
        missing = sum(max(0, least - have[zone]) for zone, least in self._least.items())
        if len(self.rows[index]) + missing > self._wanted:
            return {zone for zone, number in have.items() if number > self._least[zone]}
        return None

    # --- every node its share -----------------------------------------------------------------------------------------

    def level(self) -> bool:
        """Until no node can take a shard from one that has two more of them; whether anything was changed."""
        changed = False
        stuck: set[NodeId] = set()
        buckets: dict[int, set[NodeId]] = {}
        for node in self._zone:
            buckets.setdefault(self.count(node), set()).add(node)
        while True:
            takers = [node for node in self._zone if node not in stuck]
            if not takers:
                return changed
            taker = min(takers, key=lambda node: (self.count(node), self._load[node], node))
            if max((count for count, nodes in buckets.items() if nodes), default=0) < self.count(taker) + 2:
                return changed
            giver = self._take(taker, buckets)
            if giver is None:
                stuck.add(taker)
                continue
            changed = True
            buckets[self.count(giver) + 1].discard(giver)
            buckets.setdefault(self.count(giver), set()).add(giver)
            buckets[self.count(taker) - 1].discard(taker)
            buckets.setdefault(self.count(taker), set()).add(taker)

    def _take(self, taker: NodeId, buckets: Mapping[int, set[NodeId]]) -> NodeId | None:
        """One shard for `taker`, at last from a node that has at least two more; that node."""
        rich = [
            giver
            for count in sorted(buckets, reverse=True)
            if count >= self.count(taker) + 2
            for giver in sorted(buckets[count], key=lambda node: (-self._load[node], node))
            if self._open(giver, taker)
        ]
        for giver in rich:
            if self.give(giver, taker):
                return giver
        return self._chain(taker, rich) if rich and len(self._zone) <= CHAINS_UP_TO else None

    def _copies(self) -> int:
        """Owners that were none before."""
        return sum(map(len, self._added.values()))

    def _open(self, giver: NodeId, taker: NodeId) -> bool:
        """Whether their zones allow it: in sum over all shards."""
        there, here = self._zone[giver], self._zone[taker]
        return there == here or (
            self._total[there] > len(self.rows) * self._least[there]
            and self._total[here] < len(self.rows) * self._most[here]
        )

    def give(self, giver: NodeId, taker: NodeId) -> bool:
        """One shard from the one to the other, if there is one that may go."""
        edge = self._edge(giver, taker)
        if edge is None:
            return False
        self._drop(edge[1], giver)
        self._add(edge[1], taker)
        return True

    def _edge(self, giver: NodeId, taker: NodeId) -> tuple[int, int] | None:
        """Copies that it takes more (or less) when `giver` gives a shard to `taker`, and which one."""
        if not self._open(giver, taker):
            return None
        there, here = self._zone[giver], self._zone[taker]
        best: tuple[int, int] | None = None
        for index in self._added[giver]:
            if self._may_go(index, there, here, taker):
                if index in self._dropped[taker]:
                    return -1, index
                best = best or (0, index)
        if best is not None:
            return best
        for index in self._dropped[taker]:
            if index in self._shards[giver] and self._may_go(index, there, here, taker):
                return 0, index
        return next(((1, index) for index in self._shards[giver] if self._may_go(index, there, here, taker)), None)

    def _may_go(self, index: int, there: str, here: str, taker: NodeId) -> bool:
        if index in self.locked or taker in self.rows[index]:
            return False
        if there == here:
            return True
        have = self._in_zones(index)
        return have[there] > self._least[there] and have[here] < self._most[here]

    # --- chains: each node on the way takes a shard and gives another one ---------------------------------------------

    def _chain(self, taker: NodeId, rich: Sequence[NodeId]) -> NodeId | None:
        """As `give`, over nodes in between, from that one of `rich` from which it costs least."""
        cost, to = self._search({taker: 0}, self._edges())
        for giver in sorted((node for node in rich if node in cost), key=lambda node: cost[node]):
            way = [giver]
            while way[-1] != taker and len(way) <= len(self._zone):
                way.append(to[way[-1]])
            if way[-1] == taker and self._walk(pairwise(way)):
                return giver
        return None

    def cheapen(self) -> None:
        """Takes back what greed has copied too much: goes round in circles that save copies, until there are none.

        A circle may close between a node and one that has a shard more: then they have changed places.
        """
        while len(self._zone) <= CHAINS_UP_TO and self._wasteful():
            edges = self._edges()
            places = {
                (giver, taker)
                for giver in self._zone
                for taker in self._zone
                if self.count(taker) == self.count(giver) + 1 and edges.get((giver, taker), 1) > 0
            }
            _, to = self._search(dict.fromkeys(self._zone, 0), {**edges, **dict.fromkeys(sorted(places), 0)})
            steps = [step for step in pairwise(_circle(to)) if step not in places]
            if not steps or not self._walk(steps, below=self._copies()):
                return

    def _wasteful(self) -> bool:
        """Whether there may be a cheaper way to the same shares: a node got shards and gave some, or it got the odd one
        that another node had.
        """
        got = [node for node, added in self._added.items() if added]
        gave = [node for node, dropped in self._dropped.items() if dropped]
        if not got or not gave:
            return False
        return bool(set(got) & set(gave)) or max(map(self.count, got)) > min(map(self.count, gave))

    def _edges(self) -> dict[tuple[NodeId, NodeId], int]:
        """What each node can give to each other one, by its cost."""
        return {
            (giver, taker): edge[0]
            for taker in self._zone
            for giver in self._zone
            if giver != taker and (edge := self._edge(giver, taker)) is not None
        }

    def _search(
        self, start: Mapping[NodeId, int], edges: Mapping[tuple[NodeId, NodeId], int]
    ) -> tuple[dict[NodeId, int], dict[NodeId, NodeId]]:
        """For each node what it costs that it gives, and to whom, so that the nodes of `start` get one more."""
        cost = dict(start)
        to: dict[NodeId, NodeId] = {}
        for _ in self._zone:
            settled = True
            for (giver, taker), more in edges.items():
                if taker in cost and cost[taker] + more < cost.get(giver, FAR):
                    cost[giver], to[giver] = cost[taker] + more, taker
                    settled = False
            if settled:
                break
        return cost, to

    def _walk(self, steps: Iterable[tuple[NodeId, NodeId]], *, below: int | None = None) -> bool:
        """In each step the one gives a shard to the other; all back where one step spoils a later one, or where that
        does not come out `below` so many copies.
        """
        done: list[tuple[int, NodeId, NodeId]] = []
        for giver, taker in steps:
            edge = self._edge(giver, taker)
            if edge is None:
                break
            self._drop(edge[1], giver)
            self._add(edge[1], taker)
            done.append((edge[1], giver, taker))
        else:
            if below is None or self._copies() < below:
                return True
        for index, giver, taker in reversed(done):
            self._drop(index, taker)
            self._add(index, giver)
        return False


def _circle(to: Mapping[NodeId, NodeId]) -> list[NodeId]:
    """A circle that one runs into by following `to`, its first node again at its end; empty: there is none."""
    for start in to:
        way = [start]
        while way[-1] in to:
            following = to[way[-1]]
            if following in way:
                return [*way[way.index(following) :], following]
            way.append(following)
    return []


class _Ranking:
    """Nodes, those first that have least."""

    def __init__(self, board: Board, load: Mapping[NodeId, int]) -> None:
        self._board = board
        self._load = load
        self._heap: list[tuple[int, int, NodeId]] = []

    def put(self, node: NodeId) -> None:
        """`node` has got a shard: from now on it ranks by that."""
        heapq.heappush(self._heap, (self._board.count(node), self._load[node], node))

    def first(self, apart: Mapping[NodeId, None]) -> tuple[int, int, NodeId]:
        """The first one that is none of `apart`."""
        passed = []
        while True:
            entry = self._heap[0]
            count, load, node = entry
            if (count, load) != (self._board.count(node), self._load[node]):
                heapq.heappop(self._heap)  # it has been put anew
            elif node in apart:
                passed.append(heapq.heappop(self._heap))
            else:
                for each in passed:
                    heapq.heappush(self._heap, each)
                return entry


def level_loads(boards: Sequence[Board], nodes: Mapping[NodeId, str], load: Mapping[NodeId, int]) -> bool:
    """Evens out what is left over all collections: a shard goes from a node to one with two replicas less, in a
    collection in which it has more of them. Whether anything was changed.
    """
    changed = False
    stuck: set[NodeId] = set()
    zones = sorted(set(nodes.values()))
    while True:
        takers = [node for node in nodes if node not in stuck]
        if not takers:
            return changed
        taker = min(takers, key=lambda node: (load[node], node))
        givers: dict[str, list[NodeId]] = {zone: [] for zone in zones}
        for node in nodes:
            if load[node] >= load[taker] + 2:
                givers[nodes[node]].append(node)
        if not any(givers.values()):
            return changed
        tops = [sorted(each, key=lambda node: (-load[node], node))[:TRIED] for each in givers.values()]
        for giver in sorted((node for each in tops for node in each), key=lambda node: (-load[node], node)):
            if any(board.count(giver) > board.count(taker) and board.give(giver, taker) for board in boards):
                changed = True
                break
        else:
            stuck.add(taker)
