"""The filters of a run with the exact neighbours among what each keeps; chosen once, for whoever answers them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vectron_p2p.bench.data import nearest
from vectron_p2p.bench.selection import SHARES, select

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vectron_p2p.bench.data import Data, Rows


@dataclass(frozen=True, slots=True)
class Filtered:
    name: str
    """The share wished for, in percent."""
    label: str
    filter: dict[str, Any]
    kept: Rows
    nearest: Rows
    """Of each query of the data set, among those kept."""


def filtered(data: Data, k: int, note: Callable[[str], None], shares: Sequence[float] = SHARES) -> list[Filtered]:
    """One for each of `shares` of the points, where the payloads have one that keeps about as many."""
    found = []
    for share in shares:
        chosen = select(data.payloads, share)
        name = f"{share * 100:.0f}"
        if chosen is None:
            note(f"no filter on a field of the payloads keeps about {name} % of the points: left out")
            continue
        label = f"filter to {chosen.share * 100:.1f} %"
        note(f"{label}: {chosen.filter}")
        rows = chosen.kept[nearest(data.vectors[chosen.kept], data.queries, k)]
        found.append(Filtered(name, label, chosen.filter, chosen.kept, rows))
    return found
