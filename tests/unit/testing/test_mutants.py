"""Mutants: each is another code while it is on, and nothing is left of it afterwards."""

from __future__ import annotations

import re
import sys
from typing import Any

import pytest

from vectron_p2p.catalog import log, voters
from vectron_p2p.testing import simulation  # noqa: F401  (imports all that a run uses)
from vectron_p2p.testing.mutants import CHAPTERS, MUTANTS
from vectron_p2p.testing.mutants.mutant import Edit, Mutant
from vectron_p2p.testing.simulation.scenarios import SCENARIOS


def everything() -> dict[tuple[str, str], Any]:
    """Every function and every member of a class, in all modules, by the place where it is found."""
    found: dict[tuple[str, str], Any] = {}
    for name, module in sorted(sys.modules.items()):
        if name.split(".")[0] == "vectron_p2p":
            for key, value in list(vars(module).items()):
                found[name, key] = value
                if isinstance(value, type) and value.__module__ == name:
                    found.update({(name, f"{key}.{each}"): member for each, member in list(vars(value).items())})
    return found


def changed(before: dict[tuple[str, str], Any]) -> set[tuple[str, str]]:
    after = everything()
    return {key for key in before.keys() & after.keys() if before[key] is not after[key]}


def target(edit: Edit) -> Any:
    module, _, path = edit.where.partition(":")
    found: Any = sys.modules[f"vectron_p2p.{module}"]
    *outer, name = path.split(".")
    for each in outer:
        found = getattr(found, each)
    return vars(found)[name]


def test_each_mutant_is_another_code_and_is_undone() -> None:
    for mutant in MUTANTS.values():
        with mutant():
            pass  # whatever it imports
    before = everything()
    for mutant in MUTANTS.values():
        sound = [target(edit) for edit in mutant.edits]
        with mutant():
            assert all(target(edit) is not one for edit, one in zip(mutant.edits, sound, strict=True)), mutant.name
        assert [target(edit) for edit in mutant.edits] == sound, mutant.name
    assert changed(before) == set()


def test_a_mutant_that_fails_in_the_middle_is_undone() -> None:
    good = Edit("catalog.vote:Vote.accept", "None if ballot < self.promised else ", "")
    gone = Edit("catalog.vote:Vote.promise", "what is not there", "")
    before = everything()
    with (
        pytest.raises(LookupError, match=r"has 'what is not there' 0 times"),
        Mutant("m", "", "", (good, gone))(),
    ):
        pass
    with pytest.raises(RuntimeError), Mutant("m", "", "", (good,))():
        raise RuntimeError
    assert changed(before) == set()


def test_who_imported_a_function_by_name_has_the_mutant_too() -> None:
    before = voters.majority
    with MUTANTS["catalog_minority"]():
        assert vars(log)["majority"] is voters.majority is not before
    assert vars(log)["majority"] is voters.majority is before


def test_each_names_its_rule_and_a_scenario() -> None:
    assert len(MUTANTS) == sum(len(chapter.MUTANTS) for chapter in CHAPTERS), "no name twice"
    for mutant in MUTANTS.values():
        assert re.match(r"§\d|wire$", mutant.rule), mutant
        assert mutant.scenario in SCENARIOS, mutant
        assert mutant.leaves_out, mutant


def test_what_no_run_has_to_catch_says_why_and_names_no_seed() -> None:
    for mutant in MUTANTS.values():
        if mutant.subsumed_by:
            assert "§" in mutant.subsumed_by, mutant
            assert not mutant.seeds, mutant
