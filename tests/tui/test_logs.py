"""Logs: what the nodes wrote, as it comes."""

from __future__ import annotations

import json

import pytest

from tests.tui.factories import FakeCluster
from tests.tui.helpers import console, first_column, settle, table, text, until
from tui.render import logs
from tui.render.text import plain
from tui.screens.logs import LogsScreen, RecordScreen
from vectron_p2p.model.logs import SLOW, LogRecord

pytestmark = pytest.mark.anyio


def record(number: int, event: str = "member_changed", level: str = "info", trace: str = "", **fields) -> LogRecord:
    return LogRecord(1000.0 + number, level, event, "n1", "id-1", "node.gossip", trace, number, fields)


RECORDS = [
    record(1, after="dead", node="n3"),
    record(2, SLOW, "warning", "feed01", operation="search", took_ms=812.5),
    record(3, "debugging", "debug", "feed01"),
    record(4, "disk_full", "error"),
]


def test_a_record_in_the_table_and_in_full():
    rows = logs.table(RECORDS).rows
    assert rows[1].cells["details"].text == "operation search  took_ms 812.5"
    assert len({row.key for row in rows}) == len(rows)
    said = "\n".join(plain(each) for each in logs.full(RECORDS[1]))
    for part in ("slow_request", "feed01", "operation  search", "node.gossip"):
        assert part in said
    assert json.loads(logs.as_json(RECORDS[1]))["took_ms"] == 812.5


@pytest.mark.parametrize("size", [(80, 24), (160, 48)])
async def test_newest_first_and_as_they_come(size):
    fake = FakeCluster(records=RECORDS[:2])
    async with console(fake, size=size) as (app, pilot):
        await pilot.press("8")
        await until(lambda: table(app).row_count == 2)
        assert isinstance(app.screen, LogsScreen)
        assert "operation search" in text(app)
        fake.records.append(RECORDS[3])
        await until(lambda: table(app).row_count == 3)
        assert first_column(app) == [logs.time_of_day(1000.0 + number) for number in (4, 2, 1)]


async def test_level_and_slow_requests():
    fake = FakeCluster(records=list(RECORDS))
    async with console(fake) as (app, pilot):
        await pilot.press("8")
        await until(lambda: table(app).row_count == 3)
        await pilot.press("s")
        await until(lambda: "slow requests · 1" in text(app))
        await pilot.press("s", "l", "l")
        await until(lambda: "error and above · 1" in text(app))
        await pilot.press("l")
        await until(lambda: "debug and above · 4" in text(app))
        assert ("logs", None, "error", False, None) in fake.changes


async def test_a_record_and_what_its_call_led_to():
    fake = FakeCluster(records=list(RECORDS))
    async with console(fake) as (app, pilot):
        await pilot.press("8")
        await until(lambda: table(app).row_count == 3)
        await pilot.press("j", "enter")
        await settle(app, pilot)
        assert isinstance(app.screen, RecordScreen)
        assert "Logs › n1 › slow_request" in text(app)
        await pilot.press("y")
        assert json.loads(app.clipboard)["operation"] == "search"
        await pilot.press("t")
        await until(lambda: isinstance(app.screen, LogsScreen) and table(app).row_count == 2)
        assert "trace feed01" in text(app)


async def test_nothing_is_read_while_another_screen_is_on_show():
    fake = FakeCluster(records=list(RECORDS))
    async with console(fake) as (app, pilot):
        assert not any(change[0] == "logs" for change in fake.changes)
        await pilot.press("8")
        await until(lambda: table(app).row_count == 3)
        await pilot.press("1")
        await settle(app, pilot)
        assert not [worker for worker in app.workers if worker.group == "logs" and worker.is_running]
        await pilot.press("8")
        await until(lambda: sum(change[0] == "logs" for change in fake.changes) == 2)


async def test_a_node_that_cannot_say_is_said():
    fake = FakeCluster(refusing=OSError("no such thing"))
    async with console(fake) as (app, pilot):
        await pilot.press("8")
        await until(lambda: "OSError: no such thing" in text(app))
