"""What a large cluster costs the console: processor time at rest, and the time from a key to the screen that shows it.

A feed of as many nodes and shards as asked comes in over the client's own subscription, as the bytes that a node would
send: all figures of nodes and operations, and those of a share of the shards, change with each event. The console runs
whole and draws for a terminal (whose bytes are counted and thrown away). On each main screen it first rests, with
one event a second, then keys come at times that are not tied to the events. Only the bytes are made ahead.

What counts is the time to the bytes that show what a key leads to: the screen with the figures of now, the dialog with
its windows, the row that is chosen. A key that changes nothing, as at the end of a table, has no such bytes: it is
waited for and left out.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import cProfile
import os
import pstats
import random
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tui.app  # before Textual, as a console is started: it says how often Textual draws

# isort: split
from _data import add_common_arguments, finish, percentile, say
from _large_feed import REPLICAS, ROUNDS, Cluster
from textual import events
from textual.drivers.headless_driver import HeadlessDriver
from textual.widgets import Input
from textual.widgets._toast import Toast

from tui.app import ConsoleApp
from tui.precedence import Precedence
from tui.screens.base import ConsoleScreen, TableScreen
from tui.widgets.resource_table import ResourceTable
from vectron_p2p.client.session import Session
from vectron_p2p.client.steps import Call, Flow, Sleep
from vectron_p2p.client.watching import Watch
from vectron_p2p.model.ids import parse_address
from vectron_p2p.model.statistics import History
from vectron_p2p.protocol import registry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from vectron_p2p.model.watching import WatchEvent

MAX_REPAINT_MS = 50.0  # p95
MAX_CORE_PERCENT = 25.0
INTERVAL_S = 1.0
PART_S = 0.002  # what a node takes to make a part, once it is asked for it, and to send it
NOTHING_S = 1.0  # a key that has changed nothing by then changes nothing
SEED = "10.0.0.1:7700"
SCREENS = ("overview", "nodes", "shards", "collections", "traffic", "alerts")
EVERYWHERE = ("colon", "escape", "question_mark", "escape", "1", "2", "3", "4", "5", "6")
IN_TABLES = (
    "j", "j", "pagedown", "pagedown", "pageup", "k", "G", "g", "greater_than_sign", "i", "i", "less_than_sign", "c",
    "slash", "1", "2", "escape",
)  # fmt: skip


class Source:
    """One connection: the client's subscription, answered with the bytes of `replies`, the parts of each event."""

    def __init__(self, replies: list[list[bytes]], precedence: Precedence) -> None:
        self._replies = replies
        self._precedence = precedence
        self.events = 0
        self.decoding_s = 0.0
        """Time of the client, within that of all: nothing else runs meanwhile."""
        self.longest_s = 0.0
        """Of one part."""

    @contextlib.asynccontextmanager
    async def open(self, address: str) -> AsyncIterator[Source]:
        yield self

    async def watch(self, *topics: str, interval: float = INTERVAL_S) -> AsyncIterator[WatchEvent]:
        rng = random.Random(1)
        session = Session(
            [parse_address(SEED, field="address")],
            timeout=10.0,
            now=time.monotonic,
            rng=rng,
            operation_id=lambda: str(rng.random()),
        )
        subscription = Watch(session, topics, interval)
        due, told = time.monotonic(), 0
        while True:
            flow = self._precedence.behind(subscription.next())  # as the console's client does
            event = await self._answered(flow, self._replies[0 if not told else 1 + told % ROUNDS])
            self.events += 1
            told += 1
            yield event
            due = max(due + interval, time.monotonic())
            await asyncio.sleep(due - time.monotonic())

    async def history(self, figures: Any = None, *, seconds: float = 600.0, node: str | None = None) -> History:
        return History("", 1, 0.0)

    async def _answered(self, flow: Flow[WatchEvent], replies: list[bytes]) -> WatchEvent:
        """Each part is an answer of its own, as it is over a connection: others have their turn in between."""
        step = next(flow)
        for reply in replies:
            while isinstance(step, Sleep):
                await asyncio.sleep(step.seconds)
                step = next(flow)
            assert isinstance(step, Call), step
            await asyncio.sleep(PART_S)
            began = time.perf_counter()
            try:
                step = flow.send(registry.decode(reply))
            except StopIteration as done:
                event: WatchEvent = done.value
                return event
            finally:
                took = time.perf_counter() - began
                self.decoding_s += took
                self.longest_s = max(self.longest_s, took)
        raise AssertionError("the subscription asks for more than the event has")


