"""What an import says and keeps while it runs: progress, rejected rows, and how far it has come.

Owns the files of `--rejects` and `--resume`, and the progress on stderr. Must not know where rows come from or how
they are written. Invariants: all rows before the number in a resume file are written, or in the file of rejected rows;
a resume file is replaced as a whole, so a crash leaves the one before.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import click

from vectron_p2p.cli import output

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from vectron_p2p.client.batches import Tally

KEPT_ERRORS = 1_000  # rejected rows in the document of --json; --rejects has them all
SAVE_S = 1.0  # between writes of the resume file: what has to be sent again after a crash
LINE_S = 5.0  # between lines of progress where there is no terminal for a bar


class Done(NamedTuple):
    """What an import has done: its first rows, how many of them were rejected, and where the file of those ends."""

    rows: int = 0
    rejected: int = 0
    bytes: int = 0


class ResumeFile:
    """How far the import of some files into a collection has come."""

    def __init__(self, path: Path | None, collection: str, files: Sequence[Path]) -> None:
        """`collection`: its id, as one of the same name may be another."""
        self.path = path
        self._what: dict[str, Any] = {"collection": collection, "files": [_identity(file) for file in files]}

    def read(self) -> Done:
        """What is done; nothing where there is no file yet.

        Raises:
            click.ClickException: The file is of another import.
        """
        if self.path is None or not self.path.exists():
            return Done()
        try:
            kept = json.loads(self.path.read_text(encoding="utf-8"))
            what, done = kept["what"], Done(*(int(kept[name]) for name in Done._fields))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise click.ClickException(f"{self.path} is no file of --resume: {error!r}") from None
        if what != self._what:
            raise click.ClickException(
                f"{self.path} is of another import (another collection, or files that have changed since); "
                "remove it to begin anew"
            )
        return done

    def write(self, done: Done) -> None:
        if self.path is None:
            return
        beside = self.path.with_name(self.path.name + ".new")
        with beside.open("w", encoding="utf-8") as file:
            json.dump({"what": self._what, **done._asdict()}, file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self.path)

    def remove(self) -> None:
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def _identity(path: Path) -> dict[str, Any]:
    found = path.stat()
    return {"name": path.name, "bytes": found.st_size, "changed": found.st_mtime_ns}


class Watcher:
    """Told by the upload how far it is: see `client.batches.Watch`."""

    def __init__(
        self,
        resume: ResumeFile,
        rejects: Path | None,
        *,
        most: int,
        done: Done,
        show: Callable[[Watcher], None],
    ) -> None:
        """`most`: rejected rows that are borne. `done`: by earlier runs; what one of them added to the file of rejected
        rows after it last said so is cut off, as it comes again.
        """
        self._resume = resume
        self._most = most
        self._show = show
        self._file = None if rejects is None else _opened(rejects, done.bytes)
        self._before = done.rejected
        """Rejected rows that are in the file."""
        self._unwritten: list[dict[str, Any]] = []
        self._saved_at = time.monotonic()
        self.began = time.monotonic()
        self.first = self.settled = self.prefix = done.rows
        self.total: int | None = None
        self.sent = 0
        self.rejected = done.rejected
        self.errors: list[dict[str, Any]] = []
        """The first rejected rows."""

    def __call__(self, tally: Tally) -> None:
        for error in tally.errors:
            if len(self.errors) < KEPT_ERRORS:
                self.errors.append(error)
        self._unwritten += tally.errors
        tally.errors.clear()
        self.settled, self.prefix, self.total, self.sent = tally.settled, tally.prefix, tally.total, tally.sent
        self.rejected = self._before + len(self._unwritten)
        now = time.monotonic()
        if now - self._saved_at >= SAVE_S:
            self._saved_at = now
            self.save()
        self._show(self)
        if self.rejected > self._most and tally.failure is None:
            tally.failure = click.ClickException(
                f"more than {self._most:,} rows were rejected, so the file may not be what it should be; "
                "look at them, or give --max-rejected"
            )

    def save(self) -> None:
        """Rejected rows first, those that are not looked at again; the others would be there twice."""
        final = sorted((error for error in self._unwritten if error["rows"][0] < self.prefix), key=_row)
        self._unwritten = [error for error in self._unwritten if error["rows"][0] >= self.prefix]
        self._before += len(final)
        if self._file is not None and final:
            lines = [json.dumps(_entry(error), ensure_ascii=False) + "\n" for error in final]
            self._file.write("".join(lines).encode("utf-8", "surrogatepass"))
            self._file.flush()
            os.fsync(self._file.fileno())
        self._resume.write(Done(self.prefix, self._before, self._file.tell() if self._file is not None else 0))

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    @property
    def rate(self) -> float:
        """Rows a second."""
        seconds = time.monotonic() - self.began
        return (self.settled - self.first) / seconds if seconds > 0 else 0.0

    def line(self) -> str:
        """`48,000 of 100,000 rows, 12,345/s, 4 s left, 2 rejected`."""
        of = f" of {self.total:,}" if self.total is not None else ""
        left = ""
        if self.total is not None and self.rate > 0:
            left = f", {(self.total - self.settled) / self.rate:.0f} s left"
        rejected = f", {self.rejected:,} rejected" if self.rejected else ""
        return f"{self.settled:,}{of} rows, {self.rate:,.0f}/s{left}{rejected}"


def _opened(path: Path, size: int) -> BinaryIO:
    """The file cut off at `size`; shorter if somebody has removed it meanwhile."""
    try:
        file = path.open("r+b" if path.exists() else "w+b")
        file.truncate(min(size, path.stat().st_size))
        file.seek(0, os.SEEK_END)
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error}") from None
    return file


def _row(error: dict[str, Any]) -> int:
    number: int = error["rows"][0]
    return number


def _entry(error: dict[str, Any]) -> dict[str, Any]:
    return {"row": error["rows"][0], **{key: error[key] for key in ("id", "code", "field", "message")}}


@contextmanager
def shown(*, quiet: bool) -> Iterator[Callable[[Watcher], None]]:
    """Progress on stderr: a bar on a terminal, else a line every few seconds; nothing if `quiet`."""
    if quiet:
        yield lambda _: None
        return
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    with Progress(
        TextColumn("importing"), BarColumn(), TextColumn("{task.fields[line]}"), console=Console(stderr=True)
    ) as bar:
        task = bar.add_task("importing", total=None, line="")

        def show(watcher: Watcher) -> None:
            bar.update(task, completed=watcher.settled, total=watcher.total, line=watcher.line())

        yield show


class _Lines:
    def __init__(self) -> None:
        self._said = time.monotonic()

    def __call__(self, watcher: Watcher) -> None:
        now = time.monotonic()
        if now - self._said >= LINE_S:
            self._said = now
            output.note(watcher.line())
