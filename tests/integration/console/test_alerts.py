"""Alerts and their rules."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.console.driving import (
    eventually,
    fill,
    live_console,
    on,
    rules,
    sees,
)
from tests.tui.helpers import table
from tui.dialogs.form import FormDialog
from tui.screens.alerts import RulesScreen
from vectron_p2p import AsyncClient
from vectron_p2p.model.alerts import Alert
from vectron_p2p.testing import ProcessCluster

pytestmark = [pytest.mark.processes, pytest.mark.anyio]


async def test_alerts_and_rules(cluster: ProcessCluster, other: AsyncClient) -> None:
    async with live_console(cluster[0].address, size=(120, 36)) as (app, pilot):
        await pilot.press("6")
        await sees(app, "Nothing is wrong.", "Services", "round trip ≤", "p99")
        await rules(app, pilot, "memory")
        await pilot.press("e")
        await on(app, FormDialog)
        await fill(app, pilot, threshold="101")
        await pilot.press("ctrl+s")
        await sees(app, "threshold lies in 0..100")
        await fill(app, pilot, threshold="0", for_s="0s", severity="critical")
        await pilot.press("ctrl+s")

        async def rule() -> Any:
            return next(each for each in (await other.alerts()).rules if each.name == "memory")

        async def set_so() -> bool:
            found = await rule()
            return (found.threshold, found.for_s, found.severity) == (0.0, 0.0, "critical")

        await eventually(set_so, app, "the rule at another node")
        await sees(app, "memory*", "> 0 % used", "at once")

        async def active() -> list[Alert]:
            return [each for each in (await other.alerts()).active if each.rule == "memory"]

        async def all_three() -> bool:
            return len(await active()) == 3

        await eventually(all_three, app, "an alert about each node at another node")
        await pilot.press("escape", "escape")  # the filter, then the rules
        await eventually(lambda: not isinstance(app.screen, RulesScreen), app, "the alerts")
        await eventually(lambda: table(app).row_count == 3, app, "three alerts")
        await sees(app, "3 firing", "memory", "n0", "n1", "n2")

        async def states() -> dict[str, str]:
            return {each.name: each.state for each in await active()}

        await pilot.press("slash", *"about=n1", "enter")
        await eventually(lambda: table(app).row_count == 1, app, "one alert")
        await pilot.press("a")

        async def acknowledged() -> bool:
            return (await states())["n1"] == "acknowledged"

        await eventually(acknowledged, app, "the acknowledgement at another node")
        await sees(app, "1 acknowledged")
        await pilot.press("s")
        await on(app, FormDialog)
        await fill(app, pilot, target="memory", for_s="10m")
        await pilot.press("enter")

        async def silenced() -> bool:
            return [each.target for each in (await other.alerts()).silences] == ["memory"]

        await eventually(silenced, app, "the silence at another node")
        await pilot.press("x")

        async def resolved() -> bool:
            return "n1" not in await states()

        await eventually(resolved, app, "the resolution at another node")
        await sees(app, "1 resolved")
        await pilot.press("escape", "h")
        await eventually(lambda: table(app).row_count == 3, app, "the past")

        await rules(app, pilot, "memory")
        await sees(app, "silenced", "memory for")
        await pilot.press("o")

        async def off() -> bool:
            return not (await rule()).enabled

        await eventually(off, app, "the rule off at another node")
        await sees(app, "off")

        async def none() -> bool:
            return await active() == []

        await eventually(none, app, "no alert of a rule that is off")
        await pilot.press("o")

        async def again() -> bool:
            return bool((await rule()).enabled)

        await eventually(again, app, "the rule on again at another node")
        await other.set_alert_rule("memory", enabled=True, threshold=90.0, for_s=60.0, severity="warning")
        await other.silence_alerts("memory", 0)
        await eventually(none, app, "nothing to be wrong")
