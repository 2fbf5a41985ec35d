"""The payload fields of a collection: a table of all, and lines of the most frequent ones."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tui.render import format as fmt
from tui.render.table import Column, Row, Sort, Table, cell
from tui.render.text import Line, Tone, clip, line

if TYPE_CHECKING:
    from vectron_p2p.model.collections import CollectionInfo
    from vectron_p2p.model.payload_fields import PayloadField, PayloadFields, Scalar

COLUMNS = (
    Column("name", "FIELD", most=40),
    Column("kinds", "KINDS", priority=1, most=30, help="keyword, int, float, bool, null, object; [] in lists"),
    Column("points", "POINTS", right=True, help="points that have it, of one replica of each shard"),
    Column("share", "SHARE", priority=2, right=True, help="of the collection's points"),
    Column("distinct", "DISTINCT", priority=3, right=True, help="different values; ≥: there are more"),
    Column("memory", "MEMORY", priority=4, right=True, help="in the payload index"),
    Column("values", "VALUES", priority=5, most=80, help="where they are few; of numbers the lowest and the highest"),
)
DEFAULT_SORT = Sort("points", reverse=True)
NAMES = 24  # columns of names in the lines: longer ones leave no room for what they hold


def distinct(field: PayloadField) -> str:
    if not field.distinct:
        return fmt.UNKNOWN
    return ("" if field.distinct_exact else "≥ ") + fmt.count(field.distinct)


def values(field: PayloadField) -> str:
    if field.values:
        return ", ".join(map(_text, field.values))
    if field.lowest is None or field.highest is None:
        return ""
    return f"{field.lowest:,.6g} … {field.highest:,.6g}"


def _text(value: Scalar) -> str:
    return json.dumps(value, ensure_ascii=False)


def table(found: PayloadFields) -> Table:
    return Table(COLUMNS, tuple(_row(each, found.points) for each in found.fields))


def _row(field: PayloadField, points: int) -> Row:
    return Row(
        field.name,
        {
            "name": cell(field.name, Tone.STRONG),
            "kinds": cell(", ".join(field.kinds)),
            "points": cell(fmt.count(field.points), sort=float(field.points)),
            "share": cell(fmt.share(field.points, points), Tone.MUTED, sort=field.points / max(1, points)),
            "distinct": cell(distinct(field), sort=float(field.distinct)),
            "memory": cell(fmt.size(field.bytes), Tone.MUTED, sort=float(field.bytes)),
            "values": cell(values(field), Tone.MUTED),
        },
    )


def title(found: PayloadFields) -> str:
    return f"Payload fields · {len(found.fields) + found.more:,}"


def lacks(found: PayloadFields) -> str:
    """What the figures do not cover; "" when that is nothing."""
    parts = []
    if found.missing_shards:
        parts.append(f"without {fmt.plural(found.missing_shards, 'shard')} of {found.shards}")
    if found.unindexed:
        parts.append(f"{fmt.plural(found.unindexed, 'point')} not indexed")
    if found.more:
        parts.append(f"{fmt.plural(found.more, 'rarer field')} left out")
    return " · ".join(parts)


def choice(info: CollectionInfo) -> str:
    """Which fields are indexed, where that is not all."""
    if info.payload_index is True:
        return ""
    return "only " + ", ".join(info.payload_index) if info.payload_index else "none is indexed"


def empty(info: CollectionInfo | None) -> list[Line]:
    if info is not None and not info.payload_index:
        return [line("The payload index of this collection is off: filters read payloads.")]
    return [line("No payload has a field.")]


def summary(found: PayloadFields, info: CollectionInfo, width: int, rows: int) -> list[Line]:
    """The most frequent fields, a line each."""
    if not found.fields:
        return empty(info)
    shown = found.fields if len(found.fields) <= rows else found.fields[: rows - 1]
    names = min(NAMES, max(len(each.name) for each in shown))
    kinds = max(len(", ".join(each.kinds)) for each in shown)
    lines = [
        clip(
            line(
                (fmt.ellipsis(each.name, names).ljust(names + 2), Tone.STRONG),
                (", ".join(each.kinds).ljust(kinds + 2), Tone.NORMAL),
                (fmt.share(each.points, found.points).rjust(4) + "  ", Tone.MUTED),
                (values(each) or _counted(each), Tone.MUTED),
            ),
            width,
        )
        for each in shown
    ]
    left = len(found.fields) + found.more - len(shown)
    if left:
        lines.append(line((f"{left:,} more: f shows all", Tone.MUTED)))
    return lines


def _counted(field: PayloadField) -> str:
    return f"{distinct(field)} values" if field.distinct else ""
