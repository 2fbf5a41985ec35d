"""Log records: to whom they go, and how they look."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from vectron_p2p.observability import logs, tracing
from vectron_p2p.observability.journal import Journal

log = logs.get_logger("vectron_p2p.node.somewhere")


@pytest.fixture(autouse=True)
def _own_handlers() -> Iterator[None]:
    root = logging.getLogger(logs.ROOT)
    before, level = list(root.handlers), root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def journal_at(at: float) -> Journal:
    """The node of this task from now on has this journal, and `at` as its time."""
    journal = Journal()
    logs.enter(journal, lambda: at)
    return journal


def kept(journal: Journal) -> list[dict[str, object]]:
    return journal.read("", level="debug", slow=False, trace="", limit=99, max_bytes=2**20)[0]


async def test_a_json_object_per_line() -> None:
    out = io.StringIO()
    logs.write_to(out)
    journal_at(1_700_000_000.25)
    tracing.begin(0xAB)
    log.info("shard_copied", shard="docs/3", rows=12)
    assert json.loads(out.getvalue()) == {
        "timestamp": "2023-11-14T22:13:20.250Z",
        "level": "info",
        "event": "shard_copied",
        "trace": "00000000000000ab",
        "logger": "node.somewhere",
        "shard": "docs/3",
        "rows": 12,
    }


async def test_text_on_a_terminal() -> None:
    out = Terminal()
    logs.write_to(out)
    journal_at(1_700_000_000.25)
    log.warning("move_waits", shard="docs/3", error='say "please"', rows=[1, 2], empty="", two="a\nb")
    assert out.getvalue() == (
        "2023-11-14T22:13:20.250Z warning  move_waits logger=node.somewhere shard=docs/3 "
        'error="say \\"please\\"" rows=[1,2] empty="" two="a\\nb"\n'
    )


@pytest.mark.parametrize(("form", "is_json"), [("json", True), ("text", False), ("auto", False)])
async def test_the_format_can_be_chosen(form: str, is_json: bool) -> None:
    out = Terminal()
    logs.write_to(out, form=form)
    log.info("hello")
    assert out.getvalue().startswith("{") is is_json


async def test_levels_hold_for_both_ways() -> None:
    out = io.StringIO()
    logs.write_to(out, level="warning")
    journal = journal_at(0.0)
    log.info("kept")
    log.warning("said")
    log.debug("nothing")
    assert [record["event"] for record in kept(journal)] == ["kept", "said"]
    assert [json.loads(line)["event"] for line in out.getvalue().splitlines()] == ["said"]
    assert log.wants("info")
    assert not log.wants("debug")


async def test_a_defect_comes_with_its_traceback() -> None:
    out = Terminal()
    logs.write_to(out)
    journal = journal_at(0.0)
    try:
        raise ValueError("too bad")
    except ValueError:
        log.exception("connection_failed", remote="10.0.0.1:5")
    first, *rest = out.getvalue().splitlines()
    assert first.endswith('connection_failed logger=node.somewhere remote=10.0.0.1:5 error="ValueError: too bad"')
    assert rest[0] == "Traceback (most recent call last):"
    (record,) = kept(journal)
    assert record["level"] == "error"
    assert "too bad" in str(record["fields"])


def test_without_a_node_and_without_a_handler_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    log.error("alone", error="x")
    assert capsys.readouterr() == ("", "")


def test_the_handler_of_a_program_gets_a_readable_message(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger=logs.ROOT):
        log.info("joined", cluster="c", through="127.0.0.1:1")
    assert caplog.messages == ["joined cluster=c through=127.0.0.1:1"]


def test_another_librarys_record_is_no_failure() -> None:
    out = io.StringIO()
    logs.write_to(out)
    logging.getLogger(logs.ROOT).warning("from %s", "elsewhere")
    assert json.loads(out.getvalue())["event"] == "from elsewhere"


def test_traces_of_two_lives_differ() -> None:
    one, two = tracing.source("a/1"), tracing.source("a/2")
    made = {one() for _ in range(100)} | {two() for _ in range(100)}
    assert len(made) == 200
    assert all(0 < trace < 2**64 for trace in made)
    assert tracing.text(0) == ""
