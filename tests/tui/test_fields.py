"""The payload fields of a collection: in its detail, and in a table of their own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.tui.factories import FakeCluster, collection, payload_fields
from tests.tui.helpers import FakeClock, console, first_column, screen, settle, text, until
from tui.render import fields
from tui.render.text import plain
from tui.screens.collections import CollectionScreen
from tui.screens.fields import READ_S, FieldsScreen
from tui.store import FIELDS_KEPT, FIELDS_STALE_AFTER_S, Store
from vectron_p2p.model.errors import Unavailable
from vectron_p2p.model.payload_fields import PayloadField, PayloadFields

pytestmark = pytest.mark.anyio
SIZES = pytest.mark.parametrize("size", [(80, 24), (160, 48)], ids=lambda size: f"{size[0]}x{size[1]}")


@pytest.fixture
def fake() -> FakeCluster:
    return FakeCluster(fields={"docs": payload_fields()})


async def opened(app: Any, pilot: Any, *keys: str) -> None:
    await pilot.press("4", *keys)
    await until(lambda: screen(app).composed)
    await settle(app, pilot)


async def known(app: Any, pilot: Any, key: str) -> None:
    await until(lambda: app.shared.store.fields_of(key).value is not None)
    await settle(app, pilot)


@SIZES
async def test_the_detail_of_a_collection_shows_its_fields(fake: FakeCluster, size: tuple[int, int]) -> None:
    async with console(fake, size=size) as (app, pilot):
        await opened(app, pilot, "enter")
        assert isinstance(app.screen, CollectionScreen)
        await known(app, pilot, "id-docs")
        said = text(app)
        for part in ("Payload fields · 5", "colour", "keyword", '"blue", "green", "red"', "98%", "0.5 … 1,250"):
            assert part in said
        tall = size[1] > 40
        assert ("stock.sold" in said) is tall
        assert ("2 more: f shows all" in said) is not tall
        assert "Shards · 8" in said
        assert "● in sync" in said


@SIZES
async def test_all_fields_in_a_table(fake: FakeCluster, size: tuple[int, int]) -> None:
    fake.fields["docs"] = payload_fields(unindexed=7, missing_shards=1, more=3)
    async with console(fake, size=size) as (app, pilot):
        await opened(app, pilot, "f")
        assert isinstance(app.screen, FieldsScreen)
        await known(app, pilot, "id-docs")
        assert first_column(app) == ["colour", "text", "price", "tags", "stock.sold"]
        said = text(app)
        for part in ("Collections › docs › fields", "Payload fields · 8", "without 1 shard of 8", "≥ 16,384", "MEMORY"):
            assert part in said
        await pilot.press("slash", *"kinds=float", "enter")
        await settle(app, pilot)
        assert first_column(app) == ["price"]
        await pilot.press("y")
        assert json.loads(app.clipboard)["points"] == 98_000
        await pilot.press("escape", "escape")
        await settle(app, pilot)
        assert not isinstance(app.screen, FieldsScreen)


async def test_loading_error_live_and_stale(fake: FakeCluster) -> None:
    clock = FakeClock()
    fake.counting = Unavailable("no owner answers")
    async with console(fake, clock=clock) as (app, pilot):
        feed = app.shared.store.fields_of("id-docs")
        await opened(app, pilot, "enter")
        await until(lambda: feed.error)
        await settle(app, pilot)
        assert "no owner answers" in text(app)
        assert "● in sync" in text(app)  # what is known of the shards is shown all the same
        await pilot.press("f")
        await settle(app, pilot)
        assert "no owner answers" in text(app)
        fake.counting = None
        clock.now += READ_S
        await known(app, pilot, "id-docs")
        assert first_column(app)[0] == "colour"
        fake.counting = Unavailable("no owner answers")
        clock.now += FIELDS_STALE_AFTER_S + 1
        await until(lambda: feed.error)
        await settle(app, pilot)
        assert screen(app).has_class("-old")
        await pilot.press("escape")
        await settle(app, pilot)
        assert "13s old" in text(app)


async def test_empty_and_off(fake: FakeCluster) -> None:
    fake.fields = {"some": payload_fields("some")}
    fake.infos = [collection("bare", payload_index=False), collection("docs"), collection("some", payload_index=["a"])]
    async with console(fake) as (app, pilot):
        await opened(app, pilot, "enter")
        await known(app, pilot, "id-bare")
        assert "is off: filters read payloads" in text(app)
        await opened(app, pilot, "down", "f")
        await known(app, pilot, "id-docs")
        assert "No payload has a field." in text(app)
        await opened(app, pilot, "down", "enter")
        await known(app, pilot, "id-some")
        assert "only a" in text(app)


async def test_a_node_that_does_not_answer_is_waited_for(fake: FakeCluster) -> None:
    async with console(fake) as (app, pilot):
        fake.hanging.update(each.address for each in fake.figures.nodes)
        await opened(app, pilot, "enter")
        assert "counting …" in text(app)
        await pilot.press("f")
        await settle(app, pilot)
        assert isinstance(app.screen, FieldsScreen)
        assert "colour" not in text(app)


def test_lines_of_the_most_frequent() -> None:
    found = payload_fields(more=2)
    shown = [plain(each) for each in fields.summary(found, collection(), 76, 3)]
    assert [each.split()[0] for each in shown] == ["colour", "text", "5"]
    assert all(len(each) <= 76 for each in shown)
    long = PayloadFields("docs", 1, fields=[PayloadField("x" * 80, ["int"], 1, 1, values=[1])], shards=1)
    (only,) = fields.summary(long, collection(), 60, 3)
    assert plain(only).startswith("x" * 23 + "…  int")


def test_the_store_keeps_fields_of_a_few_collections() -> None:
    store = Store()
    feeds = [store.fields_of(str(number)) for number in range(FIELDS_KEPT + 1)]
    assert store.fields_of(str(FIELDS_KEPT)) is feeds[-1]
    assert store.fields_of("1") is feeds[1]
    assert store.fields_of("0") is not feeds[0]
