"""The free-space floor."""

from __future__ import annotations

import random

import pytest

from vectron_p2p.model.errors import ReadOnly
from vectron_p2p.storage.space import FLOOR_BYTES, SpaceFloor
from vectron_p2p.testing.disk import SimDisk


def test_read_only_below_the_floor_and_back_by_itself() -> None:
    disk = SimDisk(random.Random(0), total_bytes=1 << 30)
    floor = SpaceFloor(disk)
    assert not floor.read_only
    floor.check(0.0)
    disk.set_free(FLOOR_BYTES - 1)
    floor.check(0.5)  # looks once a second
    with pytest.raises(ReadOnly, match="free some space") as caught:
        floor.check(1.0)
    assert caught.value.retryable
    assert floor.read_only
    disk.set_free(FLOOR_BYTES)
    with pytest.raises(ReadOnly):
        floor.check(1.5)
    floor.check(2.0)
    assert not floor.read_only


def test_on_a_large_disk_the_floor_is_a_share() -> None:
    disk = SimDisk(random.Random(0), total_bytes=100 << 30)
    disk.set_free((2 << 30) - 1)
    with pytest.raises(ReadOnly):
        SpaceFloor(disk).check(0.0)
    disk.set_free(2 << 30)
    SpaceFloor(disk).check(0.0)
