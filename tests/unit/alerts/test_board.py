"""The board: whose claims count, for how long, and what is kept."""

from __future__ import annotations

import pytest

from vectron_p2p.alerts import board as board_module
from vectron_p2p.alerts.board import HOLD_S, KEPT_MS, PAUSE_S, REFRESH_S, Board, Known
from vectron_p2p.alerts.episodes import GAP_MS, Cause, alert_id
from vectron_p2p.alerts.watch import Standing
from vectron_p2p.alerts.wire import known_from_wire, news_from_wire, news_to_wire
from vectron_p2p.model.errors import InvalidArgument

DOWN: Cause = ("node_down", "x")
WALL = 10**12
ALL = ("a", "b", "c")


def standing(at: float, text: str = "x does not answer") -> dict[Cause, Standing]:
    return {DOWN: Standing(WALL + round(at * 1000), text)}


def tick(board: Board, at: float, seen: dict[Cause, Standing] | None = None, live: tuple[str, ...] = ALL) -> bool:
    return board.tick(seen or {}, live, ALL, at, WALL + round(at * 1000))


def join(one: Board, two: Board) -> None:
    theirs = two.known
    one.merge(two.news(one.known))
    two.merge(one.news(theirs))


def onsets(board: Board) -> list[int]:
    return [each.episode.onset_ms - WALL for each in board.active]


def test_an_onset_outlives_who_saw_it_first() -> None:
    one, two = Board("a", 1, "1"), Board("b", 1, "1")
    assert tick(one, 10.0, standing(10.0))
    assert not tick(one, 11.0, standing(10.0))
    tick(two, 12.0, standing(12.0))
    assert (onsets(one), onsets(two)) == ([10_000], [12_000])
    join(one, two)
    assert tick(two, 13.0, standing(12.0))  # claims it from the earlier time on
    assert onsets(two) == [10_000]
    for at in range(14, 40):  # a dies
        tick(two, at, standing(12.0), live=("b", "c"))
    assert onsets(two) == [10_000]
    third = Board("c", 1, "1")
    third.merge(two.news(third.known))
    tick(third, 40.0, live=("b", "c"))
    assert onsets(third) == [10_000]


def test_claims_of_a_dead_node_stop_counting_and_the_alert_is_over() -> None:
    one, two = Board("a", 1, "1"), Board("b", 1, "1")
    tick(one, 1.0, standing(1.0))
    two.merge(one.news(two.known))
    tick(two, 2.0)
    assert two.active[0].observers == ("a",)
    tick(two, 3.0, live=("b", "c"))
    assert not two.active[0].observers  # held for a while: others may see it too
    tick(two, 2.0 + HOLD_S, live=("b", "c"))
    assert not two.active
    assert [(cause, each.onset_ms - WALL, each.last_ms - WALL) for cause, each in two.history] == [(DOWN, 1_000, 2_000)]


def test_what_comes_back_soon_is_the_same_alert_and_later_another_one() -> None:
    board = Board("a", 1, "1")
    tick(board, 0.0, standing(0.0))
    tick(board, 3.0)
    tick(board, 4.0, standing(4.0))
    assert onsets(board) == [0]
    for at in range(5, 12):
        tick(board, at)
    assert not board.active
    later = 4.0 + GAP_MS / 1000 + 4.0
    tick(board, later, standing(later))
    assert onsets(board) == [round(later * 1000)]
    assert len(board.history) == 1
    assert alert_id(DOWN, WALL) != alert_id(DOWN, WALL + 1)


def test_after_a_pause_only_what_is_heard_anew_counts() -> None:
    one, two = Board("a", 1, "1"), Board("b", 1, "1")
    tick(one, 1.0, standing(1.0))
    two.merge(one.news(two.known))
    tick(two, 2.0)
    tick(two, 3.0 + PAUSE_S + HOLD_S)
    assert not two.active
    assert two.history[0][1].last_ms == WALL + 2_000
    two.merge(one.news(two.known))
    tick(two, 4.0 + PAUSE_S + HOLD_S)
    assert len(two.active) == 1


def test_a_restarted_node_takes_nothing_over_from_itself() -> None:
    one, two = Board("a", 1, "1"), Board("b", 1, "1")
    tick(one, 1.0, standing(1.0))
    two.merge(one.news(two.known))
    again = Board("a", 2, "1")
    again.merge(two.news(Known({}, b"")))
    tick(again, 2.0)
    assert not again.active
    two.merge(again.news(two.known))
    tick(two, 3.0)
    tick(two, 3.0 + HOLD_S)
    assert not two.active


