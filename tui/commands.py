"""What `:` offers: screens, nodes, collections and commands, by name; which of them some letters mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.fuzzy import FuzzySearch

from tui.bindings import ALIASES, APP, MODES
from tui.render import format as fmt
from tui.render.table import Cell, Column, LazyCells, Row
from tui.render.text import Span, Tone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tui.app import ConsoleApp

_COMMANDS = ("refresh", "pause", "theme", "help", "quit")
COLUMNS = (Column("name", "Name", shrinks=True), Column("text", "", 1, most=80, shrinks=True))


@dataclass(frozen=True, slots=True)
class Command:
    name: str
    text: str
    """What it is or does."""
    run: Callable[[], object]


@dataclass(frozen=True, slots=True)
class Found:
    """A command, and the letters of its name that are meant."""

    command: Command
    score: float = 0.0
    letters: Sequence[int] = ()

    def row(self, key: str) -> Row:
        return Row(key, LazyCells(_CELLS, self))


def commands(app: ConsoleApp) -> Iterator[Command]:
    """Everything one can go to or do."""
    for mode, label in MODES:
        text = f"Show the {label.lower()} screen ({', '.join(ALIASES[mode])})"
        yield Command(label.lower(), text, lambda mode=mode: app.action_go(mode))  # type: ignore[misc]
    for item in APP:
        if item.id in _COMMANDS:
            action = f"app.{item.action}"
            yield Command(item.description.lower(), item.tooltip, lambda action=action: app.run_soon(action))  # type: ignore[misc]
    status, infos = app.shared.store.status.value, app.shared.store.collections.value
    for node in status.nodes if status is not None else []:
        text = f"{node.liveness}, {node.address}"
        yield Command(f"node {node.name}", text, lambda key=node.id: app.open_node(key))  # type: ignore[misc]
    for info in infos or []:
        key, text = info.id or info.name, f"{fmt.count(info.count)} points, {info.dimension} {info.metric}"
        yield Command(f"collection {info.name}", text, lambda key=key: app.open_collection(key))  # type: ignore[misc]
        yield Command(f"points {info.name}", "Browse its points", lambda name=info.name: app.open_points(name))  # type: ignore[misc]


def find(offered: Sequence[Command], words: str) -> list[Found]:
    """Those of `offered` whose names have the letters of `words`, in this order, the best first; all, for no words."""
    words = words.strip()
    if not words:
        return [Found(command) for command in offered]
    match, folded = FuzzySearch(cache_size=1).match, words.casefold()
    found = []
    for command in offered:
        score, letters = match(words, command.name)
        if folded in ALIASES.get(command.name, ()):  # keys of ALIASES are modes, and their commands bear the same names
            score += 1.0
        if score > 0:
            found.append(Found(command, score, letters))
    return sorted(found, key=lambda each: -each.score)


def _name(found: Found) -> Cell:
    name, meant = found.command.name, set(found.letters)
    if not meant:
        return Cell((Span(name),), name)
    spans: list[Span] = []
    for at, letter in enumerate(name):
        tone = Tone.STRONG if at in meant else Tone.NORMAL
        if spans and spans[-1].tone is tone:
            letter = spans.pop().text + letter
        spans.append(Span(letter, tone))
    return Cell(tuple(spans), name)


def _text(found: Found) -> Cell:
    return Cell((Span(found.command.text, Tone.MUTED),), found.command.text)


_CELLS = {"name": _name, "text": _text}
