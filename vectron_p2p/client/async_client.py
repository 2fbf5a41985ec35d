"""`AsyncClient`: the asynchronous client, on trio and on asyncio."""

from __future__ import annotations

import itertools
import random
import uuid
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, overload

import anyio
import anyio.abc
import anyio.lowlevel

from vectron_p2p.client import administration, operations, watching
from vectron_p2p.client.alert_calls import AsyncAlertCalls
from vectron_p2p.client.async_transport import AsyncSocketTransport
from vectron_p2p.client.logs import Tail
from vectron_p2p.client.session import RetryPolicy, Session
from vectron_p2p.client.settings import settings
from vectron_p2p.client.steps import UNDONE, Call, Flow, LinkLost, Sleep, Together
from vectron_p2p.client.targets import Embedded, parse_target, refuse_credentials
from vectron_p2p.model.errors import InvalidArgument, VectronError
from vectron_p2p.model.watching import DEFAULT_INTERVAL_S, WatchEvent

if TYPE_CHECKING:
    import os
    import ssl
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence
    from types import TracebackType

    from vectron_p2p.client.async_collection import AsyncCollection
    from vectron_p2p.model.collections import CollectionInfo
    from vectron_p2p.model.logs import LogRecord, LogRecords
    from vectron_p2p.model.moves import MovesReport
    from vectron_p2p.model.nodes import ClusterInfo, ClusterStatus
    from vectron_p2p.model.repair import RepairReport
    from vectron_p2p.model.settings import Settings
    from vectron_p2p.model.statistics import ClusterStatistics, History

T = TypeVar("T")


class Transport(Protocol):
    """Carries out `Call`s of several tasks at once."""

    async def call(self, step: Call) -> Any: ...

    async def aclose(self) -> None: ...


