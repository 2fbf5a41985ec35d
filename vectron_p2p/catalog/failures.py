"""What is said when the catalog cannot be changed."""

from __future__ import annotations

from vectron_p2p.model.errors import Internal, Unavailable


def stopped(reason: str) -> Internal:
    return Internal(f"the catalog of this node has stopped: {reason}; ask another node for catalog changes")


def not_decided(answered: int, voters: int, needed: int) -> Unavailable:
    """A proposal ran out of time, in which `answered` of the voters were heard."""
    unknown = "Whether this one will still be made is unknown: retry with the same operation id"
    if answered >= needed:
        return Unavailable(f"the catalog was too busy to decide this change in time. {unknown}")
    return Unavailable(
        f"no voter majority: {answered} of the catalog's {voters} voters answered and {needed} are needed. Catalog "
        f"changes wait until more voters are up; reads, writes and searches go on. {unknown}"
    )
