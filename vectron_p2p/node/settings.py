"""The settings of all nodes, read through any of them.

Owns nothing: a node's settings are those that it was started with. Invariant: they never change while it runs.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import trio

from vectron_p2p.model.errors import NotFound, Unavailable, VectronError
from vectron_p2p.model.ids import Address
from vectron_p2p.model.settings import FIXED, Setting
from vectron_p2p.protocol import messages as m

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from vectron_p2p.catalog.state import ClusterState
    from vectron_p2p.model.ids import NodeId
    from vectron_p2p.node.config import Limits, NodeConfig
    from vectron_p2p.node.identity import Identity
    from vectron_p2p.node.peers import Peers

ANSWER_WITHIN = 1.5  # of a node, to be read: as for its status


def plain(value: Any) -> Any:
    """`value` as numbers, texts and lists of them."""
    if isinstance(value, list | tuple) and not isinstance(value, Address):
        return [plain(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def settings_of(config: NodeConfig, limits: Limits) -> Iterator[Setting]:
    """Those that the node was handed with their origins, or else those of its program; then the fixed ones."""
    yield from config.settings or _of_program(config)
    for each in dataclasses.fields(limits):
        value = getattr(limits, each.name)
        if dataclasses.is_dataclass(value):
            for inner in dataclasses.fields(value):
                yield Setting(f"limits.{each.name}.{inner.name}", plain(getattr(value, inner.name)), FIXED)
        else:
            yield Setting(f"limits.{each.name}", plain(value), FIXED)


def _of_program(config: NodeConfig) -> Iterator[Setting]:
    for each in dataclasses.fields(config):
        if each.name != "settings":
            value = getattr(config, each.name)
            usual = each.default_factory() if callable(each.default_factory) else each.default
            yield Setting(each.name, plain(value), "default" if value == usual else "program")


class Settings:
    """Of one node."""

    def __init__(
        self,
        config: NodeConfig,
        limits: Limits,
        identity: Identity,
        peers: Peers,
        *,
        state: Callable[[], ClusterState],
    ) -> None:
        self._own = [
            dataclasses.asdict(dataclasses.replace(each, node=identity.name, node_id=identity.node))
            for each in settings_of(config, limits)
        ]
        self._peers = peers
        self._state = state
        self.handlers: dict[type, Callable[[Any, float], Awaitable[Any]]] = {m.GetSettings: self.answer}
        """For clients: (message, timeout)."""

    def handles(self, message: object) -> bool:
        return isinstance(message, m.ReadSettings)

    async def handle(self, _: m.ReadSettings) -> m.SettingsReply:
        return m.SettingsReply(self._own)

    async def answer(self, message: m.GetSettings, _: float) -> m.SettingsReply:
        """Those of the nodes asked for that answer.

        Raises:
            NotFound: There is no such node.
            Unavailable: The one node asked for does not answer.
        """
        nodes = self._nodes(message.node)
        found: dict[NodeId, list[dict[str, Any]]] = {}
        failed: list[VectronError] = []

        async def ask(node: NodeId) -> None:
            try:
                reply: m.SettingsReply = await self._peers.call(node, m.ReadSettings(), timeout=ANSWER_WITHIN)
            except VectronError as error:  # gone, slow, or of a version that has no settings to tell
                failed.append(error)
            else:
                found[node] = reply.settings

        async with trio.open_nursery() as nursery:
            for node in nodes:
                if self._peers.alive(node) or message.node is not None:
                    nursery.start_soon(ask, node)
        if message.node is not None and not found:
            why = failed[-1].message if failed else "it is not there"
            raise Unavailable(
                f"the settings of {message.node} cannot be read now: {why}; ask again", node=next(iter(nodes))
            )
        order = sorted(nodes, key=lambda node: (nodes[node], node))
        return m.SettingsReply(
            [setting for node in order for setting in found.get(node, ())],
            [nodes[node] for node in order if node not in found],
        )

    def _nodes(self, wanted: str | None) -> dict[NodeId, str]:
        """Names by id."""
        state = self._state()
        found = {
            node: state.members[node].name
            for node in state.current()
            if wanted is None or wanted in (node, state.members[node].name)
        }
        if wanted is not None and not found:
            raise NotFound(f"there is no node {wanted!r}: `vectron nodes` lists them", field="node")
        return found
