"""One flow per public call about collections and the cluster: request, answer, result.

Sans-IO like `flows`. What the two clients offer is written here once; their methods only hand flows to a shell.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from vectron_p2p.client import requests, results
from vectron_p2p.client.flows import ask
from vectron_p2p.client.session import check_timeout
from vectron_p2p.client.steps import Sleep
from vectron_p2p.model.collections import CollectionInfo, check_name
from vectron_p2p.model.errors import InvalidArgument, VectronError
from vectron_p2p.protocol import messages

if TYPE_CHECKING:
    from collections.abc import Callable

    from vectron_p2p.client.session import Session
    from vectron_p2p.client.steps import Flow
    from vectron_p2p.model.nodes import ClusterInfo, ClusterStatus
    from vectron_p2p.model.payload_fields import PayloadFields
    from vectron_p2p.model.repair import RepairReport
    from vectron_p2p.model.statistics import ClusterStatistics, History

POLL_S = 0.25  # between looks at a repair: a person watches it
SILENCE_S = (
    10.0  # given to a node that took part in a repair and gives no figures: longer than it takes to be found dead
)


def cluster(session: Session, *, shards: bool = True, timeout: float | None = None) -> Flow[ClusterInfo]:
    """The cluster; its nodes become addresses to fail over to."""
    reply = yield from ask(session, messages.GetCluster(shards), messages.ClusterReply, timeout=timeout)
    info = results.cluster_info(reply.info)
    session.saw(session.generation, info.epoch)
    session.learn(results.addresses(info.nodes))
    return info


def status(session: Session) -> Flow[ClusterStatus]:
    """Live figures of all nodes; they become addresses to fail over to."""
    reply = yield from ask(session, messages.GetStatus(), messages.StatusReply)
    found = results.cluster_status(reply.status)
    session.saw(session.generation, found.epoch)
    session.learn(results.addresses(found.nodes))
    return found


def statistics(session: Session, *, replicas: bool) -> Flow[ClusterStatistics]:
    """What the nodes measure."""
    reply = yield from ask(session, messages.GetStatistics(bool(replicas)), messages.StatisticsReply)
    return results.cluster_statistics(reply.statistics)


def history(session: Session, figures: object, *, seconds: object, node: str | None) -> Flow[History]:
    """Figures of the past."""
    if node is not None and not isinstance(node, str):
        raise InvalidArgument(f"node is a name or id, not {type(node).__name__}", field="node")
    if isinstance(figures, str) or not isinstance(figures, Iterable):
        raise InvalidArgument(f"figures is a list of names, not {type(figures).__name__}", field="figures")
    request = messages.GetHistory(check_timeout(seconds, field="seconds"), requests.check_keys(figures), node)
    reply = yield from ask(session, request, messages.HistoryReply)
    return results.history(reply.history)


def repair(
    session: Session, node: str | None = None, *, on_progress: Callable[[RepairReport], None] | None = None
) -> Flow[RepairReport]:
    """Starts a pass on one node or all, and asks for its figures until it is over."""
    if node is not None and not isinstance(node, str):
        raise InvalidArgument(f"node is a name or id, not {type(node).__name__}", field="node")
    token, start = session.operation_id(), True
    part: set[str] = set()
    silent_since: float | None = None
    while True:
        reply = yield from ask(session, messages.Repair(token, start, node), messages.RepairReply)
        report = results.repair_report(reply.passes)
        if on_progress is not None:
            on_progress(report)
        if start:
            start, part = False, {each.node for each in report.nodes if each.answered}
        # A node that took part and gives no figures may only be busy, for a while.
        if all(each.answered or each.node not in part for each in report.nodes):
            silent_since = None
        elif silent_since is None:
            silent_since = session.now()
        waiting = silent_since is not None and session.now() - silent_since < SILENCE_S
        if not report.running and not waiting:
            return report
        yield Sleep(POLL_S)


def create_collection(session: Session, name: object, **options: Any) -> Flow[CollectionInfo]:
    """Creates it, and learns the epoch that knows of it."""
    began = session.now()
    request = requests.create_collection(name, **options, operation_id=session.operation_id())
    reply = yield from ask(session, request, messages.CollectionReply)
    yield from _catch_up(session, began)
    return results.collection_info(reply.info)


def delete_collection(session: Session, name: object) -> Flow[None]:
    """Deletes it, and learns the epoch that no longer knows of it."""
    began = session.now()
    yield from ask(session, messages.DeleteCollection(check_name(name), session.operation_id()), messages.Done)
    yield from _catch_up(session, began)


def _catch_up(session: Session, began: float) -> Flow[None]:
    """Learn the epoch after a change, in what time the call that `began` then has left: from now on connections say it,
    and a node that is behind pulls the catalog before it answers.

    Without an answer the change is made all the same; a node that is behind then asks others before it says that it
    knows no such collection.
    """
    left = began + session.timeout - session.now()
    if left > 0:
        with contextlib.suppress(VectronError):
            yield from cluster(session, shards=False, timeout=left)


def list_collections(session: Session) -> Flow[list[CollectionInfo]]:
    reply = yield from ask(session, messages.ListCollections(), messages.CollectionsReply)
    return [results.collection_info(info) for info in reply.infos]


def collection_info(session: Session, name: str) -> Flow[CollectionInfo]:
    reply = yield from ask(session, messages.DescribeCollection(name), messages.CollectionReply)
    return results.collection_info(reply.info)


def payload_fields(session: Session, name: str) -> Flow[PayloadFields]:
    reply = yield from ask(session, messages.GetPayloadFields(name), messages.PayloadFieldsReply)
    return results.payload_fields(reply.fields)
