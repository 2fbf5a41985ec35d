"""The flows of draining, removing and rebalancing: a change of the catalog, then looks until what follows is done.

Sans-IO like `flows`. A change is sent under one operation id, however often; the looks change nothing, so who stops
waiting stops nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vectron_p2p.client import results
from vectron_p2p.client.flows import ask
from vectron_p2p.client.operations import cluster
from vectron_p2p.client.steps import Sleep
from vectron_p2p.model.collections import CollectionInfo, check_name
from vectron_p2p.model.errors import InvalidArgument, Unavailable
from vectron_p2p.protocol import messages

if TYPE_CHECKING:
    from collections.abc import Callable

    from vectron_p2p.client.session import Session
    from vectron_p2p.client.steps import Flow
    from vectron_p2p.model.moves import MovesReport

    OnProgress = Callable[[MovesReport], None]

POLL_S = 0.5  # between looks: a person watches, and each may have a plan made


def moves(session: Session, node: str | None = None, *, newest: bool = True) -> Flow[MovesReport]:
    """What is under way and wanted."""
    reply = yield from ask(session, messages.GetMoves(node, newest), messages.MovesReply)
    return results.moves_report(reply.report)


def drain(
    session: Session, node: str, *, cancel: bool, wait: bool, on_progress: OnProgress | None
) -> Flow[MovesReport]:
    """Starts or cancels it; with `wait` until the node has left."""
    request = messages.DrainNode(_name(node), session.operation_id(), cancel)
    reply = yield from ask(session, request, messages.MovesReply)
    report = results.moves_report(reply.report)
    if cancel or not wait:
        return report
    report = yield from _until(session, report, lambda each: each.state != "draining", on_progress)
    if report.state != "left":
        raise Unavailable(f"{report.name} has not left: it is {report.state}, by another's doing", retryable=False)
    return report


def remove(session: Session, node: str, *, wait: bool, on_progress: OnProgress | None) -> Flow[MovesReport]:
    """Removes a dead node; with `wait` until others hold what it held."""
    request = messages.RemoveNode(_name(node), session.operation_id())
    reply = yield from ask(session, request, messages.MovesReply)
    report = results.moves_report(reply.report)
    if not wait:
        return report
    return (yield from _until(session, report, lambda each: each.settled and not each.shards, on_progress))


def rebalance(session: Session, *, wait: bool, on_progress: OnProgress | None) -> Flow[MovesReport]:
    """Until nothing is moved or wanted."""
    report = yield from moves(session)
    if not wait:
        return report
    return (yield from _until(session, report, lambda each: each.settled, on_progress))


def _until(
    session: Session, report: MovesReport, done: Callable[[MovesReport], bool], on_progress: OnProgress | None
) -> Flow[MovesReport]:
    while True:
        if on_progress is not None:
            on_progress(report)
        if done(report):
            return report
        yield Sleep(POLL_S)
        report = yield from moves(session, report.node or None, newest=False)


def set_replicas(session: Session, name: object, replicas: int) -> Flow[CollectionInfo]:
    """Sets the wish, and learns the epoch that knows of it."""
    request = messages.SetReplicas(check_name(name), replicas, session.operation_id())
    reply = yield from ask(session, request, messages.CollectionReply)
    yield from cluster(session, shards=False)
    return results.collection_info(reply.info)


def _name(node: object) -> str:
    if not isinstance(node, str):
        raise InvalidArgument(f"node is a name or id, not {type(node).__name__}", field="node")
    return node
