"""What a seed draws, and what any plan keeps to."""

from __future__ import annotations

import pytest

from vectron_p2p.testing.simulation.faults import FAULTS
from vectron_p2p.testing.simulation.plan import draw
from vectron_p2p.testing.simulation.scenarios import SCENARIOS

DESTROYING = {"bit-flip", "empty-disk", "old-disk"}


@pytest.mark.parametrize("scenario", sorted(SCENARIOS))
def test_plans_are_functions_of_their_seed_and_actions_end_in_time(scenario: str) -> None:
    for seed in range(40):
        plan = draw(seed, scenario, 30.0)
        assert plan == draw(seed, scenario, 30.0)
        assert all(action.at + action.lasts <= 30.0 for action in plan.actions)
        assert all(action.at >= 0 for action in plan.actions)
    assert draw(1, scenario, 30.0) != draw(2, scenario, 30.0)


def test_one_host_alone_loses_what_its_disk_holds() -> None:
    for seed in range(100):
        plan = draw(seed, "disk", 60.0)
        hosts = {host for action in plan.actions if action.kind in DESTROYING for host in action.hosts}
        assert hosts <= {plan.shape.victim}


def test_a_part_of_a_plan_is_that_plan_with_fewer_actions() -> None:
    plan = next(plan for seed in range(100) if len((plan := draw(seed, "mixed", 60.0)).actions) > 3)
    part = plan.keep([2, 0])
    assert part.actions == plan.actions
    assert part.chosen == [(0, plan.actions[0]), (2, plan.actions[2])]
    assert plan.keep(None).chosen == list(enumerate(plan.actions))
    assert plan.keep([]).chosen == []


def test_stored_seeds_go_on_standing_for_the_same_runs() -> None:
    """A new narrow fault is a group of its own: what scenarios draw depends on the size of their groups."""
    assert sum(fault.group == "narrow" for fault in FAULTS.values()) == 10
