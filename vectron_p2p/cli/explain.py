"""The plan of a search for people: a line for each shard that was searched, by whom, how, and what it took."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vectron_p2p.cli import output

if TYPE_CHECKING:
    from collections.abc import Sequence

WAYS = {
    "exact": "scan",
    "graph": "graph",
    "empty": "nothing matches",
}
"""Names of plans."""


def show(plan: Sequence[dict[str, Any]], took_ms: float) -> None:
    """A table, and what it does not say by itself."""
    nodes = {entry.get("node") for entry in plan}
    output.text(f"{took_ms:.1f} ms in all; {len(plan)} searches of shards on {len(nodes)} node(s)")
    steps = any("step" in entry for entry in plan)
    columns = ["SHARD", "NODE", "WAY", "EF", "CANDIDATES", "SCANNED", "MATCHES", "POINTS"]
    columns += ["QUEUE_MS", "SEARCH_MS", "ROWS_MS", "ANSWER_MS", "NOTES"]
    rows = [
        [
            entry.get("shard", "-"),
            entry.get("name") or entry.get("node", "-"),
            WAYS.get(entry.get("plan", ""), entry.get("plan", "-")),
            entry.get("ef", "-"),
            entry.get("fetch") or "-",
            entry.get("scanned", "-"),
            entry.get("matches", "-"),
            entry.get("points", "-"),
            *(_ms(entry.get(name)) for name in ("queue_ms", "search_ms", "rows_ms", "answer_ms")),
            "; ".join(_notes(entry)),
        ]
        for entry in plan
    ]
    if steps:
        columns.insert(0, "STEP")
        for entry, row in zip(plan, rows, strict=True):
            row.insert(0, entry.get("step", "-"))
    output.table(columns, rows, numbers=[name for name in columns if name not in ("STEP", "NODE", "WAY", "NOTES")])


def _notes(entry: dict[str, Any]) -> list[str]:
    notes = []
    if "dimensions" in entry:
        notes.append(f"in {entry['dimensions']} dimensions")
    if entry.get("subgraph"):
        notes.append(f"in a graph of {output.plural(entry['subgraph'], 'match', 'matches')}")
    elif "subgraph" in entry:
        notes.append("a graph of the matches is being linked")
    if entry.get("rounds", 1) > 1:
        notes.append(f"beam widened {entry['rounds'] - 1} time(s)")
    if entry.get("rescanned"):
        notes.append(f"{entry['rescanned']} scanned after the graph")
    if entry.get("undecided"):
        notes.append(f"the payload index leaves {entry['undecided']} matches open")
    if entry.get("checked"):
        notes.append(f"{entry['checked']} payloads read")
    if entry.get("unindexed"):
        notes.append(f"{output.plural(entry['unindexed'], 'point')} not in the payload index")
    if entry.get("together", 1) > 1:
        notes.append(f"{entry['together']} queries together")
    return notes


def _ms(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, int | float) else "-"
