#!/usr/bin/env python
"""Pictures of the console's main screens (SVG), from a real cluster under load.

Three nodes hold a data set; threads search, read and write it meanwhile. The console runs whole, without a terminal,
and is driven by keys.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from _data import Data, add_data_arguments, load_collection, load_data, say

from tui.app import ConsoleApp
from tui.source import client_opener
from tui.store import LinkState
from vectron_p2p import connect
from vectron_p2p.model.errors import VectronError
from vectron_p2p.testing import ProcessCluster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

COLLECTION = "words"
PATIENCE = 60.0  # seconds for the console to connect, or to show what a key asks for
EVENT = 1.5  # seconds: one more event of the subscription, so that nothing is half drawn
SEARCHERS = 3  # threads: enough for figures on every screen, and the machine stays answerable

SCREENS = {
    "overview": (("1",), "epoch"),
    "nodes": (("2",), "n2"),
    "shards": (("3",), COLLECTION),
    "collections": (("4",), COLLECTION),
    "collection": (("4", "enter"), "keyword"),
    "traffic": (("5",), "search"),
    "logs": (("8",), "member_changed"),
    "sdk": (("0",), "connect"),
}
"""By the name of the picture: the keys from any screen, and what stands there once it has data."""
ALERT = ("escape", "6"), "node_down"  # after a node was killed


@contextlib.contextmanager
def load(address: str, data: Data) -> Iterator[None]:
    """Searches, reads and writes for the length of the block."""
    over = threading.Event()

    def work(number: int) -> None:
        rng = np.random.default_rng(number)
        with connect(address, timeout=5.0) as db:
            docs = db.collection(COLLECTION)
            while not over.is_set():
                with contextlib.suppress(VectronError):
                    docs.search(data.queries[rng.integers(len(data.queries))], k=10)
                    row = int(rng.integers(len(data.ids)))
                    if number == 0:
                        docs.upsert([{"id": data.ids[row], "vector": data.vectors[row], "payload": data.payloads[row]}])
                    else:
                        docs.get([data.ids[row]])
                over.wait(0.01)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(SEARCHERS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


async def until(holds: Callable[[], bool], what: str) -> None:
    try:
        async with asyncio.timeout(PATIENCE):
            while not holds():  # noqa: ASYNC110  (what is awaited lies in other processes)
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise SystemExit(f"waited {PATIENCE:g} s in vain for {what}") from None


async def photograph(cluster: ProcessCluster, size: tuple[int, int], warm: float, near: str, out: Path) -> None:
    app = ConsoleApp([cluster[0].address], client_opener(10.0))

    def picture() -> str:
        return app.export_screenshot(title="vectron console")

    async def take(name: str, keys: Sequence[str], mark: str) -> None:
        await pilot.press(*keys)
        await until(lambda: mark in picture(), f"{mark!r} on {name}")
        await asyncio.sleep(EVENT)
        path = out / f"{name}.svg"
        path.write_text(picture(), encoding="utf-8")
        say(f"{path}  {path.stat().st_size // 1024} KiB")

    async with app.run_test(size=size) as pilot:
        link = app.shared.store.link
        await until(lambda: link.state(app.shared.clock()) is LinkState.LIVE, "the first figures")
        await asyncio.sleep(warm)
        for name, (keys, mark) in SCREENS.items():
            await take(name, keys, mark)
        await take("points", ("7", "slash", *near, "enter"), "SCORE")
        cluster.kill(2)
        await take("alerts", *ALERT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_data_arguments(parser)
    parser.add_argument("--out", type=Path, default=Path("docs/console"), help="folder; default: docs/console")
    parser.add_argument("--size", default="120x34", help="of the terminal: WIDTHxHEIGHT; default: 120x34")
    parser.add_argument(
        "--warm", type=float, default=45.0, help="seconds of load before the first picture; default: 45"
    )
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    data = load_data(options)
    options.out.mkdir(parents=True, exist_ok=True)
    with ProcessCluster(3) as cluster:
        cluster.start()
        with connect(cluster.connect, timeout=60.0) as db:
            points = db.create_collection(COLLECTION, dimension=data.dimension, metric="cosine", shards=4, replicas=3)
            load_collection(points, data)
        with load(cluster.connect, data):
            asyncio.run(photograph(cluster, (width, height), options.warm, str(data.ids[100]), options.out))


if __name__ == "__main__":
    main()
