"""Files stay small, and none of them names a place that exists only on somebody's machine."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAX_LINES = 400  # about what one reads at a sitting; a longer file holds more than one idea
SOURCES = sorted(path for folder in ("vectron_p2p", "tui", "simulations") for path in (ROOT / folder).rglob("*.py"))
PROGRAMS = sorted(path for path in (ROOT / "scripts").iterdir() if path.is_file())
HOME = re.compile(r"/(root|home|Users)/\w")


@pytest.mark.parametrize("path", [*SOURCES, *PROGRAMS], ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_one_idea(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


@pytest.mark.parametrize("path", [*SOURCES, *PROGRAMS], ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_names_no_home_folder(path: Path) -> None:
    assert not HOME.search(path.read_text(encoding="utf-8"))


def test_every_package_says_what_it_is_for() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in SOURCES
        if path.name == "__init__.py" and not path.read_text(encoding="utf-8").lstrip().startswith(('"""', "'''"))
    ]
    assert not silent
