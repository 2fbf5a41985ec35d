"""The nemesis in short: three processes behind the proxy, five steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulations.nemesis.registers import Level
from simulations.nemesis.running import Plan, run
from simulations.nemesis.schedule import Fault, Kind, Step

pytestmark = pytest.mark.processes

REST = 1.5
SCRIPT = (
    Step((Fault(Kind.KILL, (1,)),), 3.0, REST),
    Step((Fault(Kind.CUT_OFF, (0,)), Fault(Kind.LOSSY, (), 0.3)), 4.0, REST),
    Step((Fault(Kind.PAUSE, (2,)),), 4.0, REST),
    Step((Fault(Kind.RESETS, (0,)), Fault(Kind.MUTE, (0,))), 3.0, REST),
    Step((Fault(Kind.KILL_ALL, (0, 1, 2)),), 0.5, REST),
)

# A node that clients reach and its peers do not knows nothing new, and at "one" it answers all the same.
CONTEST = (Step((Fault(Kind.KILL, (1,)),), 2.0, 0.5), Step((Fault(Kind.CUT_FROM_PEERS, (0,)),), 4.0, 0.5))


@pytest.mark.parametrize("level", ["linearizable", "one"])
def test_what_competing_clients_see_is_linearizable_and_would_not_be_at_one(tmp_path: Path, level: Level) -> None:
    plan = Plan(seed=2, nodes=3, clients=6, rate=120.0, shards=4, script=CONTEST, registers=level)
    result = run(plan, tmp_path / "report", print)
    assert result.convicted is (level == "one"), result.text()
    figures = result.options["registers"]
    assert figures["calls"] > 200
    assert figures["undecided"] * 4 <= figures["points"]


def test_nothing_is_lost_under_kills_pauses_and_cuts(tmp_path: Path) -> None:
    plan = Plan(seed=1, nodes=3, clients=4, rate=60.0, shards=4, script=SCRIPT)
    result = run(plan, tmp_path / "report", print)
    # Availability is not asserted: it takes a machine that has nothing else to do. Safety has no such excuse.
    assert not result.violations, result.text()
    assert not result.outcome.failures, result.text()
    assert not result.timeline.remarks, result.text()
    assert not result.complaints, result.text()
    assert len(result.timeline.faults) == len(SCRIPT)
    assert result.outcome.points_read > 0
    assert result.outcome.rows_compared > 0
    assert sum(not operation.code for operation in result.operations) > 0
    for name in ("report.json", "report.txt", "timeline.svg"):
        assert (tmp_path / "report" / name).stat().st_size > 0
