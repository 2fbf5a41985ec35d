"""Full collections wait for a pause of the person at the keys."""

from __future__ import annotations

import gc

from tui.garbage import EVERY_S, QUIET_S, Garbage


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


def test_what_refers_to_itself_is_freed():
    gc.collect()
    garbage = Garbage(0.0)
    Loop()
    assert garbage.tick(EVERY_S + QUIET_S)
    assert not [each for each in gc.get_objects() if type(each) is Loop]