class Terminal(HeadlessDriver):
    """Takes what is drawn, and says so."""

    written = 0

    @property
    def is_headless(self) -> bool:
        return False

    def write(self, data: str) -> None:
        Terminal.written += len(data)


class MeasuredConsole(ConsoleApp):
    """Notes when a key came, and when what it led to was drawn."""

    CSS_PATH = str(Path(tui.app.__file__).parent / "styles/app.tcss")  # else sought beside this file

    def __init__(self, source: Source, precedence: Precedence) -> None:
        super().__init__([SEED], source.open, precedence=precedence)  # type: ignore[arg-type]
        self.repaints: dict[str, list[tuple[float, str, float]]] = {}
        self._held: tuple[Any, ...] | None = None
        """What the screen showed when a key came that is not answered yet."""
        self._answered = asyncio.Event()
        self._shown_at = (0.0, 0.0)
        self._toasts_seen: set[str] = set()

    def _display(self, screen: Any, renderable: Any) -> None:
        super()._display(screen, renderable)
        # Textual comes here too when it has found nothing to draw.
        if renderable is not None and self._held is not None and self.state() != self._held and self.shows():
            self._held = None
            self._shown_at = time.perf_counter(), time.process_time()
            self._answered.set()

    async def press(self, key: str, at: str) -> None:
        """Sends a key as a terminal does, and waits until what it leads to is drawn."""
        assert self._driver is not None
        self._held = self.state()
        self._answered.clear()
        began, used = time.perf_counter(), time.process_time()
        self._driver.process_message(events.Key(key, _character(key)))
        try:
            await asyncio.wait_for(self._answered.wait(), NOTHING_S)
        except TimeoutError:
            self._held = None
        else:
            took, used_s = self._shown_at[0] - began, self._shown_at[1] - used
            self.repaints.setdefault(at, []).append((took, key, used_s))

    def state(self) -> tuple[Any, ...]:
        """What keys change. Toasts that go by themselves are no answer to a key."""
        screen = self.screen
        table = next(iter(screen.query(ResourceTable)), None) if isinstance(screen, TableScreen) else None
        self._toasts_seen |= {toast.id or "" for toast in screen.query(Toast) if toast.size}
        return (
            screen,
            self.focused,
            screen.sort if isinstance(screen, TableScreen) else None,
            screen.filter if isinstance(screen, TableScreen) else None,
            table.cursor_key if table is not None else None,
            len(self._toasts_seen),
        )

    def shows(self) -> bool:
        """Whether the topmost screen is all there: its windows laid out, its figures as of now."""
        screen = self.screen
        if isinstance(screen, ConsoleScreen):
            return screen.painted and (not isinstance(self.focused, Input) or bool(self.focused.size))
        return all(window.size for window in screen.query("VerticalScroll, Input, ResourceTable"))


def _character(key: str) -> str | None:
    named = {
        "colon": ":", "question_mark": "?", "greater_than_sign": ">", "less_than_sign": "<", "slash": "/",
    }  # fmt: skip
    return named.get(key) or (key if len(key) == 1 else None)


async def until(holds: Any) -> None:
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110  # a state of the app, which has no event
            await asyncio.sleep(0.02)


def tell(text: str) -> None:
    """Past the console, which takes what is printed."""
    print(text, file=sys.__stderr__, flush=True)


def processor_s() -> float:
    times = os.times()
    return times.user + times.system


