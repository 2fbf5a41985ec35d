"""What a mutant is: the code with one rule left out, for the time of a run.

A mutant is one edit of the source of a function, or a few: the words that state the rule are replaced. That shows what
is left out, needs no copy of the code beside it, and fails loudly when the code has changed so that the words are gone.

Invariant: after a run everything is the very object that it was before.
"""

from __future__ import annotations
import __future__

import importlib
import inspect
import sys
import textwrap
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = "vectron_p2p"


@dataclass(frozen=True, slots=True)
class Edit:
    """`old`, which the source of `where` ("module:name" or "module:Class.name") holds once, becomes `new`."""

    where: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutant:
    """`seeds` of `scenario` have been seen to catch it; others do too, and a change of the code changes which."""

    name: str
    rule: str
    """Of the protocol: chapter and number."""
    leaves_out: str
    edits: tuple[Edit, ...]
    scenario: str = "mixed"
    seeds: tuple[int, ...] = ()
    seconds: float = 20.0
    """Virtual, under faults."""
    subsumed_by: str = ""
    """Not empty: no run has to catch it, and this says why: what the other rules already exclude."""

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """The code is this mutant within the block."""
        importlib.import_module(f"{PACKAGE}.node.node")  # what is imported later would keep what it finds now
        undo: list[tuple[Any, str, Any]] = []
        try:
            for where in dict.fromkeys(edit.where for edit in self.edits):
                _replace(where, [edit for edit in self.edits if edit.where == where], undo)
            yield
        finally:
            for owner, name, before in reversed(undo):
                setattr(owner, name, before)


def _replace(where: str, edits: list[Edit], undo: list[tuple[Any, str, Any]]) -> None:
    module_name, _, path = where.partition(":")
    module = importlib.import_module(f"{PACKAGE}.{module_name}")
    *outer, name = path.split(".")
    owner: Any = module
    for each in outer:
        owner = getattr(owner, each)
    before = vars(owner)[name]
    after = _edited(before, name, edits, vars(module))
    owners = [owner]
    if owner is module:  # others may have imported it by name
        modules = [each for key, each in sorted(sys.modules.items()) if key.split(".")[0] == PACKAGE]
        owners += [each for each in modules if each is not module and vars(each).get(name) is before]
    for each in owners:
        undo.append((each, name, before))
        setattr(each, name, after)


def _edited(before: Any, name: str, edits: list[Edit], names: dict[str, Any]) -> Any:
    """The function, property or method made of the edited source."""
    function: Any = before.fget if isinstance(before, property) else before
    source = textwrap.dedent(inspect.getsource(function))
    for edit in edits:
        if source.count(edit.old) != 1:
            raise LookupError(
                f"{edit.where} has {edit.old!r} {source.count(edit.old)} times: the mutant must follow it"
            )
        source = source.replace(edit.old, edit.new)
    flags = __future__.annotations.compiler_flag
    code = compile(source, f"<mutant of {edits[0].where}>", "exec", flags=flags, dont_inherit=True)
    made: dict[str, Any] = {}
    exec(code, names, made)
    return made[name]
