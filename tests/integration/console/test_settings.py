"""Settings with their origins; code to copy."""

from __future__ import annotations

import pytest

from tests.integration.console.driving import (
    eventually,
    live_console,
    sees,
)
from tests.tui.helpers import table
from vectron_p2p.testing import ProcessCluster

pytestmark = [pytest.mark.processes, pytest.mark.anyio]


async def test_settings_and_snippets(cluster: ProcessCluster) -> None:
    async with live_console(cluster[0].address) as (app, pilot):
        await pilot.press("9")
        await sees(app, "of 3 nodes")
        before = table(app).row_count
        await pilot.press("f")
        await eventually(lambda: table(app).row_count > before, app, "the limits too")
        await pilot.press("slash", *"name=listen", "enter")
        await eventually(lambda: table(app).row_count == 3, app, "one setting of each node")
        await sees(app, "n0", "n1", "n2", "127.0.0.1:0")
        await pilot.press("0")
        await sees(app, "connect(", cluster[0].address)
        await pilot.press("c")
        assert cluster[0].address in app.clipboard
