"""`connect` and `Client`: the blocking client."""

from __future__ import annotations

import functools
import itertools
import random
import time
import uuid
from typing import TYPE_CHECKING, Literal, TypeVar, overload

from vectron_p2p.client import administration, blocking, operations, watching
from vectron_p2p.client.alert_calls import AlertCalls
from vectron_p2p.client.logs import Tail
from vectron_p2p.client.session import RetryPolicy, Session
from vectron_p2p.client.settings import settings
from vectron_p2p.client.sync_transport import SocketTransport
from vectron_p2p.client.targets import Embedded, Remote, parse_target, refuse_credentials
from vectron_p2p.model.watching import DEFAULT_INTERVAL_S, WatchEvent

if TYPE_CHECKING:
    import os
    import ssl
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import TracebackType

    from vectron_p2p.client.collection import Collection
    from vectron_p2p.client.steps import Flow
    from vectron_p2p.client.straight import StraightSearches
    from vectron_p2p.model.collections import CollectionInfo
    from vectron_p2p.model.logs import LogRecord, LogRecords
    from vectron_p2p.model.moves import MovesReport
    from vectron_p2p.model.nodes import ClusterInfo, ClusterStatus
    from vectron_p2p.model.repair import RepairReport
    from vectron_p2p.model.settings import Settings
    from vectron_p2p.model.statistics import ClusterStatistics, History

T = TypeVar("T")


