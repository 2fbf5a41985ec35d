"""A console on real processes, driven key by key; a second client sees what came of it."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
from textual.pilot import Pilot
from textual.widgets import Input

from tests.integration.nodes import vectors
from tests.tui.helpers import first_column, settle, table, text
from tui.app import ConsoleApp
from tui.config import Config
from tui.screens.alerts import RulesScreen
from tui.source import client_opener
from tui.store import LinkState

WORDS = "words"
POINTS = 120  # two pages
FIELDS = ("pos", "rank")
"""The collection that is there, and the fields of its payloads."""
VECTORS = vectors(POINTS)
PATIENCE = 30.0  # seconds for what takes one on an idle machine


class DrivenConsole(ConsoleApp):
    """Remembers what it said, for toasts go."""

    CSS_PATH = str(Path(inspect.getfile(ConsoleApp)).with_name("styles") / "app.tcss")  # Textual looks beside the class

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.toasts: list[str] = []

    def notify(self, message: str, **options: Any) -> None:
        self.toasts.append(message)
        super().notify(message, **options)


@contextlib.asynccontextmanager
async def live_console(
    address: str, *, size: tuple[int, int] = (80, 24), config: Config | None = None
) -> AsyncIterator[tuple[DrivenConsole, Pilot[None]]]:
    """A console that `address` has answered."""
    app = DrivenConsole([address], client_opener(10.0), config=config)
    async with app.run_test(size=size) as pilot:
        await eventually(lambda: link(app) is LinkState.LIVE, app, "the first figures")
        await settle(app, pilot)
        yield app, pilot


async def eventually(holds: Callable[[], Any], app: DrivenConsole, what: str) -> Any:
    """What `holds` (plain or a coroutine function) returns, once that is true.

    Raises:
        AssertionError: It never was; with what the screen showed last and all toasts.
    """
    with anyio.move_on_after(PATIENCE):
        while True:
            found = holds()
            if inspect.isawaitable(found):
                found = await found
            if found:
                return found
            await anyio.sleep(0.05)  # what is awaited lies in other processes, or has no event
    raise AssertionError(f"waited {PATIENCE:.0f} s in vain for {what}\n{app.toasts}\n{text(app)}")


async def sees(app: DrivenConsole, *parts: str) -> str:
    """The screen, once all of `parts` stand on it."""

    def shown() -> str:
        found = text(app)
        return found if all(part in found for part in parts) else ""

    return str(await eventually(shown, app, f"{parts} on the screen"))


async def says(app: DrivenConsole, part: str) -> None:
    await eventually(lambda: any(part in each for each in app.toasts), app, f"{part} in a toast")


async def on(app: DrivenConsole, kind: type) -> None:
    await eventually(lambda: isinstance(app.screen, kind), app, kind.__name__)


async def fill(app: DrivenConsole, pilot: Pilot[None], **values: str) -> None:
    """Writes into the fields of the form on show."""
    for name, value in values.items():
        field = app.screen.query_one(f"#field-{name}", Input)
        field.focus()
        field.value = value
        await pilot.pause()


async def type_in(pilot: Pilot[None], words: str) -> None:
    await pilot.press(*(_KEYS.get(each, each) for each in words))


_KEYS = {" ": "space", "/": "slash"}


def link(app: DrivenConsole) -> LinkState:
    return app.shared.store.link.state(app.shared.clock())


async def rules(app: Any, pilot: Any, name: str) -> None:
    """The rule on its screen, the only one on show."""
    await pilot.press("6", "e")
    await on(app, RulesScreen)
    await eventually(lambda: table(app).row_count > 5, app, "the rules")
    await pilot.press("slash", *f"rule={name}", "enter")
    await eventually(lambda: [each.rstrip("*") for each in first_column(app)] == [name], app, name)
