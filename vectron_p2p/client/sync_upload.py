"""`Collection.upload`: batches from the caller's thread, written by a few worker threads."""

from __future__ import annotations

import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any

from vectron_p2p.client.batches import Batch, Tally, check_upload, cut, row_count
from vectron_p2p.client.point_operations import write
from vectron_p2p.client.progress import progress_of
from vectron_p2p.model.consistency import parse_consistency
from vectron_p2p.model.errors import VectronError

if TYPE_CHECKING:
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
    level = parse_consistency(consistency).value
    started = time.monotonic()
    with progress_of(progress) as advance:
        tally = Tally(options, row_count(source), advance)
        running: dict[Future[Any], Batch] = {}

        def settle() -> None:
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                error = future.exception()
                if error is not None and not isinstance(error, VectronError):
                    raise error
                tally.done(running.pop(future), error)

        with ThreadPoolExecutor(options.parallel, thread_name_prefix="vectron-upload") as pool:
            for number, batch in enumerate(cut(source, options)):
                while not tally.may_start(batch):
                    settle()
                if tally.failure is not None:
                    break
                if tally.start(batch) and batch.data is not None:
                    flow = write(client.session, name, batch.data, consistency=level, spread=number)
                    running[pool.submit(client.run, flow)] = batch
            while running:
                settle()
        if tally.failure is not None:
            raise tally.failure
        return tally.report(time.monotonic() - started)
