"""Graphs of the points that one filter keeps, for filters that are asked often and keep too many to scan.

In the graph of all points a beam has to be wider by as much as a filter drops; in one of the matches alone it need not
(sub-graphs by payload: Qdrant). That takes memory and time to link, so a filter has to earn it, by the places that
its searches waste in their beams (renting until the rent comes near the price: Karlin et al. 1988). What was earned is
halved now and then, so that what is asked now counts (TinyLFU: Einziger et al. 2017).

Owns which filters have one. Must not know when there is time to link. Invariant: whoever asks a subgraph shares the
layer's gate, whoever changes one that searches may hold has it alone. `work` and `inherit` are called by one thread at
a time, all else by any.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vectron_p2p.index.hnsw import Graph
from vectron_p2p.index.subgraph import Subgraph
from vectron_p2p.query import planner

if TYPE_CHECKING:
    from vectron_p2p.index.layer import Layer
    from vectron_p2p.query.filters import Filter
    from vectron_p2p.runtime import Crew

SHARE = 3  # of the memory of vectors and graph a part this small: one of 0.8 of all points, under a usual projection
REMEMBERED = 256  # filters: a kilobyte each, but for those with long lists
MAX_KEY = 4_096  # characters; see `payload.verdicts`
AGING = 200_000  # queries with filters, after which what was earned counts half: minutes of a busy node
OUTDO = 2  # times what others earned, for a filter to take their place: linking takes seconds
# A graph that is linked once and then asked for long is worth better links: among 70,000 of 100,000 sentences a beam of
# 88 finds 0.979 of the nearest ten without, and 0.983 so. It takes twice as long to link (12 s on two cores).
CONSTRUCTION = 2  # times the beam that the layer's graph was linked with
SPARE = 1.05  # room for what is written later, before it grows for the first time
BEHIND = 1_000  # slots linked since: more would be scanned for too long, and the graph of all points answers
AT_ONCE = 64  # slots linked since, from which on it follows: for fewer a gate is not had alone
WORN = 2  # times as many labels as matches: its beams are twice as wide as they need be


@dataclass(slots=True)
class _Wish:
    filter: Filter
    matches: int = 0
    earned: float = 0.0

    @property
    def worth(self) -> float:
        """Of each point linked."""
        return self.earned / max(1, self.matches)


class Subgraphs:
    """Of one layer."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._wishes: OrderedDict[str, _Wish] = OrderedDict()
        self._held: dict[str, Subgraph] = {}
        self._linking: Subgraph | None = None
        self._queries = 0

    @property
    def nbytes(self) -> int:
        """Memory of all, about."""
        linking = self._linking
        with self._mutex:
            held = sum(each.graph.nbytes for each in self._held.values())
        return held + (0 if linking is None else linking.graph.nbytes)

    def ask(
        self, key: str, filter: Filter, *, beam: int, points: int, matches: int, linked_to: int, queries: int
    ) -> Subgraph | None:
        """The subgraph of a filter that `matches` of `points` pass; None: there is none (yet), or it is far behind.

        Noted, as `queries` with this `beam` in the graph of all points, which answers for the slots below `linked_to`.
        """
        if len(key) > MAX_KEY:
            return None
        with self._mutex:
            wish = self._wishes.pop(key, None) or _Wish(filter)
            self._wishes[key] = wish
            if len(self._wishes) > REMEMBERED:
                self._held.pop(self._wishes.popitem(last=False)[0], None)
            self._age(queries)
            wish.matches = matches
            wish.earned += queries * planner.wasted(beam, points, matches)
            found = self._held.get(key)
            if found is None:
                return None
            found.asked = True
            found.worn = found.graph.count > WORN * matches
            return None if found.worn or linked_to - found.reach > BEHIND else found

    def _age(self, queries: int) -> None:
        self._queries += queries
        if self._queries >= AGING:
            self._queries = 0
            for wish in self._wishes.values():
                wish.earned /= 2

    def linking(self, key: str) -> bool:
        """Whether the filter's subgraph is being linked."""
        return self._linking is not None and self._linking.key == key

    def inherit(self, other: Subgraphs) -> None:
        """Those that another layer's filters have earned are linked here."""
        with other._mutex:
            self._wishes = OrderedDict((key, _Wish(w.filter, w.matches, w.earned)) for key, w in other._wishes.items())

    def due(self, layer: Layer, *, follow: bool = False) -> bool:
        """Whether `work` has something to do."""
        if self._follower(layer) is not None:
            return True
        return not follow and (self._linking is not None or self._next(layer) is not None)

    def work(
        self, layer: Layer, mutex: threading.Lock, points: int, at_once: int, crew: Crew, *, follow: bool = False
    ) -> None:
        """Link up to `points` points; a search that comes meanwhile waits for as long as `at_once` take in the layer's
        graph.

        `follow`: only what those lack that searches ask.
        """
        follower = self._follower(layer)
        subgraph = follower or (None if follow else self._linking or self._begin(layer))
        if subgraph is None:
            return
        subgraph.asked = False
        try:
            done = subgraph.link(layer, mutex, points, at_once // CONSTRUCTION, crew, searched=follower is not None)
        except BaseException:  # it may hold what it does not know of
            self._drop(subgraph)
            raise
        if done is None:
            self._drop(subgraph)
        elif done and follower is None:
            self._linking = None
            with self._mutex:
                if subgraph.key in self._wishes:  # else so many others were asked that it is forgotten
                    self._held[subgraph.key] = subgraph

    def _drop(self, subgraph: Subgraph) -> None:
        """It has to earn another. Searches that hold it end well."""
        with self._mutex:
            self._held.pop(subgraph.key, None)
            self._wishes.pop(subgraph.key, None)
        if subgraph is self._linking:
            self._linking = None

    def _follower(self, layer: Layer) -> Subgraph | None:
        """One that was asked and lacks points."""
        with self._mutex:
            for each in self._held.values():
                if each.asked and layer.linked_to - each.reach >= AT_ONCE:
                    return each
        return None

    def _begin(self, layer: Layer) -> Subgraph | None:
        """A new one for the filter that deserves it most, in the place of those that deserve less."""
        found = self._next(layer)
        if found is None or layer.graph is None:
            return None
        key, wish, displaced = found
        with self._mutex:
            for each in displaced:
                self._held.pop(each, None)
        options = layer.options
        graph = Graph(
            options.dimension,
            options.metric,
            options.m,
            CONSTRUCTION * options.ef_construction,
            layer.graph.projection,
            max(1, int(SPARE * wish.matches)),
        )
        self._linking = Subgraph(wish.filter, key, graph)
        return self._linking

    def _next(self, layer: Layer) -> tuple[str, _Wish, list[str]] | None:
        """The filter that deserves a subgraph most, of those for which there is room, and whose have to make it."""
        graph = layer.graph
        if graph is None or self._linking is not None:
            return None
        least = planner.subgraph_price(CONSTRUCTION * layer.options.ef_construction)
        limit = (layer.table.count * layer.options.dimension * 4 + graph.nbytes) // SHARE
        with self._mutex:
            held = {key: self._wishes[key] for key in self._held}
            wishes = [
                (key, wish)
                for key, wish in self._wishes.items()
                if wish.worth >= least and (key not in held or self._held[key].worn)
            ]
            for key, wish in sorted(wishes, key=lambda item: -item[1].worth):
                displaced = [key] if key in held else []
                others = sorted(held.keys() - {key}, key=lambda each: held[each].worth)
                room = limit - sum(self._held[each].graph.nbytes for each in others)
                need = int(SPARE * wish.matches) * graph.element_bytes
                while room < need and others and OUTDO * held[others[0]].worth <= wish.worth:
                    room += self._held[others[0]].graph.nbytes
                    displaced.append(others.pop(0))
                if need <= room:
                    return key, wish, displaced
        return None