async def measure(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    say("making the feed")
    cluster = Cluster(options.nodes, options.shards, options.collections, options.changing / 100)
    precedence = Precedence(time.monotonic)
    source = Source(cluster.events(), precedence)
    app = MeasuredConsole(source, precedence)
    app.driver_class = Terminal
    width, height = (int(part) for part in options.size.split("x"))
    running = asyncio.create_task(app.run_async(size=(width, height), mouse=False))
    await until(lambda: app.is_running and app.shared.store.status.value is not None)
    found: dict[str, dict[str, float]] = {}
    rng = random.Random(2)
    for number, mode in enumerate(SCREENS, 1):  # a screen that is shown for the first time is made, and stays
        await asyncio.sleep(0.3)
        await app.press(str(number), "first")
        await until(lambda: app.current_mode == mode and app.shows())  # noqa: B023  # ends in this round
    first = {f"{name}_ms": 1000 * took for took, name, _ in sorted(app.repaints.get("first", []))}
    tell("shown for the first time: " + "  ".join(f"{name} {each:.0f}" for name, each in first.items()))
    for number, mode in enumerate(SCREENS, 1):
        if options.screens and mode not in options.screens:
            continue
        await app.press("escape", "")  # the keys before may have ended with help or the palette open
        await app.press(str(number), "")
        await until(lambda: app.current_mode == mode and app.shows())  # noqa: B023  # ends in this round
        await asyncio.sleep(2 * INTERVAL_S)
        began, used, decoded, written = time.monotonic(), processor_s(), source.decoding_s, Terminal.written
        told = source.events
        with profiled(options.profile and mode):
            await asyncio.sleep(options.seconds)
        lasted = time.monotonic() - began
        found[mode] = {
            "core_percent": 100 * (processor_s() - used) / lasted,
            "client_percent": 100 * (source.decoding_s - decoded) / lasted,
            "events": source.events - told,
            "longest_part_ms": 1000 * source.longest_s,
            "kilobytes_per_s": (Terminal.written - written) / lasted / 1000,
        }
        keys = [*EVERYWHERE] if mode in ("overview", "alerts") else [*EVERYWHERE, *IN_TABLES]
        for at in range(options.keys):
            await asyncio.sleep(rng.uniform(0.05, 0.25))
            await app.press(keys[at % len(keys)], mode)
            if at % len(keys) == EVERYWHERE.index("6"):
                await app.press(str(number), mode)
        took = sorted(app.repaints[mode])
        found[mode] |= {
            "keys": len(took),
            "p50_ms": 1000 * percentile([each for each, *_ in took], 50),
            "p95_ms": 1000 * percentile([each for each, *_ in took], 95),
            "cpu_p95_ms": 1000 * percentile(sorted(each for *_, each in took), 95),
            "max_ms": 1000 * took[-1][0],
        }
        tell(f"{mode:12}" + "  ".join(f"{name} {value:.1f}" for name, value in found[mode].items()))
        tell(
            " " * 12
            + "slowest: "
            + ", ".join(f"{key} {1000 * each:.0f} ({1000 * cpu:.0f}) ms" for each, key, cpu in took[:-9:-1])
        )
    app.exit()
    await running
    return found


@contextlib.contextmanager
def profiled(wanted: object) -> Any:
    if not wanted:
        yield
        return
    profile = cProfile.Profile()
    with profile:
        yield
    pstats.Stats(profile, stream=sys.__stderr__).sort_stats("cumulative").print_stats(70)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--shards", type=int, default=5000)
    parser.add_argument("--collections", type=int, default=25)
    parser.add_argument("--changing", type=float, default=20.0, help="percent of the shards, with each event")
    parser.add_argument("--size", default="120x40", help="of the terminal: WIDTHxHEIGHT")
    parser.add_argument("--seconds", type=float, default=30.0, help="of rest on each screen")
    parser.add_argument("--keys", type=int, default=120, help="on each screen")
    parser.add_argument("--screens", nargs="*", choices=SCREENS, help="only these")
    parser.add_argument("--profile", action="store_true", help="print where the time at rest goes")
    add_common_arguments(parser)
    options = parser.parse_args()
    found = asyncio.run(measure(options))
    failures = [
        f"{mode}: {name} {figures[name]:.1f}, at most {most:g}"
        for mode, figures in found.items()
        for name, most in (("p95_ms", MAX_REPAINT_MS), ("core_percent", MAX_CORE_PERCENT))
        if figures[name] > most
    ]
    result: dict[str, Any] = {
        "feed": f"{options.nodes} nodes, {options.shards} x {REPLICAS} shards, {options.changing:g} % change a second",
        "terminal": options.size,
    }
    rounded = {mode: {name: round(value, 1) for name, value in figures.items()} for mode, figures in found.items()}
    return finish(options, {**result, **rounded}, failures)


if __name__ == "__main__":
    sys.exit(main())
