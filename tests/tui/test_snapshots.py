"""The main screens as they stand in `snapshots/`, to be read in reviews.

After a change that is meant: `UPDATE_SNAPSHOTS=1 pytest tests/tui/test_snapshots.py`, and look at what `git diff` says.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from tests.tui.factories import FakeCluster, node_id, payload_fields
from tests.tui.helpers import console, screen, settle, text, until
from vectron_p2p.model.alerts import Alert
from vectron_p2p.model.statistics import History, NetworkStatistics, OperationStatistics

pytestmark = pytest.mark.anyio

FOLDER = Path(__file__).parent / "snapshots"
UPDATE = "UPDATE_SNAPSHOTS"
SIZES = ((80, 24), (160, 48))
SCREENS = {
    "overview": "1",
    "nodes": "2",
    "shards": "3",
    "collections": "4",
    "traffic": "5",
    "alerts": "6",
    "collection": ("4", "enter"),
    "fields": "f",
}
"""Keys by the name of the file, pressed one after the other."""
SEARCH = OperationStatistics("search", "client", 60, 6000, 100.0, 12, 2.0, 1.5, 8.0, 120.0, 300.0, 60_000, 90_000)
UPSERT = OperationStatistics("upsert", "client", 60, 600, 10.0, 0, 9.0, 7.5, 18.0, 40.0, 60.0, 6_000_000, 9_000)
APPLY = OperationStatistics("apply_rows", "peer", 60, 1200, 20.0, 0, 1.0, 0.8, 2.0, 4.0, 9.0, 12_000_000, 4_000)


def cluster() -> FakeCluster:
    """With a past, requests and alerts."""
    waves: dict[str, list[float | None]] = {
        name: [mean * (1 + math.sin(second / 9) / 3) for second in range(240)]
        for name, mean in (("cpu_percent", 21.0), ("requests_per_s", 90.0), ("search_p99_ms", 95.0))
    }
    talk = NetworkStatistics(90_000.0, 150_000.0, 40_000.0, 40_000.0)
    steady: dict[str, list[float | None]] = {
        "rss_bytes": [1.0e9] * 240,
        "loop_lag_ms": [7.5] * 240,
        "points": [1.34e6] * 240,
    }
    return FakeCluster(
        fields={"docs": payload_fields()},
        past=History("", 1, 1000.0, {**waves, **steady}),
        operations={"": [SEARCH, UPSERT, APPLY], node_id(1): [SEARCH, UPSERT], node_id(2): [APPLY]},
        more={node_id(each): {"network": talk} for each in (1, 2)},
        alerts=[
            Alert("a1", "p99", node_id(1), "n1", "warning", "firing", 940.0, cause="1,200 ms", observers=[node_id(1)]),
            Alert("a2", "disk", node_id(2), "n2", "critical", "acknowledged", 400.0, cause="8 % free"),
        ],
    )


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_main_screens(size: tuple[int, int]) -> None:
    differ = []
    async with console(cluster(), size=size) as (app, pilot):
        for mode, keys in SCREENS.items():
            await pilot.press(*keys)
            await until(lambda: screen(app).composed)
            if mode in ("collection", "fields"):
                await until(lambda: app.shared.store.fields_of("id-docs").value is not None)
            for _ in range(2):  # once to lay out, once to draw into the room that this gave
                await settle(app, pilot)
            shown, file = text(app) + "\n", FOLDER / f"{mode}-{size[0]}x{size[1]}.txt"
            if os.environ.get(UPDATE):
                FOLDER.mkdir(exist_ok=True)
                file.write_text(shown, encoding="utf-8")
            elif shown != file.read_text(encoding="utf-8"):
                differ.append(f"{file.name} is now:\n{shown}")
    assert not differ, "\n".join([*differ, f"If that is meant, set {UPDATE}=1 once."])
