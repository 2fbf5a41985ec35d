"""The progress bar of `upload(progress=True)`."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from vectron_p2p.model.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vectron_p2p.client.batches import Progress


@contextmanager
def progress_of(progress: object) -> Iterator[Progress | None]:
    """What to call with each settled batch: a bar on stderr for True, nothing for False, or the callable given.

    Raises:
        InvalidArgument: `progress` is none of these.
    """
    if progress is False or progress is None:
        yield None
        return
    if progress is not True:
        if not callable(progress):
            raise InvalidArgument("progress is True, False or a callable(rows, total)", field="progress")
        yield progress
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("uploading"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("uploading", total=None)

        def advance(rows: int, total: int | None) -> None:
            bar.update(task, completed=rows, total=total)

        yield advance
