"""The values of one path: texts by code, numbers, and hashes of the texts that are too long or too many to be kept.

Every question fills two masks over a range of slots: `sure`, where the answer is yes, and `possible`, where it may be.
They differ only where a hash or a rounded number is all that is known.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from vectron_p2p.index.payload.columns import Column

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vectron_p2p.index.payload.columns import Int32s

Mask: TypeAlias = npt.NDArray[np.bool_]
Text: TypeAlias = str | bool | None

MAX_TEXT = 64  # characters: longer ones are read, not compared
MAX_DISTINCT = 16_384  # of one path: a range or `$contains` looks at each once, 1 ms; together at most 4 MB
TEXT_BYTES = 150  # of a short str in a dict and a list, besides its characters

_NUMBERS = frozenset({int, float})
EXACT = 2.0**53  # integers below it are float64 exactly
_TESTS: dict[str, Callable[[Any, Any], Any]] = {
    "$gt": operator.gt, "$gte": operator.ge, "$lt": operator.lt, "$lte": operator.le,
}  # fmt: skip


class Masks(NamedTuple):
    """Slots that surely pass, and slots that may pass (the same array where nothing is open)."""

    sure: Mask
    possible: Mask

    @property
    def exact(self) -> bool:
        return self.possible is self.sure


class Values:
    """Scalars that stand at a path in one way: themselves, or as elements of a list."""

    __slots__ = ("_code_of", "_codes", "_distinct", "_hashes", "_numbers", "number_types", "text_bytes")

    def __init__(self) -> None:
        self._codes = Column(np.int32)
        self._hashes = Column(np.int64)
        self._numbers = Column(np.float64)
        # bools and null are texts too; a number never is one, so that 1 and True do not meet in the dict
        self._code_of: dict[Text, int] = {}
        self._distinct: list[Text] = []
        self.text_bytes = 0
        self.number_types: frozenset[type] = frozenset()
        """Of all numbers so far: as float64 they no longer tell."""

    @property
    def columns(self) -> tuple[Column, ...]:
        return self._codes, self._hashes, self._numbers

    @property
    def nbytes(self) -> int:
        return sum(column.nbytes for column in self.columns) + self.text_bytes

    # --- writing ------------------------------------------------------------------------------------------------------

    def add(self, slots: Sequence[int], values: Sequence[Any]) -> None:
        kinds = set(map(type, values))
        self.number_types |= kinds & _NUMBERS
        if not kinds & _NUMBERS:
            self._add_texts(np.array(slots, dtype=np.int32), values)
        elif kinds <= _NUMBERS:
            self._numbers.append(np.array(slots, dtype=np.int32), np.array([float(value) for value in values]))
        else:
            for wanted in (True, False):
                places = [place for place, value in enumerate(values) if (type(value) in _NUMBERS) is wanted]
                self.add([slots[place] for place in places], [values[place] for place in places])

    def _add_texts(self, slots: Int32s, values: Sequence[Text]) -> None:
        found = list(map(self._code_of.get, values))  # most texts came before, or there is no room for more
        new = self._code if len(self._distinct) < MAX_DISTINCT else _no_code
        codes = np.array(
            [new(value) if code is None else code for code, value in zip(found, values, strict=True)], dtype=np.int32
        )
        kept = codes >= 0
        if kept.all():
            self._codes.append(slots, codes)
            return
        self._codes.append(slots[kept], codes[kept])
        left = np.flatnonzero(~kept)
        hashes = np.array([hash(values[place]) for place in left.tolist()], dtype=np.int64)
        self._hashes.append(slots[left], hashes)

    def _code(self, value: Text) -> int:
        """The code of a text, a new one if there is room; -1: only its hash is kept."""
        code = self._code_of.get(value)
        if code is not None:
            return code
        if (type(value) is str and len(value) > MAX_TEXT) or len(self._distinct) >= MAX_DISTINCT:
            return -1
        code = len(self._distinct)
        self._distinct.append(value)
        self._code_of[value] = code
        self.text_bytes += TEXT_BYTES + (len(value) if type(value) is str else 0)
        return code

    def copy(self, other: Values, chosen: Int32s, first: int) -> None:
        """The terms that `other` has of the slots `chosen` (ascending), which are `first` and following here."""
        slots, codes = moved(other._codes, chosen, first)
        used, place = np.unique(codes, return_inverse=True)
        texts = [other._distinct[code] for code in used.tolist()]
        mine = np.array([self._code(text) for text in texts], dtype=np.int32)[place]
        kept = mine >= 0
        self._codes.append(slots[kept], mine[kept])
        hashes = np.array([hash(text) for text in texts], dtype=np.int64)[place]
        more_slots, more = moved(other._hashes, chosen, first)
        self._hashes.append(np.concatenate([slots[~kept], more_slots]), np.concatenate([hashes[~kept], more]))
        self._numbers.append(*moved(other._numbers, chosen, first))
        self.number_types |= other.number_types

    def sort(self) -> None:
        for column in self.columns:
            column.sort()

    # --- contents -----------------------------------------------------------------------------------------------------

    def numbers(self, end: int) -> tuple[Int32s, npt.NDArray[np.float64]]:
        """Slots below `end` and their numbers, those from `EXACT` on rounded."""
        return self._numbers.between(0, end)

    def texts(self, end: int) -> tuple[Int32s, Int32s, list[Text]]:
        """Slots below `end`, codes, and what the codes stand for."""
        slots, codes = self._codes.between(0, end)
        return slots, codes, self._distinct[:]  # taken after the codes, so it has all that they name

    def hashes(self, end: int) -> tuple[Int32s, npt.NDArray[np.int64]]:
        """Slots below `end` and hashes of the texts that are not kept."""
        return self._hashes.between(0, end)

    # --- questions ----------------------------------------------------------------------------------------------------

    def present(self, start: int, found: Mask) -> None:
        """Slots from `start` on that have any value here."""
        for column in self.columns:
            found[column.between(start, start + len(found))[0] - start] = True

    def equal(self, operands: Sequence[Any], start: int, sure: Mask, possible: Mask) -> None:
        """Slots with a value equal to one of `operands`."""
        end = start + len(sure)
        texts = [value for value in operands if value is None or isinstance(value, str | bool)]
        numbers = [_as_float(value) for value in operands if not (value is None or isinstance(value, str | bool))]
        codes = [code for code in map(self._code_of.get, texts) if code is not None]
        if codes and self._codes.count:
            slots, held = self._codes.between(start, end)
            if len(codes) == 1:
                found = held == codes[0]
            else:
                wanted = np.zeros(len(self._distinct), dtype=np.bool_)  # taken after the codes, so it has all of them
                wanted[codes] = True
                found = wanted[held]
            sure[slots[found] - start] = True
        if texts and self._hashes.count:
            slots, held = self._hashes.between(start, end)
            possible[slots[np.isin(held, np.array([hash(text) for text in texts], dtype=np.int64))] - start] = True
        if numbers and self._numbers.count:
            slots, held = self._numbers.between(start, end)
            exact = [number for number in numbers if abs(number) < EXACT]
            if exact:
                sure[slots[held == exact[0] if len(exact) == 1 else np.isin(held, exact)] - start] = True
            if len(exact) < len(numbers):
                rounded = [number for number in numbers if abs(number) >= EXACT]
                possible[slots[np.isin(held, rounded)] - start] = True

    def outside(self, named: Sequence[Any], start: int, sure: Mask, possible: Mask) -> None:
        """Slots with a value that is neither null nor NaN nor equal to one of `named`."""
        end = start + len(sure)
        slots, held = self._codes.between(start, end)
        if len(slots):
            others = np.ones(len(self._distinct), dtype=np.bool_)  # taken after the codes, so it has all of them
            texts = (value for value in (None, *named) if value is None or isinstance(value, str | bool))
            others[[code for code in map(self._code_of.get, texts) if code is not None]] = False
            sure[slots[others[held]] - start] = True
        slots, hashes = self._hashes.between(start, end)
        if len(slots):
            alike = np.isin(hashes, np.array([hash(text) for text in named if isinstance(text, str)], dtype=np.int64))
            sure[slots[~alike] - start] = True
            possible[slots[alike] - start] = True
        slots, numbers = self._numbers.between(start, end)
        if len(slots):
            known = [_as_float(value) for value in named if not isinstance(value, str | bool | None)]
            alike, real = np.isin(numbers, known), ~np.isnan(numbers)
            sure[slots[real & ~alike] - start] = True
            possible[slots[alike & (np.abs(numbers) >= EXACT)] - start] = True

    def compare(self, comparison: str, operand: str | int | float, start: int, sure: Mask, possible: Mask) -> None:
        """Slots with a value of the operand's kind on that side of it."""
        test = _TESTS[comparison]
        if isinstance(operand, str):
            self._texts(lambda text: bool(test(text, operand)), start, sure, possible)
            return
        if not self._numbers.count:
            return
        slots, held = self._numbers.between(start, start + len(sure))
        bound = _as_float(operand)
        if abs(bound) < EXACT:
            sure[slots[test(held, bound)] - start] = True
        else:  # rounding keeps the order, but what was rounded to the bound may lie on either side of it
            sure[slots[test(held, bound) & (held != bound)] - start] = True
            possible[slots[held == bound] - start] = True

    def substring(self, part: str, start: int, sure: Mask, possible: Mask) -> None:
        """Slots with a text that has `part` in it."""
        self._texts(lambda text: part in text, start, sure, possible)

    def _texts(self, test: Callable[[str], bool], start: int, sure: Mask, possible: Mask) -> None:
        end = start + len(sure)
        slots, held = self._codes.between(start, end)
        if len(slots):
            distinct = self._distinct[:]  # taken after the codes, so it has all that they name
            passing = np.zeros(len(distinct), dtype=np.bool_)
            for code in range(len(distinct)) if len(held) > len(distinct) else np.unique(held).tolist():
                text = distinct[code]
                passing[code] = type(text) is str and test(text)
            sure[slots[passing[held]] - start] = True
        possible[self._hashes.between(start, end)[0] - start] = True


