"""Settings of nodes, read over the network."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from vectron_p2p.protocol.registry import message


@message(208)
@dataclass(frozen=True, slots=True)
class GetSettings:
    """-> SettingsReply, of `node` (name or id) or of all (None)."""

    node: str | None = None


@message(209)
@dataclass(frozen=True, slots=True)
class SettingsReply:
    """`settings` are `dataclasses.asdict(model.settings.Setting)`, `silent` the names of nodes that did not answer."""

    settings: list[dict[str, Any]]
    silent: list[str] = field(default_factory=list)


@message(210)
@dataclass(frozen=True, slots=True)
class ReadSettings:
    """Between nodes: -> SettingsReply, those of the node asked."""
