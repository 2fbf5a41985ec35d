"""Tables: columns, rows, what fits, what is filtered, in which order.

Invariants: rows have a stable key, so that a selection follows its row over refreshes; sorting is stable, ties keep the
order of the source; the columns left out when space is short are those of the least priority.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
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


@dataclass(frozen=True, slots=True)
class Row:
    key: str
    cells: Mapping[str, Cell]


class LazyCells(Mapping[str, Cell]):
    """Cells made when they are looked at: of thousands of rows a screenful is seen, and one column sorted by."""

    __slots__ = ("_made", "_makers", "_subject")

    def __init__(self, makers: Mapping[str, Callable[[Any], Cell]], subject: Any) -> None:
        """`makers`: of the cell of each column, from `subject`."""
        self._makers = makers
        self._subject = subject
        self._made: dict[str, Cell] | None = None

    def __getitem__(self, key: str) -> Cell:
        if self._made is None:
            self._made = {}
        found = self._made.get(key)
        if found is None:
            found = self._made[key] = self._makers[key](self._subject)
        return found

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
    return any(word in item.text.casefold() for item in row.cells.values())


def _sort_key(item: Cell) -> tuple[bool, float, str]:
    value = item.sort
    return (True, 0.0, value) if isinstance(value, str) else (False, float(value), "")


def arrange(rows: Iterable[Row], sort: Sort | None, wanted: Filter, columns: Sequence[Column] = ()) -> list[Row]:
    """The rows that `wanted` accepts, in the order of `sort`; `columns` may be named by their labels."""
    labels = {column.label.casefold().replace(" ", "_"): column.key for column in columns if column.label}
    kept = [row for row in rows if wanted.accepts(row, labels)] if wanted.text.strip() else list(rows)
    if sort is not None:
        kept.sort(key=lambda row: _sort_key(row.cells[sort.column]), reverse=sort.reverse)
    return kept


@dataclass(frozen=True, slots=True)
class Fitted:
    """A column as drawn."""

    column: Column
    width: int


def fit(columns: Sequence[Column], rows: Iterable[Row], width: int, least: Mapping[str, int]) -> list[Fitted]:
    """The columns that fit into `width`, each as wide as its longest text.

    `least` holds widths that columns keep once they had them: a table that jumps as figures change cannot be read.
    """
    sample = list(rows)
    natural: dict[str, int] = {}
    for column in columns:
        longest = max((len(row.cells[column.key].text) for row in sample), default=0)
        natural[column.key] = max(len(column.label) + 1, min(longest, column.most), least.get(column.key, 0))
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


def sample(rows: Sequence[Row], on_show: range) -> list[Row]:
    """The rows by which columns are fitted: the first ones, and those on show."""
    return [*rows[:MEASURED], *(rows[place] for place in on_show if MEASURED <= place < len(rows))]


def next_sort(columns: Sequence[Column], sort: Sort, step: int) -> Sort:
    """The sort by the column `step` places further, round and round; figures start with the largest."""
    keys = [column.key for column in columns]
    at = keys.index(sort.column) if sort.column in keys else 0
    column = columns[(at + step) % len(columns)]
    return Sort(column.key, reverse=column.right)


def toggled(sort: Sort) -> Sort:
    return replace(sort, reverse=not sort.reverse)