def test_new_words_are_news_now_and_then() -> None:
    board = Board("a", 1, "1")
    tick(board, 0.0, standing(0.0, "1 shard"))
    version = board.known.versions["a"]
    for at in range(1, int(REFRESH_S)):
        tick(board, at, standing(0.0, f"{at} shards"))
    assert board.known.versions["a"] == version
    tick(board, REFRESH_S, standing(0.0, "30 shards"))
    assert board.known.versions["a"] > version
    assert board.active[0].episode.text == "30 shards"


def test_the_past_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board_module, "MAX_EPISODES", 3)
    board = Board("a", 1, "1")
    at = 0.0
    for _ in range(6):
        tick(board, at, standing(at))
        for _ in range(12):
            at += 1.0
            tick(board, at)
    kept = board.history
    assert len(kept) == 3
    assert [each.onset_ms - WALL for _, each in kept] == [60_000, 48_000, 36_000]
    board.tell("ops", DOWN, 2)
    tick(board, at + 1.0)
    assert board.told("ops", DOWN) == 2
    board.tick({}, ALL, ALL, at + 2.0, WALL + KEPT_MS + 200_000)
    assert not board.history
    assert board.told("ops", DOWN) == 0


def test_who_is_no_member_any_more_is_forgotten() -> None:
    one, two = Board("a", 1, "1"), Board("b", 1, "2")
    two.merge(one.news(two.known))
    assert two.software(ALL) == {"1", "2"}
    two.tick({}, ("b",), ("b", "c"), 1.0, WALL)
    assert "a" not in two.known.versions
    assert two.software(ALL) == {"2"}


def test_at_rest_boards_have_no_news_for_each_other() -> None:
    one, two = Board("a", 1, "1"), Board("b", 1, "1")
    tick(one, 1.0, standing(1.0))
    tick(two, 1.0)
    join(one, two)
    for at in range(2, 20):
        tick(one, at, standing(1.0))
        tick(two, at + 0.3)
        assert one.digest == two.digest
        assert not one.news(two.known)


@pytest.mark.parametrize(
    "wire",
    [
        {"reports": []},
        {"reports": [["a", 1, 1, "1"]], "episodes": [], "told": []},
        {"reports": [["a", 1, -1, "1", []]], "episodes": [], "told": []},
        {"reports": [["a", 1, 1, "1", [["r", "s", 1, "x" * 301]]]], "episodes": [], "told": []},
        {"reports": [["a", 1, 1, "1", [["r", "s", n, "x"] for n in range(300)]]], "episodes": [], "told": []},
        {"reports": [], "episodes": [["r", "s", 5, 4, "x"]], "told": []},
        {"reports": [], "episodes": [["r", "s", True, 4, "x"]], "told": []},
        {"reports": [], "episodes": 5, "told": []},
        {"reports": [], "episodes": [], "told": [["r", "s", 1]]},
    ],
)
def test_news_that_make_no_sense_are_refused(wire: dict) -> None:
    with pytest.raises(InvalidArgument):
        news_from_wire(wire)


@pytest.mark.parametrize("wire", [{}, {"versions": [["a", 1]], "rest": b""}, {"versions": [], "rest": "x"}])
def test_summaries_that_make_no_sense_are_refused(wire: dict) -> None:
    with pytest.raises(InvalidArgument):
        known_from_wire(wire)


def test_news_survive_the_wire() -> None:
    board = Board("a", 3, "1")
    tick(board, 1.0, standing(1.0))
    for at in range(2, 10):
        tick(board, at)
    board.tell("ops", DOWN, 2)
    news = board.news(Known({}, b""))
    assert news_from_wire(news_to_wire(news)) == news


def test_old_news_that_come_late_change_nothing() -> None:
    one, two = Board("a", 1, "1"), Board("b", 1, "1")
    tick(one, 1.0, standing(1.0))
    one.tell("ops", DOWN, 1)
    old = one.news(Known({}, b""))
    two.merge(old)
    tick(two, 1.5)
    tick(one, 2.0)
    one.tell("ops", DOWN, 2)
    two.merge(one.news(two.known))
    for at in range(3, 10):
        tick(two, at)
        digest, known = two.digest, two.known
        two.merge(old)
        assert (two.digest, two.known) == (digest, known)
    assert not two.active