class Field:
    """All that stands at one path."""

    __slots__ = ("containers", "elements", "scalars")

    def __init__(self) -> None:
        self.scalars = Values()
        self.elements = Values()
        self.containers = Column(np.int8)

    @property
    def nbytes(self) -> int:
        return self.scalars.nbytes + self.elements.nbytes + self.containers.nbytes

    def touches(self, chosen: Int32s) -> bool:
        """Whether it may hold anything of the slots `chosen` (ascending)."""
        start, end = int(chosen[0]), int(chosen[-1]) + 1
        columns = (*self.scalars.columns, *self.elements.columns, self.containers)
        return any(len(column.between(start, end)[0]) for column in columns)

    def copy(self, other: Field, chosen: Int32s, first: int) -> None:
        """See `Values.copy`."""
        self.scalars.copy(other.scalars, chosen, first)
        self.elements.copy(other.elements, chosen, first)
        self.containers.append(*moved(other.containers, chosen, first))

    def sort(self) -> None:
        self.scalars.sort()
        self.elements.sort()
        self.containers.sort()

    def exists(self, start: int, size: int) -> Mask:
        """Slots `start`..`start + size` where anything stands here."""
        found = np.zeros(size, dtype=np.bool_)
        self.scalars.present(start, found)
        self.elements.present(start, found)
        found[self.containers.between(start, start + size)[0] - start] = True
        return found


def moved(column: Column, chosen: Int32s, first: int) -> tuple[Int32s, npt.NDArray[Any]]:
    """The pairs of the slots `chosen` (ascending), which are renumbered from `first` on."""
    slots, values = column.between(int(chosen[0]), int(chosen[-1]) + 1)
    low, high = np.searchsorted(slots, chosen, "left"), np.searchsorted(slots, chosen, "right")
    counts = high - low
    before = np.cumsum(counts) - counts
    places = np.repeat(low - before, counts) + np.arange(int(counts.sum()))
    return np.repeat(np.arange(first, first + len(chosen), dtype=np.int32), counts), values[places]


def _no_code(_value: Text) -> int:
    return -1


def _as_float(number: int | float) -> float:
    try:
        return float(number)
    except OverflowError:  # beyond all that a payload holds, infinity apart: rounded to it, so not exact
        return float("inf") if number > 0 else float("-inf")
