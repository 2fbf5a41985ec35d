"""The proof that the checkers bite, in short: a few mutants by seeds that are known to catch them.

All of them by any seed: `python -m simulations.mutation`.
"""

from __future__ import annotations

import pytest

from simulations.mutation import Hunt, hunt, line, table
from vectron_p2p.testing.mutants import MUTANTS

SEEDS = 12  # a change of the code shifts what each seed does: these are caught by about every second one


@pytest.mark.parametrize(
    ("name", "invariants"),
    [
        ("catalog_minority", {"P1", "S1"}),
        ("accepts_below_promise", {"P1", "S1"}),
        ("rollback_unseen", {"L1"}),
        ("half_is_a_quorum", {"D1", "D2", "D3"}),
    ],
)
def test_a_rule_left_out_is_found_out(name: str, invariants: set[str]) -> None:
    found = hunt(name, SEEDS)
    assert found.seed is not None
    assert invariants & set(found.invariants)
    assert found.tried <= SEEDS
    assert f"seed {found.seed}: " in line(found)


def test_a_mutant_that_nobody_catches_is_named() -> None:
    mutant = MUTANTS["catalog_minority"]
    lost = Hunt(mutant.name, mutant.rule, mutant.leaves_out, mutant.scenario, None, (), "", 200, (7,), 1.0)
    assert "SURVIVED" in line(lost)
    assert "(broken without it: (7,))" in line(lost)
    assert "0 of 1 mutants caught" in table([lost])
