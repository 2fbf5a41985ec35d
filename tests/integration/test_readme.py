"""The Python of the README runs as it stands, but for the address: here it talks to a node in this process."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"
ADDRESS = re.compile(r'connect\("[\d.:,]+"\)')


def test_python_of_the_readme(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    local, changed = ADDRESS.subn('connect(":memory:")', block)
    assert changed == 1
    exec(compile(local, "README.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["2", "three"]
    assert "'year': 2023" in lines[0]
    assert lines[2].startswith("2 Point(id=1")
