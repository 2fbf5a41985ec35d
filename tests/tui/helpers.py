"""Waiting for what a console under test will do."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
from textual.pilot import Pilot

from tests.tui.factories import FakeCluster
from tui.app import ConsoleApp
from tui.connection import Timing
from tui.screens.base import ConsoleScreen
from tui.widgets.resource_table import ResourceTable
from vectron_p2p.model.nodes import NodeStatus

FAST = Timing(refresh=0.01, answer=0.1, retry_low=0.01, retry_high=0.02)
STILL = Timing(refresh=3600, answer=3600, retry_low=3600, retry_high=3600)
"""Asks only when woken, so that a test alone decides when anything moves."""
SEED = "127.0.0.1:7701"


class FakeClock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def until(holds: Callable[[], Any], app: ConsoleApp | None = None) -> None:
    """Returns when `holds()` is true, `app` asking the cluster meanwhile; a wait in vain fails."""
    with anyio.fail_after(20):  # far beyond any sound wait
        while not holds():
            if app is not None:
                app.connection.wake()
            await anyio.sleep(0.01)  # what is awaited is a state of the app, which has no event


@contextlib.asynccontextmanager
async def console(
    fake: FakeCluster, *, size: tuple[int, int] = (80, 24), ready: bool = True, clock: FakeClock | None = None
) -> AsyncIterator[tuple[ConsoleApp, Pilot[None]]]:
    """A running console on `fake`; `ready`: with the first figures there."""
    app = ConsoleApp([SEED], fake.open, timing=STILL, clock=clock or FakeClock())
    async with app.run_test(size=size) as pilot:
        if ready:
            await until(lambda: app.shared.store.collections.value is not None)
        await settle(app, pilot)
        yield app, pilot


async def settle(app: ConsoleApp, pilot: Pilot[None]) -> None:
    """Paints, and waits until that is on the screen."""
    await pilot.pause()
    app.paint()
    await pilot.pause()


def seen(app: ConsoleApp) -> list[NodeStatus]:
    """The nodes of the last status."""
    status = app.shared.store.status.value
    return status.nodes if status is not None else []


def text(app: ConsoleApp) -> str:
    """The whole screen as plain text."""
    widths = app.size.width
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip)[:widths].rstrip() for strip in strips)


def table(app: ConsoleApp) -> ResourceTable:
    return app.screen.query_one(ResourceTable)


def first_column(app: ConsoleApp) -> list[str]:
    found = table(app)
    return [str(found.get_row_at(row)[0]).strip() for row in range(found.row_count)]


def screen(app: ConsoleApp) -> Any:  # of the class that the test expects
    assert isinstance(app.screen, ConsoleScreen)
    return app.screen
