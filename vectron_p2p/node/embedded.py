"""A whole node inside another program: in a thread of its own, without a port.

The node runs as it does in a process, on a network that nobody else is on. Calls come from any thread, or from any
event loop, and end with the node.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import anyio
import trio

from vectron_p2p.model.errors import DeadlineExceeded, Unavailable, VectronError
from vectron_p2p.model.ids import Address
from vectron_p2p.model.statistics import CLIENT
from vectron_p2p.net.loopback import LoneNetwork
from vectron_p2p.node.config import NodeConfig
from vectron_p2p.node.hosting import causes, limits, open_runtime
from vectron_p2p.node.node import Node
from vectron_p2p.observability import tracing

MEMORY = ":memory:"
HERE = Address("embedded", 1)  # nobody dials it


class EmbeddedNode:
    """Started when made; ended by `close`.

    Raises:
        VectronError: The folder cannot be used (another process has it, say).
    """

    def __init__(self, path: Path | str) -> None:
        data = None if path == MEMORY else Path(path)
        self._config = NodeConfig(data=data, listen=HERE)
        self._started: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        self._node: Node | None = None
        self._token: trio.lowlevel.TrioToken | None = None
        self._calls: trio.Nursery | None = None
        self._thread = threading.Thread(target=self._run, name="vectron-embedded", daemon=True)
        self._thread.start()
        failure = self._started.get()
        if failure is not None:
            self._thread.join()
            cause = causes(failure)[0]
            if isinstance(cause, VectronError):
                raise cause
            raise Unavailable(f"the embedded node did not start: {cause}", retryable=False) from failure

    def call(self, message: Any, timeout: float, trace: int = 0) -> Any:
        """The reply to `message`, waited for by this thread.

        Raises:
            VectronError: What the node answered; DeadlineExceeded after `timeout` seconds.
        """
        return self._submit(message, timeout, trace).result()

    async def acall(self, message: Any, timeout: float, trace: int = 0) -> Any:
        """As `call`, for trio and asyncio."""
        done = anyio.Event()
        future = self._submit(message, timeout, trace)
        call_soon = _current_loop()
        future.add_done_callback(lambda _: call_soon(done.set))
        try:
            await done.wait()
        except BaseException:
            future.cancel()
            raise
        return future.result()

    def close(self) -> None:
        """Orderly end; may be called again."""
        if self._thread.is_alive() and self._token is not None and self._node is not None:
            with contextlib.suppress(trio.RunFinishedError):  # it has ended by itself
                self._token.run_sync_soon(self._node.stop)
            self._thread.join()

    # --- inside -----------------------------------------------------------------------------------------------------

    def _submit(self, message: Any, timeout: float, trace: int) -> Future[Any]:
        future: Future[Any] = Future()
        assert self._token is not None
        try:
            self._token.run_sync_soon(self._begin, message, timeout, trace, future)
        except trio.RunFinishedError:
            raise Unavailable("the embedded node is closed", retryable=False) from None
        return future

    def _begin(self, message: Any, timeout: float, trace: int, future: Future[Any]) -> None:
        if self._calls is None:
            future.set_exception(Unavailable("the embedded node is closed", retryable=False))
        else:
            self._calls.start_soon(self._answer, message, timeout, trace, future)

    async def _answer(self, message: Any, timeout: float, trace: int, future: Future[Any]) -> None:
        assert self._node is not None
        self._node.enter()
        tracing.begin(trace)
        result: Any = None
        error: VectronError | None = Unavailable("the embedded node was closed; the outcome is unknown")
        try:
            with trio.fail_after(timeout), self._node.requests.counted(message, CLIENT):
                result = await self._node.answer_client(message)
            error = None
        except trio.TooSlowError:
            error = DeadlineExceeded(f"no answer within {timeout:.3g} s")
        except VectronError as refusal:
            error = refusal
        finally:
            if not future.cancelled():
                if error is not None:
                    future.set_exception(error)
                else:
                    future.set_result(result)

    def _run(self) -> None:
        try:
            trio.run(self._main)
        except BaseException as error:
            self._started.put(error)

    async def _main(self) -> None:
        with open_runtime(self._config, LoneNetwork()) as runtime:
            node = Node(self._config, runtime, limits())
            async with trio.open_nursery() as nursery:
                await nursery.start(node.run)
                async with trio.open_nursery() as self._calls:
                    self._node, self._token = node, trio.lowlevel.current_trio_token()
                    self._started.put(None)
                    await node.ended.wait()
                    calls, self._calls = self._calls, None
                    calls.cancel_scope.cancel()


def _current_loop() -> Any:
    """A function that runs another one on the event loop that is running now, from any thread."""
    try:
        token = trio.lowlevel.current_trio_token()
    except RuntimeError:
        import asyncio

        return asyncio.get_running_loop().call_soon_threadsafe
    return token.run_sync_soon
