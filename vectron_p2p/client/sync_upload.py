"""`Collection.upload`: batches from the caller's thread, written by a few worker threads."""

from __future__ import annotations

import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vectron_p2p.client.batches import Batch, Tally, check_upload, cut, row_count, telling
from vectron_p2p.client.operations import collection_info
from vectron_p2p.client.point_operations import write
from vectron_p2p.client.progress import progress_of
from vectron_p2p.model.consistency import parse_consistency
from vectron_p2p.model.errors import VectronError

if TYPE_CHECKING:
    from vectron_p2p.client.batches import UploadOptions, Watch
    from vectron_p2p.client.sync_client import Client
    from vectron_p2p.model.points import UploadReport


def upload(
    client: Client,
    name: str,
    source: Any,
    *,
    batch_size: object,
    parallel: object,
    progress: object,
    on_error: object,
    consistency: object,
) -> UploadReport:
    """See `Collection.upload`."""
    options = check_upload(batch_size, parallel, on_error)
    if options.collect:
        info = client.run(collection_info(client.session, name))
        options = replace(options, dimension=info.dimension, metric=info.metric)
    with progress_of(progress) as advance:
        total, watch = row_count(source), telling(advance)
        return send(client, name, source, options, total=total, consistency=consistency, watch=watch)


def send(
    client: Client,
    name: str,
    source: Any,
    options: UploadOptions,
    *,
    total: int | None,
    consistency: object,
    watch: Watch | None,
) -> UploadReport:
    """Writes the batches of `source`.

    Raises:
        Exception: `Tally.failure`, or what reading the source met; what was in flight has ended by then.
    """
    level = parse_consistency(consistency).value
    started = time.monotonic()
    tally = Tally(options, total, watch)
    running: dict[Future[Any], Batch] = {}

    def settle() -> None:
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            error = future.exception()
            if error is not None and not isinstance(error, VectronError):
                raise error
            tally.done(running.pop(future), error)

    with ThreadPoolExecutor(options.parallel, thread_name_prefix="vectron-upload") as pool:
        batches, number = cut(source, options), 0
        try:
            while not tally.over and tally.failure is None:
                batch = tally.next(batches)
                if batch is None:
                    if running:
                        settle()
                elif tally.start(batch) and batch.data is not None:
                    flow = write(client.session, name, batch.data, consistency=level, spread=number)
                    running[pool.submit(client.run, flow)] = batch
                    number += 1
        finally:
            while running:  # also when reading fails: what was written is counted
                settle()
    if tally.failure is not None:
        raise tally.failure
    return tally.report(time.monotonic() - started)
