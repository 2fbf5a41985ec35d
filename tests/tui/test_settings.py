"""Settings of the nodes on the console."""

from __future__ import annotations

import pytest

from tests.tui.factories import FakeCluster, node, node_id, status
from tests.tui.helpers import FakeClock, console, settle, table, text, until
from tui.render import settings
from tui.render.text import Tone
from tui.screens.reader import AGAIN_S
from vectron_p2p.model.errors import Unavailable
from vectron_p2p.model.settings import FIXED, Setting


def of(number: int, name: str, value: object, origin: str = "default") -> Setting:
    return Setting(name, value, origin, "what it means", f"n{number}", node_id(number))


SETTINGS = [
    of(1, "durability", "fsync"),
    of(2, "durability", "interval", "config file (/etc/vectron.toml)"),
    of(1, "slow_ms", 250.0, "command line"),
    of(2, "slow_ms", 250.0, "command line"),
    of(1, "zone", "a"),
    of(2, "zone", "b"),
    of(1, "limits.call_timeout", 10.0, FIXED),
]


def test_what_differs_and_what_was_set_stands_out():
    rows = settings.table(SETTINGS, fixed=False).rows
    tones = [row.cells["value"].spans[0].tone for row in rows]
    assert tones == [Tone.WARN, Tone.WARN, Tone.ACCENT, Tone.ACCENT, Tone.NORMAL, Tone.NORMAL]
    assert len(settings.table(SETTINGS, fixed=True).rows) == 7


@pytest.mark.anyio
@pytest.mark.parametrize("size", [(80, 24), (160, 48)])
async def test_the_screen(size):
    fake = FakeCluster(figures=status(node(1), node(2), node(3)), settings=SETTINGS)
    async with console(fake, size=size) as (app, pilot):
        assert not any(change[0] == "settings" for change in fake.changes)
        await pilot.press("9")
        await until(lambda: table(app).row_count == 6)
        await settle(app, pilot)
        said = text(app)
        for part in (
            "Settings · 6 of 2 nodes · 1 node did not say",
            "durability",
            "interval",
            "ORIGIN",
            "command line",
        ):
            assert part in said
        await pilot.press("f")
        await settle(app, pilot)
        assert table(app).row_count == 7
        await pilot.press("0")
        await settle(app, pilot)
        assert app.current_mode == "sdk"


@pytest.mark.anyio
async def test_a_node_that_cannot_say_is_said():
    async with console(FakeCluster(refusing=OSError("no such thing"))) as (app, pilot):
        await pilot.press("9")
        await until(lambda: "no such thing" in text(app))


@pytest.mark.anyio
async def test_what_could_not_be_read_is_asked_for_again():
    clock = FakeClock()
    fake = FakeCluster(settings=SETTINGS, refusing=Unavailable("the node is busy"))
    async with console(fake, clock=clock) as (app, pilot):
        await pilot.press("9")
        await until(lambda: app.shared.store.settings.error)
        await settle(app, pilot)
        assert "the node is busy" in text(app)
        fake.refusing = None
        clock.now += AGAIN_S
        await until(lambda: table(app).row_count == 6)
        fake.refusing = Unavailable("the node is busy")
        await pilot.press("6", "e")
        await until(lambda: app.shared.store.rules.error)
        await settle(app, pilot)
        assert "the node is busy" in text(app)
        fake.refusing = None
        clock.now += AGAIN_S
        await until(lambda: app.shared.store.rules.value is not None)
        await settle(app, pilot)
        assert "node_down" in text(app)