class Client(AlertCalls):
    """A cluster, or a node in this process, through blocking calls. Safe to use from several threads.

    Args:
        target: `"HOST:PORT[,HOST:PORT]"` (nodes of one cluster, any of which will do), a path, or `":memory:"`.
        api_key: None; keys are not supported yet.
        tls: None; TLS is not supported yet.
        timeout: Seconds for each call, all retries included.
        retry: How often and how long to try again.

    Raises:
        InvalidArgument: An argument is at fault. Remote nodes are first asked by the first call.
    """

    def __init__(
        self,
        target: str | os.PathLike[str],
        *,
        api_key: str | None = None,
        tls: ssl.SSLContext | str | os.PathLike[str] | None = None,
        timeout: float = 30.0,
        retry: RetryPolicy | None = None,
    ) -> None:
        refuse_credentials(api_key, tls)
        parsed = parse_target(target)
        self.session = new_session(parsed, timeout, retry)
        self._transport: blocking.Transport
        if isinstance(parsed, Embedded):
            from vectron_p2p.client.embedded import EmbeddedTransport

            self._transport = EmbeddedTransport(parsed.path)
        else:
            self._transport = SocketTransport(self.session)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes connections, or stops the embedded node. Further calls raise."""
        self._transport.close()

    @functools.cached_property
    def straight(self) -> StraightSearches | None:
        """The straight way of searches; None: every call goes the general way, as to a node in this process."""
        from vectron_p2p.client.straight import StraightSearches  # with it comes numpy, as with `collection`

        return StraightSearches(self.session, self._transport) if isinstance(self._transport, SocketTransport) else None

    def create_collection(
        self,
        name: str,
        *,
        dimension: int,
        metric: str = "cosine",
        shards: int | None = None,
        replicas: int = 3,
        m: int = 16,
        ef_construction: int = 100,
        payload_index: bool | Sequence[str] = True,
        if_not_exists: bool = False,
    ) -> Collection:
        """Creates a collection.

        Args:
            name: 1 to 128 of letters, digits, `_`, `.`, `-`.
            dimension: Of its vectors, 1 to 4096.
            metric: "cosine", "dot" or "l2".
            shards: A power of two up to 256; None chooses the smallest one >= the active nodes.
            replicas: Copies wished for; with fewer nodes there are fewer.
            m: Links per point in the graph.
            ef_construction: Effort when a point is linked.
            payload_index: Payload fields indexed for filters and orders: all, none (False) or those named, with all
                below them; fixed for ever. Others are read, which is slower.
            if_not_exists: Return an existing collection of that name as it is.

        Raises:
            AlreadyExists: There is one of that name.
        """
        self.run(
            operations.create_collection(
                self.session,
                name,
                dimension=dimension,
                metric=metric,
                shards=shards,
                replicas=replicas,
                m=m,
                ef_construction=ef_construction,
                payload_index=payload_index,
                if_not_exists=if_not_exists,
            )
        )
        return self.collection(name)

    def collection(self, name: str) -> Collection:
        """A handle on a collection; asks nobody."""
        from vectron_p2p.client.collection import Collection  # with it comes numpy, which status calls do without

        return Collection(self, name)

    def list_collections(self) -> list[CollectionInfo]:
        """All collections with their figures, by name."""
        return self.run(operations.list_collections(self.session))

    def delete_collection(self, name: str) -> None:
        """Deletes a collection with all its points.

        Raises:
            NotFound: There is none of that name.
        """
        self.run(operations.delete_collection(self.session, name))

    def cluster(self) -> ClusterInfo:
        """Nodes and shard replicas, as the answering node sees them."""
        return self.run(operations.cluster(self.session))

    def status(self) -> ClusterStatus:
        """Live figures of every node."""
        return self.run(operations.status(self.session))

    def statistics(self, *, replicas: bool = True) -> ClusterStatistics:
        """What every node measures of itself: resources, operations over 1 minute, 5 minutes and an hour, connections.

        Args:
            replicas: Those of every shard replica, and the totals of collections, too.
        """
        return self.run(operations.statistics(self.session, replicas=replicas))

    def history(
        self, figures: Iterable[str] | None = None, *, seconds: float = 600.0, node: str | None = None
    ) -> History:
        """Figures of the past, at most of a day: what charts are made of.

        Args:
            figures: Some of `model.statistics.FIGURES`; None for all.
            seconds: How far back; the further, the longer the steps (1, 10 or 60 s).
            node: Name or id of a node; None for the cluster.

        Raises:
            NotFound: There is no such node.
        """
        names = () if figures is None else figures
        return self.run(operations.history(self.session, names, seconds=seconds, node=node))

    def watch(self, *topics: str, interval: float = DEFAULT_INTERVAL_S) -> Iterator[WatchEvent]:
        """The cluster as it is now, and each change from now on: pushed by the node, so nothing has to be polled.

        It goes on at another node when that one is lost. Who takes events slowly gets the newest state each time, never
        a queue of old ones.

        Args:
            topics: Some of `model.watching.TOPICS`; none for all.
            interval: Seconds between events. Changes of members and of the catalog come at once.

        Raises:
            InvalidArgument: There is no such topic.
            Unavailable: No node can be reached at first. Later an event says so (`lost`), and it goes on.
        """
        return watching.Events(self.run, watching.Watch(self.session, topics, interval))

    def repair(
        self, node: str | None = None, *, on_progress: Callable[[RepairReport], None] | None = None
    ) -> RepairReport:
        """Compares all replicas with each other, or those of one node, and copies what some lack; returns when done.

        Anti-entropy does the same by itself within a minute or so; this says what was found.

        Args:
            node: Name or id of the node; None for all nodes.
            on_progress: Called with the figures so far, a few times a second.
        """
        return self.run(operations.repair(self.session, node, on_progress=on_progress))

    def drain(
        self,
        node: str,
        *,
        wait: bool = True,
        cancel: bool = False,
        on_progress: Callable[[MovesReport], None] | None = None,
    ) -> MovesReport:
        """Has a node give its shards to others and leave the cluster; its process then ends by itself.

        Args:
            node: Its name or id.
            wait: Return when it has left. Otherwise, and when this is interrupted, the cluster goes on by itself.
            cancel: Have a node that is draining stay instead.
            on_progress: Called with the figures so far, twice a second.

        Raises:
            InvalidArgument: A collection would have fewer replicas than it asks for, or nobody would be left.
            NotFound: There is no such node.
        """
        return self.run(administration.drain(self.session, node, cancel=cancel, wait=wait, on_progress=on_progress))

    def remove(
        self, node: str, *, wait: bool = True, on_progress: Callable[[MovesReport], None] | None = None
    ) -> MovesReport:
        """Gives up a node that is dead for good: what it held is rebuilt on others from their replicas. It can never
        come back; a machine that does joins as a new node, with an empty folder.

        Args:
            node: Its name or id.
            wait: Return when all is rebuilt, as far as there are nodes.
            on_progress: Called with the figures so far, twice a second.

        Raises:
            InvalidArgument: It is alive, or too few owners of a shard would be left to know all that was acknowledged.
            NotFound: There is no such node.
        """
        return self.run(administration.remove(self.session, node, wait=wait, on_progress=on_progress))

    def rebalance(self, *, wait: bool = True, on_progress: Callable[[MovesReport], None] | None = None) -> MovesReport:
        """Waits until every shard lies where it should: the cluster moves them by itself, from some seconds after a
        change on. Without `wait` it only says what is under way and wanted.
        """
        return self.run(administration.rebalance(self.session, wait=wait, on_progress=on_progress))

    def moves(self, node: str | None = None) -> MovesReport:
        """Shards that are being moved, and how many more are to be; with `node` its state and what it still owns."""
        return self.run(administration.moves(self.session, node))

    def set_replicas(self, name: str, replicas: int) -> CollectionInfo:
        """Sets how many replicas of each of its shards a collection is to have; they come and go in the background."""
        return self.run(administration.set_replicas(self.session, name, replicas))

    def settings(self, node: str | None = None) -> Settings:
        """What nodes were started with and where each value comes from, and their fixed limits; `silent`
        of what is returned names the nodes that did not answer.

        Args:
            node: Name or id; None for all nodes that answer.

        Raises:
            NotFound: There is no such node.
            Unavailable: The node asked for does not answer.
        """
        return self.run(settings(self.session, node))

    @overload
    def logs(
        self,
        node: str | None = None,
        *,
        level: str = "info",
        slow: bool = False,
        trace: str | None = None,
        limit: int = 1000,
        follow: Literal[False] = False,
    ) -> LogRecords: ...

    @overload
    def logs(
        self,
        node: str | None = None,
        *,
        level: str = "info",
        slow: bool = False,
        trace: str | None = None,
        limit: int = 1000,
        follow: Literal[True],
    ) -> Iterator[LogRecord]: ...

    def logs(
        self,
        node: str | None = None,
        *,
        level: str = "info",
        slow: bool = False,
        trace: str | None = None,
        limit: int = 1000,
        follow: bool = False,
    ) -> LogRecords | Iterator[LogRecord]:
        """The last log records of a node, or of all, by time: those that the nodes keep in memory. `silent` of what is
        returned names the nodes that did not answer.

        Args:
            node: Its name or id; None for all nodes that answer.
            level: The lowest: "debug" (kept by nodes that log it), "info", "warning", "error" or "critical".
            slow: Slow requests only: where their time went, and who asked.
            trace: Only records of one call: the `trace` of an error or of a record.
            limit: The newest so many; 10,000 at most.
            follow: An iterator, which goes on with what comes.

        Raises:
            NotFound: There is no such node.
            Unavailable: The node asked for does not answer.
        """
        tail = Tail(self.session, node, level=level, slow=slow, trace=trace, limit=limit)
        return self._follow(tail) if follow else self.run(tail.look())

    def _follow(self, tail: Tail) -> Iterator[LogRecord]:
        while True:
            yield from self.run(tail.look())

    def run(self, flow: Flow[T]) -> T:
        """Drives a flow to its result."""
        return blocking.run(self._transport, flow)


def new_session(target: Remote | Embedded, timeout: float, retry: RetryPolicy | None) -> Session:
    """The session of a client on the real clock and real randomness."""
    return Session(
        target.seeds,
        timeout=timeout,
        now=time.monotonic,
        rng=random.Random(),
        operation_id=lambda: uuid.uuid4().hex,
        trace=itertools.count(uuid.uuid4().int >> 66).__next__,
        retry=retry,
    )


def connect(
    target: str | os.PathLike[str],
    *,
    api_key: str | None = None,
    tls: ssl.SSLContext | str | os.PathLike[str] | None = None,
    timeout: float = 30.0,
    retry: RetryPolicy | None = None,
) -> Client:
    """A `Client` of `target`; see there."""
    return Client(target, api_key=api_key, tls=tls, timeout=timeout, retry=retry)
