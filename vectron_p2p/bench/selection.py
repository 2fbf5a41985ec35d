"""Filters for a benchmark, chosen from the payloads themselves by how many points they keep, exactly.

A filter is an equality on a top-level field, or one of several values (`$in`), of strings and ints: what payloads
have most, and what can be counted here without the code that is measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vectron_p2p.bench.data import Rows

SHARES = (0.03, 0.10, 0.70)
TOLERANCE = 1.4  # times the share wished for, or its inverse: 3 % may be 2.2 to 4.2 %
MAX_VALUES = 64  # fields of more values are names or texts, not what one filters by
MAX_UNION = 8  # values in one `$in`


@dataclass(frozen=True, slots=True)
class Selected:
    """A filter, the rows it keeps, and their share of all."""

    filter: dict[str, Any]
    kept: npt.NDArray[np.int32]
    share: float


def select(payloads: Sequence[dict[str, Any]], share: float) -> Selected | None:
    """The filter that keeps a share of the points closest to `share`; of equals the one with fewer values; None when
    none is near.
    """
    total = len(payloads)
    best: tuple[float, int, str, list[Any]] | None = None
    for name, counts in _fields(payloads).items():
        for values in _candidates(counts, share * total):
            off = abs(math.log(sum(counts[value] for value in values) / (share * total)))
            rank = (round(off, 9), len(values), name)
            if best is None or rank < best[:3]:
                best = (*rank, values)
    if best is None or best[0] > math.log(TOLERANCE):
        return None
    _, _, name, values = best
    chosen = set(values)
    kept = np.flatnonzero([_key(payload.get(name)) in chosen for payload in payloads]).astype(np.int32)
    plain = values[0] if len(values) == 1 else {"$in": values}
    return Selected({name: plain}, kept, len(kept) / total)


def _key(value: Any) -> str | int | None:
    """A value that can be counted; True is no 1 here."""
    return value if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)) else None


def _fields(payloads: Sequence[dict[str, Any]]) -> dict[str, dict[Any, int]]:
    """Field -> value -> points, of fields with few values. Fields that also hold other things (lists match by element,
    floats and bools equal ints) are left out: counting them here could differ from what a filter means.
    """
    counted: dict[str, dict[Any, int]] = {}
    unfit: set[str] = set()
    for payload in payloads:
        for name, value in payload.items():
            if name in unfit:
                continue
            key = _key(value)
            counts = counted.setdefault(name, {})
            if key is None or name.startswith("$") or "." in name:
                unfit.add(name)
                continue
            counts[key] = counts.get(key, 0) + 1
            if len(counts) > MAX_VALUES:
                unfit.add(name)
    return {name: counts for name, counts in counted.items() if name not in unfit}


def _candidates(counts: dict[Any, int], target: float) -> list[list[Any]]:
    """Each value alone, and values added up, the largest that still fits first."""
    single: list[list[Any]] = [[value] for value in counts]
    union: list[Any] = []
    total = 0
    for value in sorted(counts, key=lambda value: (-counts[value], str(value))):
        if total + counts[value] <= target * TOLERANCE and len(union) < MAX_UNION:
            union.append(value)
            total += counts[value]
            single.append(list(union))
    return single


def far_queries(truth: Rows, kept: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """The queries none of whose nearest points passes the filter: where a graph leads, nothing matches."""
    return np.flatnonzero(~np.isin(truth, kept).any(axis=1))
