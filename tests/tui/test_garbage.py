"""Full collections wait for a pause of the person at the keys."""

from __future__ import annotations

import gc

import pytest

from tests.tui.factories import FakeCluster
from tests.tui.helpers import console, until
from tui.garbage import EVERY_S, QUIET_S, Garbage

pytestmark = pytest.mark.anyio


class Loop:
    """Garbage that only a collection frees."""

    def __init__(self) -> None:
        self.me = self


def test_full_collections_wait_for_a_pause():
    before = gc.get_threshold()
    garbage = Garbage(0.0)
    garbage.take_over()
    try:
        assert gc.get_threshold()[2] > 100_000  # by itself none comes
        now = EVERY_S + 1
        garbage.key(now)
        assert not garbage.tick(now + QUIET_S / 2)
        assert garbage.tick(now + QUIET_S)
        assert not garbage.tick(now + 2 * QUIET_S)  # not again so soon
        assert garbage.tick(now + QUIET_S + EVERY_S)
    finally:
        garbage.give_back()
    assert gc.get_threshold() == before


def test_none_comes_while_a_key_waits_for_its_answer():
    garbage = Garbage(0.0)
    garbage.take_over()
    try:
        garbage.key(1.0)
        garbage.key(1.0)
        assert not gc.isenabled()
        garbage.answered()
        assert not gc.isenabled()  # the second one may still wait
        garbage.answered()
        assert gc.isenabled()
        garbage.key(2.0)
    finally:
        garbage.give_back()
    assert gc.isenabled()  # whatever the console left


async def test_a_running_console_collects_again_once_a_key_was_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    async with console(FakeCluster()) as (app, pilot):
        collecting: list[bool] = []
        monkeypatch.setattr(app, "action_pause", lambda: collecting.append(gc.isenabled()))
        await pilot.press("p")
        assert collecting == [False]
        await until(gc.isenabled)


def test_what_refers_to_itself_is_freed():
    gc.collect()
    garbage = Garbage(0.0)
    Loop()
    assert garbage.tick(EVERY_S + QUIET_S)
    assert not [each for each in gc.get_objects() if type(each) is Loop]
