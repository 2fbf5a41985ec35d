"""Figures of several nodes put together."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from vectron_p2p.model.errors import Internal
from vectron_p2p.model.ids import NodeId
from vectron_p2p.node.event_parts import PART_CONTAINERS, Part, containers, parts
from vectron_p2p.node.measuring import operation_name
from vectron_p2p.node.statistics import joined_history, operations_of_all
from vectron_p2p.observability.meter import Meter
from vectron_p2p.protocol import messages as m

A, B = NodeId("a"), NodeId("b")


def past(newest: int, *values: float | None, name: str = "points") -> m.NodeHistoryReply:
    return m.NodeHistoryReply(10, newest, {name: list(values)})


def test_the_past_is_added_up_step_by_step() -> None:
    found = joined_history({A: past(100, 1.0, 2.0, 3.0), B: past(101, 10.0, None, 30.0)}, "")
    assert found.figures == {"points": [12.0, 3.0, 30.0]}  # steps 99, 100 and 101
    assert (found.step_s, found.until, found.nodes) == (10, 1020.0, 2)


def test_of_percentiles_the_worst_counts() -> None:
    replies = {A: past(5, 1.0, 9.0, name="search_p99_ms"), B: past(5, 2.0, 4.0, name="search_p99_ms")}
    assert joined_history(replies, "").figures == {"search_p99_ms": [2.0, 9.0]}


def test_nodes_without_a_past_add_nothing() -> None:
    assert joined_history({A: past(-1), B: past(7, 1.0)}, "").figures == {"points": [1.0]}
    nothing = joined_history({A: past(-1)}, "a")
    assert (nothing.figures, nothing.until, nothing.nodes) == ({"points": []}, 0.0, 0)


def answered(*milliseconds: int) -> m.NodeStatisticsReply:
    meter = Meter(0.0)
    for each in milliseconds:
        meter.operation("client", "get").record(10.0, each / 1000, failed=each > 100, bytes_in=1, bytes_out=2)
    operations = [
        {**dataclasses.asdict(figures), "histogram": tally.histogram.to_bytes()}
        for figures, tally in meter.windows(10.0)
    ]
    return m.NodeStatisticsReply({}, operations)


async def test_percentiles_of_all_are_not_means_of_percentiles() -> None:
    fast, slow = answered(*[1] * 990), answered(*[200] * 10)
    minute = next(each for each in await operations_of_all({A: fast, B: slow}) if each.window_s == 60)
    assert (minute.count, minute.errors, minute.bytes_in, minute.bytes_out) == (1000, 10, 1000, 2000)
    assert minute.p50_ms == pytest.approx(1, rel=0.04)
    assert minute.p99_ms == pytest.approx(1, rel=0.04)  # 990 of 1,000
    assert minute.max_ms == 200
    assert minute.mean_ms == pytest.approx(2.99)
    assert minute.rate == pytest.approx(100)


async def test_figures_that_make_no_sense_are_a_defect_that_is_said() -> None:
    reply = answered(1)
    reply.operations[0]["histogram"] = b"123"
    with pytest.raises(Internal, match="cannot be read"):
        await operations_of_all({A: reply})


@pytest.mark.parametrize(
    ("before", "after", "changed", "removed"),
    [
        ({}, {"t": {}}, {}, {}),
        ({}, {"t": {"a": 1}}, {"t": {"a": 1}}, {}),
        ({"t": {"a": 1, "b": 2}}, {"t": {"a": 1, "b": 3}}, {"t": {"b": 3}}, {}),
        ({"t": {"a": 1}, "u": {"x": 0}}, {"t": {}, "u": {"x": 0}}, {}, {"t": ["a"]}),
    ],
)
def test_only_differences_are_sent(before: Any, after: Any, changed: Any, removed: Any) -> None:
    assert list(parts(before, after)) == [Part(changed, removed, last=True)]


def test_a_large_difference_comes_in_parts_that_make_it_up() -> None:
    before: dict[str, dict[str, Any]] = {"t": {f"old{number}": {} for number in range(9)}, "u": {"x": 1}}
    after: dict[str, dict[str, Any]] = {
        "t": {f"new{number:05}": {"values": [{}, {}], "n": number} for number in range(5000)},
        "u": {"x": 1, "y": {"held": [{}] * 3 * PART_CONTAINERS}},
    }
    found = [each for each in parts(before, after) if each is not None]
    assert [each.last for each in found] == [*[False] * (len(found) - 1), True]
    assert all(containers(each.changed) <= PART_CONTAINERS + 3 for each in found[:-1])
    assert len(found) > 20  # 20,000 containers, and one value that is larger than a part
    together: dict[str, Any] = {}
    for each in found:
        for topic, values in each.changed.items():
            assert not together.setdefault(topic, {}).keys() & values.keys()
            together[topic] |= values
    assert together == {"t": after["t"], "u": {"y": after["u"]["y"]}}
    assert [each.removed for each in found if each.removed] == [{"t": [f"old{number}" for number in range(9)]}]


def test_comparing_much_lets_others_in_between() -> None:
    values = {"t": {str(number): number for number in range(5000)}}
    assert list(parts(values, values)) == [None] * 5 + [Part(last=True)]


def test_values_that_hold_much_count_for_what_they_hold() -> None:
    values = {"t": {str(number): [{"n": number}] * 99 for number in range(100)}}
    assert list(parts(values, values)) == [None] * 10 + [Part(last=True)]


def test_names_of_operations() -> None:
    assert operation_name(m.SearchShards) == "search_shards"
    assert operation_name(m.Get) == "get"
