"""The measurement of membership alone, small: what it finds at these sizes holds for every seed."""

from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as ET

import pytest

from simulations.swim.loop import Loop
from simulations.swim.measure import Failed, Result, measure_alarms, measure_size
from simulations.swim.picture import draw
from simulations.swim.report import document, failures, known_limit, table
from vectron_p2p.membership import SwimConfig
from vectron_p2p.model.nodes import Liveness


@pytest.mark.parametrize("nodes", [3, 10, 60])
def test_deaths_are_known_in_time_and_nobody_else_is_accused(nodes: int) -> None:
    size = measure_size(nodes, kills=6, seed=nodes)
    assert failures(Result([size])) == []
    for death in size.deaths:
        assert 0 < death.suspected < death.dead <= death.known < known_limit(nodes, machine=death.machine)
    crashes = [death.known for death in size.deaths if not death.machine]
    assert max(crashes) < min(death.known for death in size.deaths if death.machine), "a refused connection tells more"
    assert size.rest.messages == pytest.approx(2.0, abs=0.2), "a ping and an ack"


def test_a_tenth_of_packets_lost_kills_nobody() -> None:
    alarms = measure_alarms(20, 0.1, seconds=120.0, seed=1)
    assert alarms.dead == 0
    assert alarms.load.messages > 2.0, "help was asked for"


def test_a_start_of_all_costs_each_member_little() -> None:
    loop = Loop(150, 1)
    loop.start(loop.peers)
    loop.run(3.0)
    # All greeted by all were 300 each, and each told all others all that it had heard.
    assert max(peer.messages for peer in loop.peers) < 120
    views = [view for peer in loop.peers if peer.swim is not None for view in peer.swim.members()]
    assert {view.liveness for view in views} == {Liveness.ALIVE}
    heard = sum(view.incarnation.boot == 1 for view in views) / len(views)
    assert heard > 0.5


def test_one_that_starts_among_many_tells_nobody_what_they_told_it() -> None:
    loop = Loop(150, 2)
    loop.start(loop.peers)
    loop.run(20.0)
    (one, *_) = loop.peers
    loop.kill(one, machine=False)
    loop.start([one])
    loop.run(2.0)
    assert one.swim is not None
    assert sum(view.incarnation.boot > 0 for view in one.swim.members()) > 100, "it was told"
    before = one.messages
    loop.run(6.0)
    assert one.messages - before < 40
    assert not loop.wronged[Liveness.DEAD]


def test_equal_seeds_give_equal_runs() -> None:
    sizes = [dataclasses.replace(measure_size(7, kills=2, seed=3), cpu_s=0.0) for _ in range(2)]
    assert sizes[0] == sizes[1]
    assert sizes[0] != dataclasses.replace(measure_size(7, kills=2, seed=4), cpu_s=0.0)


def test_what_is_too_slow_is_said() -> None:
    patient = dataclasses.replace(SwimConfig.lan(), suspicion_mult=12)
    result = Result([measure_size(5, kills=2, seed=1, config=patient)])
    failure = failures(result)[-1]
    assert failure.startswith("5 members: a crash was known to all after 1")


def test_deaths_that_nobody_finds_end_the_run() -> None:
    with pytest.raises(Failed, match="2 of 2 members"):
        measure_size(3, kills=1, seed=1, config=dataclasses.replace(SwimConfig.lan(), suspicion_mult=1000))


def test_report_and_picture() -> None:
    result = Result([measure_size(3, kills=2, seed=1), measure_size(5, kills=2, seed=1)])
    result.alarms = [measure_alarms(5, loss, seconds=60.0, seed=1) for loss in (0.1, 0.3)]
    text = table(result)
    assert "1 power" in text
    assert "30 %" in text
    assert document(result, {})["sizes"][0]["nodes"] == 3
    root = ET.fromstring(draw(result))
    assert root.tag.endswith("svg")
    assert "5 members" in "".join(root.itertext())
