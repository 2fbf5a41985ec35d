"""What a shard store says to those who write to it: what became of each row and of each ballot."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vectron_p2p.storage.records import Row


class Applied(NamedTuple):
    """What became of one row of `ShardStore.apply`."""

    held: bytes | None
    """The version held now, or `ballots.busy` of the promise that refused the row; None: the stamp was refused."""
    written: bool
    """Whether this very row was written."""


class Promised(NamedTuple):
    """What became of one ballot of `ShardStore.promise`."""

    granted: bool
    row: Row | None = None
    """What is held, of a promise that was granted."""
    above: bytes | None = None
    """Else the version held, or `ballots.busy` of the promise given before; None: the stamp was refused."""


def outcome(i: int, rows: Sequence[Row], chosen: int | None, before: bytes | None, refused: bool) -> Applied:
    if chosen == i:
        return Applied(rows[i].version, True)
    held = before if chosen is None else rows[chosen].version
    # A refused stamp that another row of the same batch has overtaken is no longer refused, but outdone.
    if refused and (held is None or held < rows[i].version):
        return Applied(None, False)
    return Applied(held, False)
