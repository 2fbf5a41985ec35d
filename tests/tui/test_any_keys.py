"""Whatever keys are pressed, in whatever order and however the cluster does meanwhile, the console goes on."""

from __future__ import annotations

import dataclasses
from random import Random

import pytest

from tests.tui.factories import FakeCluster, node, payload_fields, silent, status
from tests.tui.helpers import FakeClock, console, text
from tui.bindings import GROUPS
from vectron_p2p.model.errors import Unavailable
from vectron_p2p.model.points import Point

pytestmark = pytest.mark.anyio

PRESSES = 150
LEAVING = {"q", "ctrl+c", "ctrl+q"}
KEYS = sorted({key for group in GROUPS for each in group for key in each.key.split(",")} - LEAVING | {"tab"})


@pytest.mark.parametrize("seed", range(2))
async def test_no_keys_end_it(seed: int, monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)  # an export may be among them
    random, clock = Random(seed), FakeClock()
    fake = FakeCluster(fields={"docs": payload_fields()})
    fake.points["docs"] = {at: Point(at, None, {"at": at}, f"v{at}") for at in range(5)}
    pressed: list[str] = []
    async with console(fake, size=random.choice([(80, 24), (160, 48)]), clock=clock) as (app, pilot):
        for _ in range(PRESSES):
            pressed.append(random.choice(KEYS))
            await pilot.press(pressed[-1])
            clock.now += random.choice([0.0, 0.2, 1.0, 6.0])
            if random.random() < 0.1:
                fake.refusing = random.choice([None, Unavailable("no node answers")])
                fake.counting = fake.failing = random.choice([None, Unavailable("no owner answers")])
                fake.figures = random.choice([status(), status(node(1), silent(2)), status(node(3, state="draining"))])
                fake.infos = random.choice([fake.infos, [], [dataclasses.replace(each) for each in fake.infos]])
                app.connection.wake()
            assert app.is_running, pressed
            assert app._exception is None, pressed
        assert "Traceback" not in text(app)