class AsyncClient(AsyncAlertCalls):
    """A cluster, or a node in this process: `async with AsyncClient(target) as db: ...`, entered and left in one task.

    All tasks share one connection per node. Arguments as `Client`.
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
        self._target = parse_target(target)
        self.session = Session(
            self._target.seeds,
            timeout=timeout,
            now=anyio.current_time,
            rng=random.Random(),
            operation_id=lambda: uuid.uuid4().hex,
            trace=itertools.count(uuid.uuid4().int >> 66).__next__,
            retry=retry,
        )
        self._transport: Transport | None = None
        self._group: anyio.abc.TaskGroup | None = None

    async def __aenter__(self) -> AsyncClient:
        if isinstance(self._target, Embedded):
            from vectron_p2p.client.embedded import AsyncEmbeddedTransport

            self._transport = await AsyncEmbeddedTransport.open(self._target.path)
        else:
            self._group = anyio.create_task_group()
            await self._group.__aenter__()
            self._transport = AsyncSocketTransport(self.session, self._group)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()
        if self._group is not None:
            # Its tasks have ended and never raise. It is told of no error: it would wrap the caller's in a group.
            await self._group.__aexit__(None, None, None)
            self._group = None

    async def close(self) -> None:
        """Closes connections, or stops the embedded node. Further calls raise."""
        transport, self._transport = self._transport, None
        if transport is not None:
            await transport.aclose()

    async def create_collection(
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
    ) -> AsyncCollection:
        """As `Client.create_collection`."""
        await self.run(
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

    def collection(self, name: str) -> AsyncCollection:
        """A handle on a collection; asks nobody, and is not awaited."""
        from vectron_p2p.client.async_collection import AsyncCollection  # with it comes numpy; the console does without

        return AsyncCollection(self, name)

    async def list_collections(self) -> list[CollectionInfo]:
        """As `Client.list_collections`."""
        return await self.run(operations.list_collections(self.session))

    async def delete_collection(self, name: str) -> None:
        """As `Client.delete_collection`."""
        await self.run(operations.delete_collection(self.session, name))

    async def cluster(self) -> ClusterInfo:
        """As `Client.cluster`."""
        return await self.run(operations.cluster(self.session))

    async def status(self) -> ClusterStatus:
        """As `Client.status`."""
        return await self.run(operations.status(self.session))

    async def statistics(self, *, replicas: bool = True) -> ClusterStatistics:
        """As `Client.statistics`."""
        return await self.run(operations.statistics(self.session, replicas=replicas))

    async def history(
        self, figures: Iterable[str] | None = None, *, seconds: float = 600.0, node: str | None = None
    ) -> History:
        """As `Client.history`."""
        names = () if figures is None else figures
        return await self.run(operations.history(self.session, names, seconds=seconds, node=node))

    def watch(self, *topics: str, interval: float = DEFAULT_INTERVAL_S) -> AsyncIterator[WatchEvent]:
        """As `Client.watch`: `async for event in db.watch(...)`."""
        return watching.AsyncEvents(self.run, watching.Watch(self.session, topics, interval))

    async def repair(
        self, node: str | None = None, *, on_progress: Callable[[RepairReport], None] | None = None
    ) -> RepairReport:
        """As `Client.repair`."""
        return await self.run(operations.repair(self.session, node, on_progress=on_progress))

    async def drain(
        self,
        node: str,
        *,
        wait: bool = True,
        cancel: bool = False,
        on_progress: Callable[[MovesReport], None] | None = None,
    ) -> MovesReport:
        """As `Client.drain`."""
        return await self.run(
            administration.drain(self.session, node, cancel=cancel, wait=wait, on_progress=on_progress)
        )

    async def remove(
        self, node: str, *, wait: bool = True, on_progress: Callable[[MovesReport], None] | None = None
    ) -> MovesReport:
        """As `Client.remove`."""
        return await self.run(administration.remove(self.session, node, wait=wait, on_progress=on_progress))

    async def rebalance(
        self, *, wait: bool = True, on_progress: Callable[[MovesReport], None] | None = None
    ) -> MovesReport:
        """As `Client.rebalance`."""
        return await self.run(administration.rebalance(self.session, wait=wait, on_progress=on_progress))

    async def moves(self, node: str | None = None) -> MovesReport:
        """As `Client.moves`."""
        return await self.run(administration.moves(self.session, node))

    async def set_replicas(self, name: str, replicas: int) -> CollectionInfo:
        """As `Client.set_replicas`."""
        return await self.run(administration.set_replicas(self.session, name, replicas))

    async def settings(self, node: str | None = None) -> Settings:
        """As `Client.settings`."""
        return await self.run(settings(self.session, node))

    @overload
    async def logs(
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
    async def logs(
        self,
        node: str | None = None,
        *,
        level: str = "info",
        slow: bool = False,
        trace: str | None = None,
        limit: int = 1000,
        follow: Literal[True],
    ) -> AsyncIterator[LogRecord]: ...

    async def logs(
        self,
        node: str | None = None,
        *,
        level: str = "info",
        slow: bool = False,
        trace: str | None = None,
        limit: int = 1000,
        follow: bool = False,
    ) -> LogRecords | AsyncIterator[LogRecord]:
        """As `Client.logs`; `async for record in await db.logs(follow=True)`."""
        tail = Tail(self.session, node, level=level, slow=slow, trace=trace, limit=limit)
        return self._follow(tail) if follow else await self.run(tail.look())

    async def _follow(self, tail: Tail) -> AsyncIterator[LogRecord]:
        while True:
            for record in await self.run(tail.look()):
                yield record

    async def run(self, flow: Flow[T]) -> T:
        """Drives a flow to its result: the whole of this shell."""
        if self._transport is None:
            flow.close()
            raise InvalidArgument("this client is not open: use `async with AsyncClient(...) as db:`")
        call = self._transport.call
        try:
            step = next(flow)
            while True:
                if isinstance(step, Call):
                    try:
                        reply = await call(step)
                    except (VectronError, LinkLost) as error:
                        step = flow.throw(error)
                    else:
                        step = flow.send(reply)
                elif isinstance(step, Sleep):
                    await anyio.sleep(step.seconds)
                    step = flow.send(None)
                else:
                    step = flow.send(await self._together(step))
        except StopIteration as stop:
            result: T = stop.value
            return result

    async def _together(self, step: Together) -> list[Any]:
        outcomes: list[Any] = [UNDONE] * len(step.flows)
        left = iter(enumerate(step.flows))

        async def some() -> None:
            for number, flow in left:
                try:
                    outcomes[number] = await self.run(flow)
                except Exception as error:  # the flow's to raise, outside the task group, which would wrap it
                    outcomes[number] = error
                    group.cancel_scope.cancel()
                    return

        async with anyio.create_task_group() as group:
            for _ in range(min(step.width, len(step.flows))):
                group.start_soon(some)
        return outcomes
