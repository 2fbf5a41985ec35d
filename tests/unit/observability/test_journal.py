"""What a node keeps of its log: bounded, newest, read from where one stopped."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vectron_p2p.model.logs import LEVELS, SLOW
from vectron_p2p.observability.journal import MAX_RECORD, MAX_TEXT, Journal


def read(journal: Journal, cursor: str = "", **wanted: Any) -> tuple[list[str], str]:
    records, cursor = journal.read(
        cursor,
        **{"level": "debug", "slow": False, "trace": "", "limit": 1000, "max_bytes": 2**20, **wanted},
    )
    return [record["event"] for record in records], cursor


def journal_of(*events: str, level: str = "info", **options: Any) -> Journal:
    journal = Journal(**options)
    journal.life = "7"
    for number, event in enumerate(events):
        journal.add(float(number), level, event, "node.node", "", {"number": number})
    return journal


def test_a_record_comes_back_as_it_was() -> None:
    journal = Journal()
    journal.add(1.5, "warning", "move_waits", "node.moves", "00ab", {"shard": "x/1", "rows": 3, "why": None})
    (record,), _ = journal.read("", level="info", slow=False, trace="", limit=1, max_bytes=1)
    assert record == {
        "number": 1,
        "at": 1.5,
        "level": "warning",
        "event": "move_waits",
        "logger": "node.moves",
        "trace": "00ab",
        "fields": {"shard": "x/1", "rows": 3, "why": None},
    }


def test_the_newest_come_first_and_then_what_came_since() -> None:
    journal = journal_of("a", "b", "c")
    events, cursor = read(journal, limit=2)
    assert events == ["b", "c"]
    assert read(journal, cursor) == ([], cursor)
    for event in ("d", "e", "f"):
        journal.add(9.0, "info", event, "x", "", {})
    events, cursor = read(journal, cursor, limit=2)
    assert events == ["d", "e"], "a follower misses nothing: the oldest come first"
    assert read(journal, cursor)[0] == ["f"]


def test_another_life_is_read_from_its_beginning() -> None:
    _, cursor = read(journal_of("a", "b"))
    after = journal_of("started")
    after.life = "8"
    assert read(after, cursor)[0] == ["started"]
    assert read(after, "8:x")[0] == ["started"]


@pytest.mark.parametrize("level", LEVELS)
def test_levels(level: str) -> None:
    journal = Journal(level=level)
    for each in LEVELS:
        journal.add(0.0, each, each, "x", "", {})
    kept = [each for each in LEVELS if LEVELS[each] >= LEVELS[level]]
    assert read(journal)[0] == kept
    assert read(journal, level="error")[0] == [each for each in kept if LEVELS[each] >= LEVELS["error"]]


def test_by_trace_and_slow_only() -> None:
    journal = Journal()
    journal.add(0.0, "info", "one", "x", "01", {})
    journal.add(0.0, "warning", SLOW, "x", "01", {})
    journal.add(0.0, "info", "two", "x", "02", {})
    assert read(journal, trace="01")[0] == ["one", SLOW]
    assert read(journal, slow=True)[0] == [SLOW]
    assert read(journal, slow=True, trace="02")[0] == []


def test_a_storm_of_slow_requests_leaves_the_rest_and_the_other_way_round() -> None:
    journal = journal_of("start", capacity=4000, slow_capacity=4000)
    for _ in range(1000):
        journal.add(0.0, "warning", SLOW, "x", "", {})
    assert "start" in read(journal)[0]
    for _ in range(1000):
        journal.add(0.0, "info", "chatter", "x", "", {})
    assert SLOW in read(journal)[0]
    assert "start" not in read(journal)[0]


values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers(-(2**70), 2**70) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3),
    max_leaves=10,
)


@given(st.lists(st.dictionaries(st.text(max_size=5), values, max_size=4), max_size=30), st.integers(200, 3000))
def test_whatever_is_logged_the_bound_holds_and_the_newest_is_there(records: list[Any], capacity: int) -> None:
    journal = Journal(capacity=capacity, slow_capacity=0)
    for number, fields in enumerate(records):
        journal.add(0.0, "info", f"e{number}", "x", "", fields)
        assert journal.size <= capacity
    events, _ = read(journal)
    assert events == [f"e{number}" for number in range(len(records))][len(records) - len(events) :]


def test_huge_values_are_cut() -> None:
    journal = Journal()
    journal.add(0.0, "error", "failed", "x", "", {"traceback": "a" * 10_000 + "the end", "lone": "\ud800"})
    journal.add(0.0, "error", "many", "x", "", {str(number): "b" * MAX_TEXT for number in range(100)})
    (failed, many), _ = journal.read("", level="info", slow=False, trace="", limit=9, max_bytes=2**20)
    assert len(failed["fields"]["traceback"]) == MAX_TEXT
    assert failed["fields"]["traceback"].endswith("the end")
    assert "cut" in many["fields"]
    assert journal.size < MAX_RECORD


def test_a_reply_has_a_size() -> None:
    journal = journal_of(*(f"e{number}" for number in range(100)))
    events, cursor = read(journal, max_bytes=1)
    assert events == ["e99"], "one in any case"
    journal = journal_of(*(f"e{number}" for number in range(100)))
    _, cursor = read(journal, limit=1)
    for number in range(10):
        journal.add(0.0, "info", f"f{number}", "x", "", {"text": "t" * 500})
    found: list[str] = []
    while (page := read(journal, cursor, max_bytes=1200))[0]:
        assert len(page[0]) <= 2
        found += page[0]
        cursor = page[1]
    assert found == [f"f{number}" for number in range(10)]
