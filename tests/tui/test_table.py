from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tui.render.table import (
    MEASURED,
    PADDING,
    Column,
    Filter,
    Fitted,
    Row,
    Sort,
    SortKeys,
    SortValue,
    Widths,
    arrange,
    cell,
    fit,
    next_sort,
    toggled,
)

COLUMNS = (
    Column("name", "NAME", most=10),
    Column("size", "SIZE", priority=2, right=True),
    Column("zone", "ZONE", priority=1),
)


def _row(name: str, size: float, zone: str) -> Row:
    return Row(name, {"name": cell(name), "size": cell(f"{size:g} B", sort=size), "zone": cell(zone)})


ROWS = [_row("beta", 10, "east"), _row("Alpha", 9, "west"), _row("gamma", 100, "east")]


def _fitted(rows: list[Row], width: int, widths: Widths | None = None) -> list[Fitted]:
    widths = widths or Widths()
    widths.measure(COLUMNS, rows, range(0))
    return fit(COLUMNS, widths, width)


def _names(rows: list[Row]) -> list[str]:
    return [row.key for row in rows]


def test_sorting_is_by_value_not_by_text():
    assert _names(arrange(ROWS, Sort("size"), Filter())) == ["Alpha", "beta", "gamma"]
    assert _names(arrange(ROWS, Sort("size", reverse=True), Filter())) == ["gamma", "beta", "Alpha"]


def test_names_sort_without_regard_to_case_and_ties_keep_their_order():
    assert _names(arrange(ROWS, Sort("name"), Filter())) == ["Alpha", "beta", "gamma"]
    assert _names(arrange(ROWS, Sort("zone"), Filter())) == ["beta", "gamma", "Alpha"]
    assert _names(arrange(ROWS, Sort("zone", reverse=True), Filter())) == ["Alpha", "beta", "gamma"]
    assert _names(arrange(ROWS, None, Filter())) == ["beta", "Alpha", "gamma"]


def test_filter_words_all_have_to_match():
    def kept(text: str) -> list[str]:
        return _names(arrange(ROWS, None, Filter(text)))

    assert kept("") == kept("   ") == kept("!") == ["beta", "Alpha", "gamma"]
    assert kept("EAST") == ["beta", "gamma"]
    assert kept("east gam") == ["gamma"]
    assert kept("!east") == ["Alpha"]
    assert kept("!east gam") == ["beta", "Alpha"]
    assert kept("name=a") == ["beta", "Alpha", "gamma"]
    assert kept("zone=we") == ["Alpha"]
    assert kept("colour=red") == []
    assert kept("[b") == []


def test_a_filter_names_a_column_as_it_is_labelled():
    columns = (Column("name", "CALLED SO"), Column("zone", "NAME"))
    assert _names(arrange(ROWS, None, Filter("called_so=gam"), columns)) == ["gamma"]
    assert _names(arrange(ROWS, None, Filter("name=west"), columns)) == ["Alpha"]
    assert _names(arrange(ROWS, None, Filter("zone=west"), columns)) == ["Alpha"]


@given(st.text(max_size=30))
def test_any_filter_is_taken_and_its_inverse_keeps_the_rest(text):
    kept = _names(arrange(ROWS, None, Filter(text)))
    if text.strip() and not text.strip().startswith("!"):
        rest = _names(arrange(ROWS, None, Filter("!" + text.strip())))
        assert sorted(kept + rest) == sorted(_names(ROWS))


def test_columns_of_least_priority_go_first():
    def keys(width: int) -> list[str]:
        return [item.column.key for item in _fitted(ROWS, width)]

    assert keys(100) == ["name", "size", "zone"]
    assert keys(16) == ["name", "zone"]
    assert keys(8) == ["name"]
    assert keys(0) == ["name"]


def test_widths_follow_the_text_but_never_shrink():
    widths = Widths()
    assert [item.width for item in _fitted([*ROWS, _row("a-very-long-name", 1, "x")], 100, widths)] == [10, 5, 5]
    assert [item.width for item in _fitted(ROWS[:1], 100, widths)] == [10, 5, 5]
    assert [item.width for item in _fitted([], 100)] == [5, 5, 5]


def test_a_row_far_below_counts_for_widths_once_it_is_on_show():
    rows = [*(_row("x", 1, "x") for _ in range(MEASURED)), _row("long-name", 1, "x")]
    widths = Widths()
    assert _fitted(rows, 100, widths)[0].width == 5
    widths.measure(COLUMNS, rows, range(MEASURED - 5, MEASURED + 5))
    assert fit(COLUMNS, widths, 100)[0].width == 9


@given(st.integers(0, 60))
def test_optional_columns_never_overflow(width):
    fitted = _fitted(ROWS, width)
    if len(fitted) > 1:
        assert sum(item.width + PADDING for item in fitted) <= width


def test_next_sort_goes_round_and_figures_start_with_the_largest():
    sort = next_sort(COLUMNS, Sort("name"), 1)
    assert sort == Sort("size", reverse=True)
    assert next_sort(COLUMNS, sort, 1) == Sort("zone")
    assert next_sort(COLUMNS, Sort("name"), -1) == Sort("zone")
    assert next_sort(COLUMNS, Sort("hidden"), 1) == Sort("size", reverse=True)
    assert toggled(Sort("name")) == Sort("name", reverse=True)


VALUES: st.SearchStrategy[SortValue] = st.one_of(st.sampled_from([0.0, 1.0, 2.0]), st.sampled_from(["a", "b"]))


@given(st.lists(st.tuples(st.lists(VALUES, min_size=4, max_size=6), st.booleans(), st.sampled_from(["name", "size"]))))
def test_rows_sorted_again_and_again_stand_as_if_sorted_anew(turns):
    keys, rows = SortKeys(), list[Row]()
    for values, reverse, column in turns:
        fresh = [
            Row(str(place), {"name": cell("", sort=value), "size": cell("", sort=float(place % 2))})
            for place, value in enumerate(values)
        ]
        # As the source makes them: those that have not changed are the same objects.
        rows = [
            held if place < len(rows) and (held := rows[place]).cells == row.cells else row
            for place, row in enumerate(fresh)
        ]
        sort = Sort(column, reverse)
        assert keys.sort(rows, sort) == SortKeys().sort(rows, sort) == arrange(rows, sort, Filter())
