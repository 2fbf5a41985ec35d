"""Points and hits: what was typed as a query, the table of what was found, one point in full."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tui.render import format as fmt
from tui.render.table import Cell, Column, Row, Sort, Table, cell
from tui.render.text import Line, Tone, line
from vectron_p2p.model.errors import InvalidArgument
from vectron_p2p.model.ids import PointId, check_point_id, parse_point_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vectron_p2p.model.points import Hit, Page, Point, SearchResult

FIELDS = 6  # payload fields with a column of their own: those that most points have
VALUES = 8  # components of a vector that are shown
MAX_K = 1000  # rows that a table shows well
BROWSE = 100  # points of a page


@dataclass(frozen=True, slots=True)
class Query:
    """What to look for: near a vector, near a point, or (neither) everything that the filter keeps."""

    collection: str
    vector: tuple[float, ...] | None = None
    id: PointId | None = None
    filter: dict[str, Any] | None = None
    k: int = 10

    @property
    def browses(self) -> bool:
        return self.vector is None and self.id is None


def parse_vector(text: str) -> tuple[float, ...]:
    """Numbers in brackets or not, apart by commas or blanks.

    Raises:
        InvalidArgument: There is something else.
    """
    words = text.strip().removeprefix("[").removesuffix("]").replace(",", " ").split()
    try:
        values = tuple(float(word) for word in words)
    except ValueError as error:
        raise InvalidArgument("a vector is numbers, as [0.1, 0.2]", field="vector") from error
    if not values or not all(math.isfinite(value) for value in values):
        raise InvalidArgument("a vector is finite numbers, as [0.1, 0.2]", field="vector")
    return values


def parse_object(text: str, *, field: str) -> dict[str, Any] | None:
    """A JSON object; nothing typed is None.

    Raises:
        InvalidArgument: It is none.
    """
    if not text.strip():
        return None
    try:
        value = json.loads(text)
    except ValueError as error:
        raise InvalidArgument(f"no JSON: {error}", field=field) from error
    if not isinstance(value, dict):
        raise InvalidArgument('an object, as {"pos": "noun"}', field=field)
    return value


def parse_payload(text: str) -> dict[str, Any]:
    """A JSON object; nothing typed is an empty one.

    Raises:
        InvalidArgument: It is none.
    """
    return parse_object(text, field="payload") or {}


def parse_query(collection: str, near: str, filter_: str, k: str) -> Query:
    """Raises InvalidArgument for the field that is wrong."""
    if not collection.strip():
        raise InvalidArgument("choose a collection", field="collection")
    if not k.strip().isdigit() or not 1 <= int(k) <= MAX_K:
        raise InvalidArgument(f"k is a number from 1 to {MAX_K}", field="k")
    near = near.strip()
    vector = parse_vector(near) if near.startswith("[") else None
    point = check_point_id(parse_point_id(near)) if near and vector is None else None
    return Query(collection.strip(), vector, point, parse_object(filter_, field="filter"), int(k))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _value(value: Any) -> Cell:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return cell(_text(value))
    return cell(_text(value), sort=float(value))


def table(points: Sequence[Point | Hit], *, scores: bool) -> Table:
    """The points in their order; payload fields that most of them have get a column."""
    counts = Counter(name for point in points for name in (point.payload or {}))
    names = [name for name, _ in counts.most_common(FIELDS)]
    columns = [
        Column("#", "#", right=True),
        Column("id", "ID", most=32),
        *([Column("score", "SCORE", right=True)] if scores else []),
        *(Column(f"payload.{name}", fmt.ellipsis(name, 20).upper(), priority=1 + at) for at, name in enumerate(names)),
        Column("version", "VERSION", priority=10, most=24, help="stamp, node and hash of the content"),
    ]
    rows = []
    for number, point in enumerate(points, 1):
        cells = {
            "#": cell(str(number), Tone.MUTED, sort=float(number)),
            "id": cell(json.dumps(point.id, ensure_ascii=False), Tone.STRONG),
            "version": cell(point.version, Tone.MUTED),
        }
        if scores:
            score = getattr(point, "score", 0.0)
            cells["score"] = cell(f"{score:.4f}", Tone.ACCENT, sort=score)
        for name in names:
            has = point.payload is not None and name in point.payload
            cells[f"payload.{name}"] = _value((point.payload or {})[name]) if has else cell(fmt.UNKNOWN, Tone.MUTED)
        rows.append(Row(json.dumps(point.id), cells))
    return Table(tuple(columns), tuple(rows))


DEFAULT_SORT = Sort("#")


def outcome(query: Query, result: SearchResult, seconds: float) -> list[Line]:
    """What a search cost and how it was done."""
    words: list[str | tuple[str, Tone]] = [
        (fmt.plural(len(result.hits), "hit"), Tone.STRONG),
        f" in {fmt.milliseconds(seconds * 1000)}, of which {fmt.milliseconds(result.took_ms)} in the cluster",
    ]
    if result.partial:
        words.append((f" · partial: shards {', '.join(map(str, result.missing_shards))} did not answer", Tone.WARN))
    return [line(*words), *(line((_step(step), Tone.MUTED)) for step in result.plan or [])]


def _step(step: dict[str, Any]) -> str:
    return "  ".join(f"{name} {_text(value)}" for name, value in step.items() if value is not None)


def browsed(query: Query, page: Page, number: int, seconds: float) -> list[Line]:
    more = "] shows more" if page.cursor is not None else "no more"
    kept = " that the filter keeps" if query.filter else ""
    return [
        line(
            (fmt.plural(len(page.points), "point"), Tone.STRONG),
            f"{kept}, page {number}, in {fmt.milliseconds(seconds * 1000)} · {more}",
        )
    ]


def record(point: Point) -> dict[str, Any]:
    """A point as JSON has it."""
    vector = None if point.vector is None else [float(f"{value:.7g}") for value in point.vector.tolist()]
    return {"id": point.id, "version": point.version, "payload": point.payload, "vector": vector}


def detail(point: Point) -> list[Line]:
    """One point in full, its vector in short."""
    lines = [
        line(("id       ", Tone.MUTED), (json.dumps(point.id, ensure_ascii=False), Tone.STRONG)),
        line(("version  ", Tone.MUTED), point.version),
    ]
    if point.vector is not None:
        values = point.vector.tolist()
        shown = ", ".join(f"{value:.5f}" for value in values[:VALUES])
        rest = f", … {len(values) - VALUES} more" if len(values) > VALUES else ""
        norm = math.sqrt(math.fsum(value * value for value in values))
        lines += [
            line(("vector   ", Tone.MUTED), f"[{shown}{rest}]"),
            line(("norm     ", Tone.MUTED), f"{norm:.6f} in {len(values)} dimensions"),
        ]
    lines.append(())
    text = json.dumps(point.payload, ensure_ascii=False, indent=2)
    return [*lines, line(("payload", Tone.MUTED)), *(line(each) for each in text.splitlines())]
