"""The palette behind `:`: screens, nodes, collections and commands, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider

from tui.bindings import ALIASES, APP, MODES
from tui.render import format as fmt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tui.app import ConsoleApp

SHOWN = 30  # entries offered before anything is typed; a palette is for typing
_COMMANDS = ("refresh", "pause", "theme", "help", "quit")


class ConsoleCommands(Provider):
    """Everything one can go to or do."""

    def _entries(self) -> Iterator[tuple[str, Callable[[], None], str]]:
        app = cast("ConsoleApp", self.app)
        for mode, label in MODES:
            text = f"Show the {label.lower()} screen ({', '.join(ALIASES[mode])})"
            yield label.lower(), lambda mode=mode: app.action_go(mode), text  # type: ignore[misc]
        for item in APP:
            if item.id in _COMMANDS:
                action = f"app.{item.action}"
                yield item.description.lower(), lambda action=action: app.run_soon(action), item.tooltip  # type: ignore[misc]
        status, infos = app.shared.store.status.value, app.shared.store.collections.value
        for node in status.nodes if status is not None else []:
            yield f"node {node.name}", lambda key=node.id: app.open_node(key), f"{node.liveness}, {node.address}"  # type: ignore[misc]
        for info in infos or []:
            key, text = info.id or info.name, f"{fmt.count(info.count)} points, {info.dimension} {info.metric}"
            yield f"collection {info.name}", lambda key=key: app.open_collection(key), text  # type: ignore[misc]
            yield f"points {info.name}", lambda name=info.name: app.open_points(name), "Browse its points"  # type: ignore[misc]

    async def discover(self) -> Hits:
        for number, (name, run, text) in enumerate(self._entries()):
            if number >= SHOWN:
                return
            yield DiscoveryHit(name, run, help=text)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        word = query.strip().casefold()
        for name, run, text in self._entries():
            score = matcher.match(name)
            if word in ALIASES.get(name, ()):  # keys of ALIASES are modes, and their entries bear the same names
                score = 1.0 + score
            if score > 0:
                yield Hit(score, matcher.highlight(name), run, help=text)
