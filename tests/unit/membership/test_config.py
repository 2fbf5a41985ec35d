from __future__ import annotations

import dataclasses
import math

import pytest

from vectron_p2p.membership import SwimConfig
from vectron_p2p.model.errors import InvalidArgument


@pytest.mark.parametrize("preset", [SwimConfig.lan, SwimConfig.local, SwimConfig.sim])
def test_presets_are_valid(preset):
    config = preset()
    assert config.probe_timeout < config.probe_interval
    assert config.dead_probe_interval <= 10  # what bounds the time to heal


def test_lan_has_the_numbers_of_memberlist():
    lan = SwimConfig.lan()
    assert (lan.probe_interval, lan.probe_timeout, lan.indirect_probes) == (1.0, 0.5, 3)
    assert (lan.suspicion_mult, lan.suspicion_max_mult, lan.awareness_max) == (4, 6, 8)
    assert (lan.gossip_interval, lan.gossip_nodes, lan.retransmit_mult, lan.push_pull_interval) == (0.2, 3, 4, 30.0)


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(SwimConfig)])
@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, "1", None])
def test_a_bad_number_is_refused_and_named(field, value):
    with pytest.raises(InvalidArgument) as caught:
        SwimConfig(**{field: value})
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"probe_timeout": 1.0}, "probe_timeout"),
        ({"nack_fraction": 1.0}, "nack_fraction"),
        ({"suspicion_mult": 1}, "suspicion_mult"),
    ],
)
def test_numbers_that_contradict_each_other_are_refused(fields, named):
    with pytest.raises(InvalidArgument) as caught:
        SwimConfig(**fields)
    assert caught.value.field == named
