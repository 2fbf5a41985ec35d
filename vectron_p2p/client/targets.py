"""What the first argument of `connect` means: addresses of a cluster, or a node in this process."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vectron_p2p.model.errors import InvalidArgument
from vectron_p2p.model.ids import Address, parse_address

MEMORY = ":memory:"


@dataclass(frozen=True, slots=True)
class Remote:
    """Nodes of one cluster, in the order given."""

    seeds: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class Embedded:
    """A node in this process; `path` None keeps everything in memory."""

    path: Path | None

    @property
    def seeds(self) -> tuple[Address, ...]:
        """What stands for the node in a session; never dialled."""
        return (Address("embedded", 0),)


def parse_target(target: object) -> Remote | Embedded:
    """`target` of `connect`: `HOST:PORT[,HOST:PORT]`, a path (a `Path`, or a string with "/" or a leading "."), or
    ":memory:".

    Raises:
        InvalidArgument: It is none of these.
    """
    if isinstance(target, os.PathLike):
        return Embedded(Path(target))
    if not isinstance(target, str):
        raise InvalidArgument(
            f"target is 'HOST:PORT[,HOST:PORT]', a path or ':memory:', not {type(target).__name__}", field="target"
        )
    if target == MEMORY:
        return Embedded(None)
    if "/" in target or target.startswith("."):
        return Embedded(Path(target))
    seeds: list[Address] = []
    for text in target.split(","):
        try:
            address = parse_address(text, field="target")
        except InvalidArgument:
            raise InvalidArgument(
                f"{text.strip()!r} is no HOST:PORT address (a folder needs a '/' or a leading '.', as in './data')",
                field="target",
            ) from None
        if address.port == 0:
            raise InvalidArgument(f"{text.strip()!r}: port 0 is no port to connect to", field="target")
        if address not in seeds:
            seeds.append(address)
    return Remote(tuple(seeds))


def refuse_credentials(api_key: object, tls: object) -> None:
    """Say so when credentials are given that nothing would use: ignoring them would look like safety.

    Raises:
        InvalidArgument: One of them is not None.
    """
    given: dict[str, Any] = {"api_key": api_key, "tls": tls}
    for name, value in given.items():
        if value is not None:
            raise InvalidArgument(
                f"{name} is not supported: this version has neither keys nor TLS, use it on a trusted network",
                field=name,
            )
