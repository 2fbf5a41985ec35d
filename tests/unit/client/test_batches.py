"""Bulk loads: batches, their order, and the account of what became of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vectron_p2p.client.batches import MAX_ROWS, MIN_ROWS, Batch, Tally, check_upload, cut, row_count
from vectron_p2p.model.errors import InvalidArgument, NotFound


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
    return Tally(check_upload(10, parallel, on_error), options.get("total"), options.get("progress"))


def test_no_more_than_parallel_batches_run() -> None:
    [one, two, three] = batches(rows(30))
    account = tally()
    for batch in (one, two):
        assert account.may_start(batch)
        assert account.start(batch)
    assert not account.may_start(three)
    account.done(one, None)
    assert account.may_start(three)


def test_batches_that_share_an_id_never_run_together() -> None:
    [one, two] = batches([(1, [1.0]), (2, [1.0]), (3, [1.0]), (1, [2.0])], 2)
    account = tally(8)
    account.start(one)
    assert not account.may_start(two)
    account.done(one, None)
    assert account.may_start(two)


def test_the_report() -> None:
    seen: list[tuple[int, int | None]] = []
    source = [*rows(19), ("", [1.0, 2.0]), *((n, [1.0, 2.0]) for n in range(20, 30))]
    found = batches(source, on_error="collect")
    account = tally(8, "collect", total=30, progress=lambda done, total: seen.append((done, total)))
    for batch in found:
        assert account.start(batch)
    account.done(found[2], None)
    account.done(found[0], NotFound("gone"))
    account.done(found[1], None)
    report = account.report(1.5)
    assert (report.sent, report.failed, report.seconds) == (19, 11, 1.5)
    assert [(error["rows"], error["code"]) for error in report.errors] == [
        ([19, 20], "invalid_argument"),
        ([0, 10], "not_found"),
    ]
    assert seen == [(10, 30), (20, 30), (30, 30)]
    assert account.failure is None


def test_the_first_error_is_kept_to_be_raised() -> None:
    [one, two] = batches(rows(20))
    account = tally()
    account.start(one)
    account.start(two)
    first = NotFound("first")
    account.done(two, first)
    account.done(one, NotFound("second"))
    assert account.failure is first
