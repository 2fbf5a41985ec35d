"""Traffic: views and windows."""

from __future__ import annotations

import pytest

from tests.integration.console.driving import (
    WORDS,
    live_console,
    on,
    sees,
)
from tui.screens.logs import LogsScreen
from vectron_p2p import AsyncClient
from vectron_p2p.testing import ProcessCluster

pytestmark = [pytest.mark.processes, pytest.mark.anyio]


async def test_traffic_views_and_windows(cluster: ProcessCluster, other: AsyncClient) -> None:
    await other.collection(WORDS).search(id=1)
    async with live_console(cluster[0].address, size=(120, 36)) as (app, pilot):
        await pilot.press("5")
        await sees(app, "Operations · last", "search", "client")
        for window in ("5 m", "1 h", "1 m"):
            await pilot.press("u")
            await sees(app, f"Operations · last {window}")
        await pilot.press("v")
        await sees(app, "Operations by node", "n2")
        await pilot.press("v")
        await sees(app, "Between nodes", "n0", "n1")
        await pilot.press("v")
        await sees(app, "Connections", "127.0.0.1")
        await sees(app, "no rate limit", "at once", "cache hits", "breakers closed")
        await pilot.press("s")
        await on(app, LogsScreen)
        await sees(app, "Traffic › slow requests", "slow_request", "search")
        await pilot.press("escape")
        await sees(app, "Connections", "127.0.0.1")
