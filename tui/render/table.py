"""Tables: columns, rows, what fits, what is filtered, in which order.

Invariants: rows have a stable key, so that a selection follows its row over refreshes; sorting is stable, ties keep the
order of the source; the columns left out when space is short are those of the least priority.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from tui.render.text import Line, Span, Tone, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

SortValue: TypeAlias = float | str

MEASURED = 200  # rows that decide how wide columns are, beside those on show: measuring costs 2 µs a cell
SHRUNK = 12  # the least that a column is cut to: a word and a figure
PADDING = 2  # blanks that a terminal table puts around a cell


@dataclass(frozen=True, slots=True)
class Column:
    """`priority` 0 is always shown; the larger, the sooner left out. `most`: longest text shown in full. `shrinks`: cut
    to what is left where it would not fit.
    """

    key: str
    label: str
    priority: int = 0
    right: bool = False
    most: int = 40
    help: str = ""
    shrinks: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    spans: Line
    sort: SortValue

    @property
    def text(self) -> str:
        return plain(self.spans)


def cell(text: str, tone: Tone = Tone.NORMAL, *, sort: SortValue | None = None) -> Cell:
    return Cell((Span(text, tone),), text.casefold() if sort is None else sort)


@dataclass(slots=True)
class Row:
    """Never changed: a row whose figures change is another one."""

    key: str
    cells: Mapping[str, Cell]
    _folded: str | None = field(default=None, init=False, compare=False, repr=False)

    @property
    def folded(self) -> str:
        """All its texts, as filters look at them: made once, which takes 20 µs, so that each letter takes a tenth."""
        if self._folded is None:
            cells = self.cells
            self._folded = "\n".join([cells[key].text for key in cells]).casefold()
        return self._folded


class LazyCells(Mapping[str, Cell]):
    """Cells made when they are looked at: of thousands of rows a screenful is seen, and one column sorted by."""

    __slots__ = ("_made", "_makers", "_subject", "_values")

    def __init__(
        self,
        makers: Mapping[str, Callable[[Any], Cell]],
        subject: Any,
        values: Mapping[str, Callable[[Any], SortValue]] | None = None,
    ) -> None:
        """`makers`: of the cell of each column, from `subject`. `values`: where what a column is sorted by is had for
        less than a cell.
        """
        self._makers = makers
        self._values = values or {}
        self._subject = subject
        self._made: dict[str, Cell] | None = None

    def __getitem__(self, key: str) -> Cell:
        if self._made is None:
            self._made = {}
        found = self._made.get(key)
        if found is None:
            found = self._made[key] = self._makers[key](self._subject)
        return found

    def sort_value(self, key: str) -> SortValue:
        value = self._values.get(key)
        return self[key].sort if value is None else value(self._subject)

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


@dataclass(frozen=True, slots=True)
class Sort:
    column: str
    reverse: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Filter:
    """What `/` takes: words that all have to match, `column=value` for one column, a leading `!` for the opposite.

    A column is named by its label as shown, blanks as `_`, or by its key.
    """

    text: str = ""

    def accepts(self, row: Row, labels: Mapping[str, str]) -> bool:
        """`labels`: keys of columns by their labels as they are typed."""
        words = self.text.casefold().split()
        inverse = bool(words) and words[0].startswith("!")
        if inverse:
            words[0] = words[0][1:]
        words = [word for word in words if word]
        if not words:
            return True
        return all(_matches(word, row, labels) for word in words) is not inverse


def _matches(word: str, row: Row, labels: Mapping[str, str]) -> bool:
    name, equals, value = word.partition("=")
    name = labels.get(name, name)
    if equals and name in row.cells:
        return value in row.cells[name].text.casefold()
    return word in row.folded


def _value(row: Row, column: str) -> SortValue:
    cells = row.cells
    return cells.sort_value(column) if isinstance(cells, LazyCells) else cells[column].sort


def _sort_key(value: SortValue) -> tuple[bool, float, str]:
    """Figures go before words."""
    return (True, 0.0, value) if isinstance(value, str) else (False, float(value), "")


class SortKeys:
    """Puts rows in order. Where those of the time before are there again, but for some that are new with the same
    values to sort by, they stand as they stood: of thousands a few change in a second.
    """

    def __init__(self) -> None:
        self._sort: Sort | None = None
        self._rows: Sequence[Row] = ()
        self._values: list[SortValue] = []
        self._order: list[int] = []

    def sort(self, rows: Sequence[Row], sort: Sort) -> list[Row]:
        if not self._unmoved(rows, sort):
            self._order = _order(self._values, reverse=sort.reverse)
        self._sort, self._rows = sort, rows
        return [rows[place] for place in self._order]

    def _unmoved(self, rows: Sequence[Row], sort: Sort) -> bool:
        """Takes the values of `rows`; whether they are those of before."""
        column, before = sort.column, self._sort
        if before is None or before.column != column or len(rows) != len(self._rows):
            self._values = [_value(row, column) for row in rows]
            return False
        unmoved = sort == before
        for place, (row, held) in enumerate(zip(rows, self._rows, strict=True)):
            if row is not held:
                value = _value(row, column)
                if value != self._values[place]:
                    self._values[place] = value
                    unmoved = False
        return unmoved


def _order(values: list[SortValue], *, reverse: bool) -> list[int]:
    """The places of `values`, in their order."""
    kinds = set(map(type, values))
    if kinds <= {str} or kinds <= {float, int}:
        return sorted(range(len(values)), key=values.__getitem__, reverse=reverse)
    keys = [_sort_key(value) for value in values]
    return sorted(range(len(keys)), key=keys.__getitem__, reverse=reverse)


def arrange(
    rows: Iterable[Row],
    sort: Sort | None,
    wanted: Filter,
    columns: Sequence[Column] = (),
    keys: SortKeys | None = None,
) -> list[Row]:
    """The rows that `wanted` accepts, in the order of `sort`; `columns` may be named by their labels."""
    labels = {column.label.casefold().replace(" ", "_"): column.key for column in columns if column.label}
    if sort is not None:  # all of them: then those that stand in order are not sorted anew with each letter of a filter
        rows = (keys or SortKeys()).sort(tuple(rows), sort)
    return [row for row in rows if wanted.accepts(row, labels)] if wanted.text.strip() else list(rows)


@dataclass(frozen=True, slots=True)
class Fitted:
    """A column as drawn."""

    column: Column
    width: int


class Widths:
    """The longest text that was ever seen in each column: a table that jumps as figures change cannot be read. A row
    is looked at once.
    """

    def __init__(self) -> None:
        self._longest: dict[str, int] = {}
        self._measured: dict[str, Row] = {}

    def measure(self, columns: Sequence[Column], rows: Sequence[Row], on_show: range) -> None:
        """Looks at the first ones of `rows`, and at those on show."""
        before = self._measured
        shown = (rows[place] for place in on_show if MEASURED <= place < len(rows))
        self._measured = {row.key: row for row in (*rows[:MEASURED], *shown)}
        for key, row in self._measured.items():
            if before.get(key) is not row:
                for column in columns:
                    length = len(row.cells[column.key].text)
                    if length > self._longest.get(column.key, 0):
                        self._longest[column.key] = length

    def natural(self, column: Column) -> int:
        """What it takes to show all of it."""
        return max(len(column.label) + 1, min(self._longest.get(column.key, 0), column.most))


def fit(columns: Sequence[Column], widths: Widths, width: int) -> list[Fitted]:
    """The columns that fit into `width`, each as wide as its longest text."""
    natural = {column.key: widths.natural(column) for column in columns}
    chosen: set[str] = set()
    left = width
    for column in sorted(columns, key=lambda item: item.priority):
        need = natural[column.key] + PADDING
        if column.shrinks and need > left >= SHRUNK + PADDING:
            natural[column.key], need = left - PADDING, left
        if column.priority and need > left:
            break
        chosen.add(column.key)
        left -= need
    return [Fitted(column, natural[column.key]) for column in columns if column.key in chosen]


def next_sort(columns: Sequence[Column], sort: Sort, step: int) -> Sort:
    """The sort by the column `step` places further, round and round; figures start with the largest."""
    keys = [column.key for column in columns]
    at = keys.index(sort.column) if sort.column in keys else 0
    column = columns[(at + step) % len(columns)]
    return Sort(column.key, reverse=column.right)


def toggled(sort: Sort) -> Sort:
    return replace(sort, reverse=not sort.reverse)
