"""Bulk loads: batches, their order, and the account of what became of them."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vectron_p2p.client.batches import (
    MAX_ROWS,
    MIN_ROWS,
    Batch,
    Tally,
    UploadOptions,
    check_upload,
    cut,
    row_count,
    telling,
)
from vectron_p2p.model.errors import InvalidArgument, NotFound, Unavailable


def batches(source: Any, size: Any = 10, on_error: str = "raise") -> list[Batch]:
    return list(cut(source, check_upload(size, 4, on_error)))


def ids(found: list[Batch]) -> list[Any]:
    return [point_id for batch in found if batch.data is not None for point_id in batch.data.ids]


def rows(count: int) -> Any:
    return ((number, [1.0, float(number)], {"n": number}) for number in range(count))


def test_rows_are_cut_in_order() -> None:
    found = batches(rows(25))
    assert [(batch.start, batch.stop) for batch in found] == [(0, 10), (10, 20), (20, 25)]
    assert ids(found) == list(range(25))


def test_arrays_are_cut_in_order() -> None:
    source = {"ids": np.arange(25), "vectors": np.ones((25, 3), np.float16), "payloads": [{"n": n} for n in range(25)]}
    found = batches(source)
    assert [(batch.start, batch.stop) for batch in found] == [(0, 10), (10, 20), (20, 25)]
    assert ids(found) == list(range(25))
    assert ids(batches({"ids": [], "vectors": []})) == []


def test_auto_takes_about_a_mebibyte_within_bounds() -> None:
    def first(dimension: int) -> int:
        matrix = np.ones((5000, dimension), np.float32)
        [by_array, by_row] = (
            batches({"ids": range(5000), "vectors": matrix}, "auto")[0],
            batches(zip(range(5000), matrix, strict=True), "auto")[0],
        )
        assert by_array.stop == by_row.stop
        return by_array.stop

    assert first(1) == MAX_ROWS
    assert 400 < first(384) < 700
    assert MIN_ROWS <= first(4096) < 100


def test_a_source_is_read_as_it_goes() -> None:
    taken: list[int] = []

    def endless() -> Any:
        for row in rows(10**9):
            taken.append(row[0])
            yield row

    stream = cut(endless(), check_upload(10, 4, "raise"))
    assert next(stream).stop == 10
    assert len(taken) == 10


def test_a_bad_row_raises_and_says_where() -> None:
    with pytest.raises(InvalidArgument, match=r"begins at row 10: row 2") as caught:
        batches([*rows(12), (12, [float("nan"), 1.0])])
    assert caught.value.field == "vector"


def test_collected_errors_take_out_only_the_bad_rows() -> None:
    source = [*rows(12), (12, [float("nan"), 1.0]), (13, [1.0]), ("", [1.0, 2.0]), (15, [1.0, 2.0])]
    for shaped in (source, {"ids": [row[0] for row in source], "vectors": [row[1] for row in source]}):
        found = batches(shaped, on_error="collect")
        assert ids(found) == [*range(12), 15]
        errors = [error for batch in found for error in batch.errors]
        assert [error["rows"] for error in errors] == [[12, 13], [13, 14], [14, 15]]
        assert [error["field"] for error in errors] == ["vector", "vector", "id"]
        assert {error["code"] for error in errors} == {"invalid_argument"}


def test_a_batch_of_bad_rows_only() -> None:
    [batch] = batches([("", [1.0]), (None, [1.0])], on_error="collect")
    assert batch.data is None
    assert len(batch.errors) == 2


@pytest.mark.parametrize(
    ("source", "field"),
    [
        ("rows", "points"),
        (5, "points"),
        ({"ids": [1]}, "vectors"),
        ({"vectors": [[1.0]]}, "ids"),
        ({"ids": [1], "vectors": [[1.0]], "colour": 1}, "colour"),
        ({"ids": [1, 2], "vectors": [[1.0]]}, "vectors"),
        ({"ids": [1], "vectors": [[1.0]], "payloads": []}, "payloads"),
        ({"ids": iter([1]), "vectors": [[1.0]]}, "ids"),
    ],
)
def test_a_source_of_no_use_raises_even_when_errors_are_collected(source: Any, field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        batches(source, on_error="collect")
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ((0, 4, "raise"), "batch_size"),
        (("big", 4, "raise"), "batch_size"),
        ((1, 0, "raise"), "parallel"),
        ((1, 1, "skip"), "on_error"),
    ],
)
def test_options(options: tuple[Any, Any, Any], field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        check_upload(*options)
    assert caught.value.field == field


def test_the_number_of_rows_when_it_is_known() -> None:
    assert row_count([1, 2]) == 2
    assert row_count({"ids": [1, 2, 3]}) == 3
    assert row_count(iter([1])) is None


def tally(parallel: int = 2, on_error: str = "raise", **options: Any) -> Tally:
    return Tally(check_upload(10, parallel, on_error), options.get("total"), telling(options.get("progress")))


def test_no_more_than_parallel_batches_run() -> None:
    source = iter(batches(rows(30)))
    account = tally()
    started = []
    for _ in range(2):
        batch = account.next(source)
        assert batch is not None
        assert account.start(batch)
        started.append(batch)
    assert account.next(source) is None
    account.done(started[0], None)
    batch = account.next(source)
    assert batch is not None
    assert batch.start == 20
    assert not account.over


def test_batches_that_share_an_id_never_run_together() -> None:
    source = iter(batches([(1, [1.0]), (2, [1.0]), (3, [1.0]), (1, [2.0])], 2))
    account = tally(8)
    one = account.next(source)
    assert one is not None
    account.start(one)
    assert account.next(source) is None
    account.done(one, None)
    two = account.next(source)
    assert two is not None
    account.start(two)
    assert account.next(source) is None
    account.done(two, None)
    assert account.over


def test_the_report() -> None:
    seen: list[tuple[int, int | None]] = []
    rest = [*rows(19), ("", [1.0, 2.0]), *((n, [1.0, 2.0]) for n in range(20, 30))]
    source = iter(batches(rest, on_error="collect"))
    account = tally(8, "collect", total=30, progress=lambda done, total: seen.append((done, total)))
    found = []
    while (batch := account.next(source)) is not None:
        assert account.start(batch)
        found.append(batch)
    account.done(found[2], None)
    account.done(found[0], NotFound("gone"))
    account.done(found[1], None)
    assert account.over
    report = account.report(1.5)
    assert (report.sent, report.failed, report.seconds) == (19, 11, 1.5)
    assert [(error["rows"], error["code"]) for error in report.errors] == [
        ([19, 20], "invalid_argument"),
        ([0, 10], "not_found"),
    ]
    assert seen == [(10, 30), (20, 30), (30, 30)]
    assert account.failure is None


class Node:
    """Writes batches in some order and refuses those with a bad id; the rows it holds, and how they came there."""

    def __init__(self, bad: set[Any], order: random.Random) -> None:
        self.bad = bad
        self.order = order
        self.held: dict[Any, float] = {}
        self.requests = 0

    def load(self, source: Any, options: UploadOptions) -> Tally:
        account, found, running = Tally(options, None), cut(source, options), list[Batch]()
        while not account.over and account.failure is None:
            batch = account.next(found)
            if batch is not None:
                if account.start(batch):
                    running.append(batch)
                continue
            if not running:
                continue
            one = running.pop(self.order.randrange(len(running)))
            assert one.data is not None
            self.requests += 1
            before = account.prefix
            if self.bad & set(one.data.ids):
                account.done(one, InvalidArgument("bad", field="vector"))
            else:
                for place, point in enumerate(one.data.ids):
                    self.held[point] = float(one.data.vectors[place][0])
                account.done(one, None)
            assert account.prefix >= before
        return account


@given(
    points=st.lists(st.integers(0, 30), max_size=60),
    bad=st.sets(st.integers(0, 30), max_size=4),
    unreadable=st.sets(st.integers(0, 59), max_size=4),
    size=st.integers(1, 20),
    parallel=st.integers(1, 4),
    seed=st.integers(0, 1000),
)
def test_bad_rows_alone_are_reported_and_of_equal_ids_the_last_wins(
    points: list[int], bad: set[int], unreadable: set[int], size: int, parallel: int, seed: int
) -> None:
    source: list[Any] = [(point, [float(row + 1)]) for row, point in enumerate(points)]
    for row in unreadable & set(range(len(source))):
        source[row] = InvalidArgument("unreadable")
    node = Node(bad, random.Random(seed))
    account = node.load(source, UploadOptions(size, parallel, collect=True))
    good = [row for row, one in enumerate(source) if not isinstance(one, InvalidArgument)]
    assert node.held == {points[row]: row + 1.0 for row in good if points[row] not in bad}
    refused = {error["rows"][0]: error["id"] for error in account.errors}
    assert all(error["rows"][1] == error["rows"][0] + 1 for error in account.errors)
    assert {row for row, point in refused.items() if point is None} == unreadable & set(range(len(source)))
    assert {point for point in refused.values() if point is not None} == bad & {points[row] for row in good}
    assert all(points[row] == point for row, point in refused.items() if point is not None)
    assert account.prefix == account.settled == len(source)


def test_what_is_no_rows_fault_ends_it_where_rows_alone_are_collected() -> None:
    options = UploadOptions(10, 3, collect=True, only_rows=True, first=20)
    account, source = Tally(options, None), cut((row for row in list(rows(100))[20:]), options)
    started = []
    for _ in range(3):
        batch = account.next(source)
        assert batch is not None
        account.start(batch)
        started.append(batch)
    assert [batch.start for batch in started] == [20, 30, 40]
    account.done(started[0], None)
    account.done(started[1], Unavailable("gone"))
    account.done(started[2], None)
    assert isinstance(account.failure, Unavailable)
    assert account.prefix == 30, "where to go on from"
    assert not account.failed


@pytest.mark.parametrize(
    ("row", "said"),
    [((9, [1.0, 2.0, 3.0]), "dimension 2"), ((9, [0.0, 0.0]), "no direction"), ((9, [1.0]), "dimension")],
)
def test_what_the_collection_does_not_take_is_known_beforehand(row: Any, said: str) -> None:
    options = UploadOptions(4, 1, collect=True, dimension=2, metric="cosine")
    source = [(0, [1.0, 1.0]), row, (2, [1.0, 2.0])]
    for shaped in (source, {"ids": [r[0] for r in source], "vectors": [r[1] for r in source]}):
        [batch] = cut(shaped, options)
        assert ids([batch]) == [0, 2]
        [error] = batch.errors
        assert (error["rows"], error["id"]) == ([1, 2], 9)
        assert said in error["message"]


def test_the_first_error_is_kept_to_be_raised() -> None:
    [one, two] = batches(rows(20))
    account = tally()
    account.start(one)
    account.start(two)
    first = NotFound("first")
    account.done(two, first)
    account.done(one, NotFound("second"))
    assert account.failure is first
