"""Settings of the nodes, where each value comes from, and where nodes differ."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from tui.render.table import Column, Row, Sort, Table, cell
from tui.render.text import Tone
from vectron_p2p.model.settings import FIXED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vectron_p2p.model.settings import Setting

COLUMNS = (
    Column("name", "SETTING", most=30),
    Column("node", "NODE", most=18),
    Column(
        "value", "VALUE", priority=2, most=40, shrinks=True, help="in colour where nodes differ, or somebody has set it"
    ),
    Column(
        "origin",
        "ORIGIN",
        priority=1,
        most=22,
        help="default, file, environment or command line; fixed: no setting",
    ),
    Column("description", "MEANS", priority=3, most=80, shrinks=True),
)
DEFAULT_SORT = Sort("name")
OWN = frozenset({"data", "listen", "advertise", "join", "zone", "name", "http", "config"})
"""What each node has of its own: there it says nothing that they differ."""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def table(settings: Iterable[Setting], *, fixed: bool) -> Table:
    """With `fixed` the limits inside the nodes too."""
    shown = [each for each in settings if fixed or each.origin != FIXED]
    values: defaultdict[str, set[str]] = defaultdict(set)
    for each in shown:
        values[each.name].add(_text(each.value))
    rows = []
    for each in shown:
        differs = len(values[each.name]) > 1 and each.name not in OWN
        is_set = each.origin not in ("default", FIXED)
        tone = Tone.WARN if differs else Tone.ACCENT if is_set else Tone.NORMAL
        rows.append(
            Row(
                f"{each.node_id}/{each.name}",
                {
                    "name": cell(each.name, Tone.STRONG),
                    "node": cell(each.node),
                    "value": cell(_text(each.value), tone),
                    "origin": cell(each.origin, Tone.NORMAL if is_set else Tone.MUTED),
                    "description": cell(each.description, Tone.MUTED),
                },
            )
        )
    return Table(COLUMNS, tuple(rows))
