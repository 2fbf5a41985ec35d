"""Alerts: what is wrong, what can be done about it, the rules."""

from __future__ import annotations

import pytest
from textual.widgets import Input

from tests.tui.factories import FakeCluster, node_id
from tests.tui.helpers import console, first_column, settle, table, text, until
from tui.dialogs.form import FormDialog
from tui.render import alerts
from tui.render.text import plain
from tui.screens.alerts import RulesScreen, check_duration
from vectron_p2p.model.alerts import Alert, AlertRoute, Silence
from vectron_p2p.model.errors import InvalidArgument

NOW = 1000.0  # of the answering node, as the fake says
DOWN = Alert(
    "a1", "node_down", node_id(3), "n3", "critical", "firing", 940.0, cause="n3 does not answer", observers=[node_id(1)]
)
DISK = Alert("a2", "disk", node_id(2), "n2", "warning", "acknowledged", 400.0, cause="8 % free", silenced_until=1600.0)
OVER = Alert("a3", "loop_lag", node_id(1), "n1", "warning", "resolved", 100.0, ended=160.0, cause="300 ms")


def test_the_gravest_first_and_those_that_are_over_last():
    rows = alerts.table([OVER, DISK, DOWN], NOW, history=True).rows
    ordered = sorted(rows, key=lambda row: row.cells["severity"].sort)
    assert [row.key for row in ordered] == ["a1", "a2", "a3"]
    assert [row.cells["lasted"].text for row in ordered] == ["1m 00s", "10m 00s", "1m 00s"]
    assert ordered[1].cells["silenced"].text == "10m 00s"
    assert [row.key for row in alerts.table([OVER, DISK, DOWN], NOW, history=False).rows] == ["a2", "a1"]
    assert plain(alerts.counts([OVER, DISK, DOWN])).split() == ["1", "firing", "1", "acknowledged", "1", "resolved"]
    assert [plain(each) for each in alerts.worst([DISK, DOWN], 1)] == [
        "✕ node_down n3 n3 does not answer",
        "… 1 more alert",
    ]


@pytest.mark.parametrize(("typed", "seconds"), [("90s", 90.0), ("10m", 600.0), ("8h", 28_800.0), ("1d", 86_400.0)])
def test_durations(typed, seconds):
    assert check_duration(typed) == seconds


@pytest.mark.parametrize("typed", ["", "10", "m", "-1s", "1y", "nan s", "400d"])
def test_what_is_no_duration(typed):
    with pytest.raises(InvalidArgument):
        check_duration(typed)


@pytest.mark.anyio
class TestScreen:
    @pytest.mark.parametrize("size", [(80, 24), (160, 48)])
    async def test_what_is_wrong(self, size):
        fake = FakeCluster(alerts=[OVER, DISK, DOWN])
        async with console(fake, size=size) as (app, pilot):
            await pilot.press("6")
            await settle(app, pilot)
            said = text(app)
            for part in ("1 firing", "1 acknowledged", "node_down", "n3", "✕ critical"):
                assert part in said
            assert first_column(app) == ["✕ critical", "◐ warning"]
            await pilot.press("h")
            await settle(app, pilot)
            assert table(app).row_count == 3
            await pilot.press("1")
            await settle(app, pilot)
            assert "node_down n3" in text(app)

    async def test_nothing_is_wrong(self):
        async with console(FakeCluster()) as (app, pilot):
            await pilot.press("6")
            await settle(app, pilot)
            assert "Nothing is wrong." in text(app)

    async def test_acknowledge_resolve_and_silence(self):
        fake = FakeCluster(alerts=[DISK, DOWN])
        async with console(fake) as (app, pilot):
            await pilot.press("6", "a")
            await until(lambda: ("acknowledge", "a1") in fake.changes)
            await pilot.press("x")
            await until(lambda: ("resolve", "a1") in fake.changes)
            await pilot.press("s")
            await settle(app, pilot)
            assert isinstance(app.screen, FormDialog)
            await pilot.press("enter")
            await until(lambda: ("silence", node_id(3), 3600.0) in fake.changes)

    async def test_rules(self):
        fake = FakeCluster(
            silences=[Silence("disk", 1600.0)], routes=[AlertRoute("pager", "https://pager.example/hook", "critical")]
        )
        async with console(fake, size=(160, 48)) as (app, pilot):
            await pilot.press("6", "e")
            await until(lambda: isinstance(app.screen, RulesScreen) and table(app).row_count == len(fake.rules))
            said = text(app)
            for part in (
                "node_down",
                "> 250 ms",
                "disk for 10m 00s",
                "pager https://pager.example/hook",
            ):
                assert part in said
            await pilot.press("slash", *"name=p99", "enter", "e")
            await settle(app, pilot)
            app.screen.query_one("#field-threshold", Input).value = "200"
            await pilot.press("ctrl+s")
            await until(lambda: fake.rules["p99"].threshold == 200.0)
            await settle(app, pilot)
            assert "p99*" in text(app)
            await pilot.press("o")
            await until(lambda: not fake.rules["p99"].enabled)

    async def test_a_threshold_out_of_bounds_is_not_sent(self):
        fake = FakeCluster()
        async with console(fake) as (app, pilot):
            await pilot.press("6", "e")
            await until(lambda: isinstance(app.screen, RulesScreen) and table(app).row_count == len(fake.rules))
            await pilot.press("slash", *"name=p99", "enter", "e")
            await settle(app, pilot)
            app.screen.query_one("#field-threshold", Input).value = "0"
            await pilot.press("ctrl+s")
            await settle(app, pilot)
            assert "threshold lies in" in text(app)
            assert fake.changes == []
