"""What figures should be, from a file that a caller brings; the benchmark itself knows no such thing.

    [batch]
    ratio = ">= 0.9"
    recall = ">= 0.95"

A table per row, a key per figure of it: `value`, `ratio`, `recall` or one of its further ones.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vectron_p2p.model.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vectron_p2p.bench.figures import Row

CONDITION = re.compile(r"(<=|>=)\s*(\d+(?:\.\d+)?)")


@dataclass(frozen=True, slots=True)
class Target:
    row: str
    figure: str
    least: bool
    """Whether `bound` is the least allowed, or else the most."""
    bound: float

    def met(self, value: float) -> bool:
        return value >= self.bound if self.least else value <= self.bound

    def __str__(self) -> str:
        return f"{self.figure} {'≥' if self.least else '≤'} {self.bound:g}"


def read_targets(path: Path) -> list[Target]:
    """The targets of a TOML file.

    Raises:
        InvalidArgument: It is none.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidArgument(f"{path}: {error}", field="targets") from None
    found = []
    for row, conditions in tables.items():
        for figure, text in conditions.items() if isinstance(conditions, dict) else [("", "")]:
            match = CONDITION.fullmatch(text) if isinstance(text, str) else None
            if match is None:
                example = 'a target is a table with conditions: [batch] ratio = ">= 0.9"'
                raise InvalidArgument(f"{path}: {row}: {example}", field="targets")
            found.append(Target(row, figure, match[1] == ">=", float(match[2])))
    return found


def judge(row: Row, targets: Sequence[Target]) -> tuple[list[Target], list[Target]]:
    """The targets of this row: those met, and those missed; a figure that was not measured misses."""
    mine = [target for target in targets if target.row == row.key]
    values = [(target, row.figure(target.figure)) for target in mine]
    missed = [target for target, value in values if value is None or not target.met(value)]
    return [target for target in mine if target not in missed], missed
