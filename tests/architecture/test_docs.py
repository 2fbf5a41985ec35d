"""The README and the command line speak of the same commands; the changelog has a place for what comes next."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from vectron_p2p.cli.main import vectron

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands() -> list[str]:
    return sorted(vectron.list_commands(click.Context(vectron)))


@pytest.mark.parametrize("name", commands())
def test_each_command_is_in_the_readme(name: str) -> None:
    assert re.search(rf"vectron {name}\b|`{name}`", README), f"say in README.md what `vectron {name}` is for"


def test_the_readme_names_no_command_that_does_not_exist() -> None:
    shown = set(re.findall(r"(?:^|\$ |`)vectron ([a-z-]+)", README, re.MULTILINE))
    assert shown
    assert shown <= set(commands())


@pytest.mark.parametrize("document", ["README.md", "ARCHITECTURE.md"])
def test_links_lead_somewhere(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (ROOT / target).exists(), f"{document} links to {target}"


def test_each_package_is_in_the_architecture() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rows = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
    packages = {path.parent.name for path in (ROOT / "vectron_p2p").glob("*/__init__.py")} | {"tui"}
    assert rows == packages


def test_the_changelog_has_an_unreleased_section() -> None:
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
