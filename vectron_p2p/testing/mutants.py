"""Deliberately broken variants: each leaves out one rule, and simulation must catch it. This is how we know that it
can.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from vectron_p2p.replication.quorum import WriteRound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vectron_p2p.model.errors import VectronError
    from vectron_p2p.model.ids import NodeId


@contextmanager
def hints_as_acks() -> Iterator[None]:
    """A hint counts as an acknowledgement: what Cassandra calls ANY and Riak a sloppy quorum."""
    unsent, failure = WriteRound.record_unsent, WriteRound.record_failure

    def record(self: WriteRound, owner: NodeId, error: VectronError | None = None) -> None:
        self.record(owner, self._versions)
        self._missed.add(owner)

    WriteRound.record_unsent = WriteRound.record_failure = record  # type: ignore[method-assign]
    try:
        yield
    finally:
        WriteRound.record_unsent, WriteRound.record_failure = unsent, failure  # type: ignore[method-assign]


MUTANTS: dict[str, Callable[[], AbstractContextManager[None]]] = {"hints_as_acks": hints_as_acks}
