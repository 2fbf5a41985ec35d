"""`AsyncCollection.upload`: batches cut between awaits, a task per batch in flight."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel

from vectron_p2p.client.batches import Batch, Tally, check_upload, cut, row_count, telling
from vectron_p2p.client.operations import collection_info
from vectron_p2p.client.point_operations import write
from vectron_p2p.client.progress import progress_of
from vectron_p2p.model.consistency import parse_consistency
from vectron_p2p.model.errors import VectronError

if TYPE_CHECKING:
    from vectron_p2p.client.async_client import AsyncClient
    from vectron_p2p.model.points import UploadReport


async def upload(
    client: AsyncClient,
    name: str,
    source: Any,
    *,
    batch_size: object,
    parallel: object,
    progress: object,
    on_error: object,
    consistency: object,
) -> UploadReport:
    """See `AsyncCollection.upload`."""
    options = check_upload(batch_size, parallel, on_error)
    level = parse_consistency(consistency).value
    if options.collect:
        info = await client.run(collection_info(client.session, name))
        options = replace(options, dimension=info.dimension, metric=info.metric)
    started = anyio.current_time()
    failure: Exception | None = None
    with progress_of(progress) as advance:
        tally = Tally(options, row_count(source), telling(advance))
        settled = anyio.Event()

        async def send(batch: Batch, number: int) -> None:
            nonlocal failure, settled
            assert batch.data is not None
            error: VectronError | None = None
            try:
                await client.run(write(client.session, name, batch.data, consistency=level, spread=number))
            except VectronError as refused:
                error = refused
            except Exception as defect:  # raised below, outside the task group, which would wrap it
                failure = defect
            tally.done(batch, error)
            settled.set()
            settled = anyio.Event()

        async with anyio.create_task_group() as group:
            batches, number = cut(source, options), 0
            try:
                while not tally.over and tally.failure is None and failure is None:
                    batch = tally.next(batches)
                    if batch is None:
                        if not tally.over:
                            await settled.wait()
                    elif tally.start(batch):
                        group.start_soon(send, batch, number)
                        number += 1
                    await anyio.lowlevel.checkpoint()  # a source without pauses would keep the loop to itself
            except Exception as error:  # of the source; as above
                failure = error
        if failure is not None or tally.failure is not None:
            raise failure or tally.failure  # type: ignore[misc]  # one of them is set
        return tally.report(anyio.current_time() - started)
