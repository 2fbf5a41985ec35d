"""What a node was started with, and where each value comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

FIXED = "fixed"
"""Origin of a limit inside a node, which nobody can set."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of one node."""

    name: str
    """As in the configuration file; a limit inside the node begins with `limits.`."""
    value: Any
    """Number, text, true or false, list of texts, or None."""
    origin: str
    """"default", "config file (PATH)", "environment (VARIABLE)", "command line", "program" (a node inside a
    program), or `FIXED`."""
    description: str = ""
    node: str = ""
    """The node's name."""
    node_id: str = ""


class Settings(list[Setting]):
    """Settings by node; `silent` names the nodes that did not answer, whose settings are missing."""

    def __init__(self, settings: Iterable[Setting] = (), silent: Iterable[str] = ()) -> None:
        super().__init__(settings)
        self.silent = list(silent)
