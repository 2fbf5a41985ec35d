"""What a log record says of itself, no field of an event may say of something else: `node` is who wrote it."""

from __future__ import annotations

import ast
from pathlib import Path

import vectron_p2p

SOURCES = Path(vectron_p2p.__file__).parent
LEVELS = {"debug", "info", "warning", "error", "critical", "exception"}
TAKEN = {"timestamp", "at", "level", "event", "logger", "node", "trace"}


def taken_fields(source: str) -> list[str]:
    """Line and name of each field of a `log` call that a record has already."""
    return [
        f"{keyword.value.lineno}: {keyword.arg}"
        for call in ast.walk(ast.parse(source))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in LEVELS
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id in ("log", "logger")
        for keyword in call.keywords
        if keyword.arg in TAKEN
    ]


def test_no_event_has_a_field_that_records_have() -> None:
    assert taken_fields('log.info("gone", node=1, why=2)') == ["1: node"]
    found = {str(path): taken_fields(path.read_text(encoding="utf-8")) for path in SOURCES.rglob("*.py")}
    assert len(found) > 100
    assert {path: fields for path, fields in found.items() if fields} == {}
