"""Boards that hear of each other late, twice, in any order or hardly ever end up with one list."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from vectron_p2p.alerts.board import HOLD_S, Board, Known, News
from vectron_p2p.alerts.episodes import GAP_MS, Cause, Episode, unite
from vectron_p2p.alerts.watch import Standing
from vectron_p2p.alerts.wire import known_from_wire, known_to_wire, news_from_wire, news_to_wire

NODES = ("a", "b", "c", "d")
CAUSES: tuple[Cause, ...] = (("node_down", "x"), ("disk", "a"), ("loop_lag", "b"))
START_MS = 10**12

episodes = st.lists(
    st.builds(
        lambda onset, length, text: Episode(onset, onset + length, text),
        st.integers(0, 100_000),
        st.integers(0, 20_000),
        st.sampled_from("xyz"),
    ),
    max_size=8,
)


@given(episodes, episodes, episodes)
def test_the_union_is_a_join(one: list[Episode], two: list[Episode], three: list[Episode]) -> None:
    assert unite(one, two) == unite(two, one)
    assert unite(unite(one, two), three) == unite(one, unite(two, three)) == unite(one, two, three)
    assert unite(one, one) == unite(one)
    assert unite(unite(one, two), two) == unite(one, two)


@given(episodes)
def test_united_episodes_are_apart_and_leave_nothing_out(given: list[Episode]) -> None:
    united = unite(given)
    assert all(later.onset_ms - before.last_ms > GAP_MS for before, later in pairwise(united))
    for each in given:
        assert sum(known.onset_ms <= each.onset_ms and each.last_ms <= known.last_ms for known in united) == 1


@dataclass
class World:
    """Boards, their clocks, who is cut off, what each sees."""

    skew: dict[str, int]
    now: float = 0.0
    boots: dict[str, int] = field(default_factory=lambda: dict.fromkeys(NODES, 1))
    sees: dict[str, dict[Cause, Standing]] = field(default_factory=lambda: {node: {} for node in NODES})
    alone: set[str] = field(default_factory=set)
    dead: set[str] = field(default_factory=set)
    mail: list[News] = field(default_factory=list)
    """Old news, which may come any time and often."""

    def __post_init__(self) -> None:
        self.boards = {node: Board(node, 1, "1.0") for node in NODES}

    def wall_ms(self, node: str) -> int:
        return START_MS + round(self.now * 1000) + self.skew[node]

    def live(self, node: str) -> list[str]:
        return [other for other in NODES if other not in self.dead and (other in self.alone) == (node in self.alone)]

    def second(self) -> None:
        self.now += 1.0
        for node in NODES:
            if node not in self.dead:
                self.tick(node)

    def tick(self, node: str) -> None:
        self.boards[node].tick(self.sees[node], self.live(node), NODES, self.now, self.wall_ms(node))

    def see(self, node: str, cause: Cause) -> None:
        self.sees[node].setdefault(cause, Standing(self.wall_ms(node), f"{cause[0]} of {cause[1]}"))

    def restart(self, node: str) -> None:
        self.boots[node] += 1
        self.boards[node] = Board(node, self.boots[node], "1.0")
        self.sees[node] = {}

    def exchange(self, one: str, two: str, *, lost: bool) -> None:
        """As nodes do it; `lost`: the second half is."""
        if two not in self.live(one) or one in self.dead:
            return
        first, second = self.boards[one], self.boards[two]
        theirs = known_from_wire(known_to_wire(second.known))
        first.merge(news_from_wire(news_to_wire(second.news(first.known))))
        if not lost:
            news = news_from_wire(news_to_wire(first.news(theirs)))
            second.merge(news)
            second.merge(news)  # twice

    def settle(self) -> None:
        """All hear of all, for as long as claims that count no more are held."""
        for _ in range(int(HOLD_S) + 3):
            self.second()
            for _ in range(2):
                for one in NODES:
                    for two in NODES:
                        if one < two:
                            self.exchange(one, two, lost=False)
        self.second()

    def views(self) -> list[tuple[object, ...]]:
        found: list[tuple[object, ...]] = []
        for board in (self.boards[node] for node in NODES if node not in self.dead):
            active = [(each.cause, each.episode.onset_ms, each.observers) for each in board.active]
            found.append((active, board.history, board.digest))
        return found


steps = st.lists(
    st.one_of(
        st.tuples(st.just("see"), st.sampled_from(NODES), st.sampled_from(CAUSES)),
        st.tuples(st.just("unsee"), st.sampled_from(NODES), st.sampled_from(CAUSES)),
        st.tuples(st.just("exchange"), st.sampled_from(NODES), st.sampled_from(NODES)),
        st.tuples(st.just("half"), st.sampled_from(NODES), st.sampled_from(NODES)),
        st.tuples(st.just("restart"), st.sampled_from(NODES), st.none()),
        st.tuples(st.just("cut"), st.sampled_from(NODES), st.none()),
        st.tuples(st.just("heal"), st.none(), st.none()),
        st.tuples(st.just("tell"), st.sampled_from(NODES), st.sampled_from(CAUSES)),
        st.tuples(st.just("wait"), st.integers(1, 8), st.none()),
        st.tuples(st.just("post"), st.sampled_from(NODES), st.none()),
        st.tuples(st.just("deliver"), st.sampled_from(NODES), st.integers(0, 5)),
    ),
    max_size=40,
)


@settings(max_examples=100, deadline=None)
@given(steps, st.tuples(*(st.integers(-400, 400) for _ in NODES)))
def test_all_boards_end_up_with_one_list(script: list[tuple], skews: tuple[int, ...]) -> None:
    world = World(dict(zip(NODES, skews, strict=True)))
    world.second()
    for kind, what, about in script:
        match kind:
            case "see":
                world.see(what, about)
            case "unsee":
                world.sees[what].pop(about, None)
            case "exchange" | "half" if what != about:
                world.exchange(what, about, lost=kind == "half")
            case "restart":
                world.restart(what)
            case "cut":
                world.alone.add(what)
            case "heal":
                world.alone.clear()
            case "tell":
                board = world.boards[what]
                board.tell("ops", about, board.told("ops", about) + 1)
            case "post":
                world.mail.append(world.boards[what].news(Known({}, b"")))
            case "deliver" if about < len(world.mail):
                before = {cause: world.boards[what].told("ops", cause) for cause in CAUSES}
                world.boards[what].merge(world.mail[about])
                assert all(world.boards[what].told("ops", cause) >= told for cause, told in before.items())
            case "wait":
                for _ in range(what):
                    world.second()
    world.alone.clear()
    world.settle()
    views = world.views()
    assert all(view == views[0] for view in views)
    claimed = {cause for seen in world.sees.values() for cause in seen}
    active = [each.cause for each in world.boards["a"].active]
    assert sorted(active) == sorted(claimed)  # one each, no zombies
    onsets = {each.cause: each.episode.onset_ms for each in world.boards["a"].active}
    world.dead.add("b")  # what it alone saw is over; what others saw too goes on from when it began
    left = {cause for node, seen in world.sees.items() if node != "b" for cause in seen}
    world.settle()
    views = world.views()
    assert all(view == views[0] for view in views)
    assert {each.cause: each.episode.onset_ms for each in world.boards["a"].active} == {
        cause: onsets[cause] for cause in left
    }
    for seen in world.sees.values():
        seen.clear()
    world.settle()
    views = world.views()
    assert all(view == views[0] for view in views)
    assert not world.boards["a"].active
