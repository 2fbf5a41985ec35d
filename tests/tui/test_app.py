"""Keys, help, palette, themes, start."""

from __future__ import annotations

import subprocess
import sys

import pytest
from textual.pilot import Pilot

from tests.tui.factories import FakeCluster
from tests.tui.helpers import console, screen, settle, table, text, until
from tui import bindings
from tui.__main__ import main
from tui.app import ConsoleApp, seeds_of
from tui.commands import Command, commands, find
from tui.dialogs.help import HelpScreen, help_lines
from tui.dialogs.palette import Palette
from tui.render.text import Line, Span, Tone, plain
from tui.screens.collections import CollectionScreen
from tui.screens.nodes import NodeScreen, NodesScreen
from tui.screens.overview import OverviewScreen
from tui.themes import DARK, LIGHT, styled
from vectron_p2p.model.errors import InvalidArgument

pytestmark = pytest.mark.anyio

ALL = [binding for group in bindings.GROUPS for binding in group]


@pytest.fixture
def fake() -> FakeCluster:
    return FakeCluster()


async def _choose(app: ConsoleApp, pilot: Pilot[None], words: str) -> None:
    await pilot.press("colon")
    await pilot.press(*("space" if letter == " " else letter for letter in words))
    await pilot.press("enter")
    await settle(app, pilot)
    await settle(app, pilot)


def _found(app: ConsoleApp) -> list[str]:
    """What the palette offers."""
    assert isinstance(app.screen, Palette)
    return [each.command.name for each in app.screen.found]


async def test_every_key_has_an_id_a_label_and_a_sentence():
    assert len({item.id for item in ALL}) == len(ALL)
    for item in ALL:
        assert item.id
        assert item.description
        assert item.tooltip.endswith(".")


async def test_help_names_every_key_in_force(fake):
    async with console(fake, size=(120, 70)) as (app, pilot):
        await pilot.press("2")
        await settle(app, pilot)
        await pilot.press("question_mark")
        await settle(app, pilot)
        assert isinstance(app.screen, HelpScreen)
        said = text(app)
        for item in (*bindings.APP, *bindings.TABLE_SCREEN, *bindings.TABLE):
            assert item.tooltip in said
        assert "p99 of the event-loop lag" in said
        assert "Clear the filter" not in said
        await pilot.press("question_mark")
        assert isinstance(app.screen, NodesScreen)
        await pilot.press("f1")
        await pilot.press("escape")
        assert isinstance(app.screen, NodesScreen)


async def test_help_groups_only_what_is_there():
    lines: list[Line] = help_lines(
        "About.", [("quit", "q", "Leave."), ("quit", "^q", "Leave."), ("unknown", "x", "?")], []
    )
    assert [plain(item).split() for item in lines if item][:3] == [["About."], ["Screens"], ["q", "^q", "Leave."]]


async def test_numbers_keep_each_screens_place_and_lead_back_to_its_top(fake):
    async with console(fake) as (app, pilot):
        await pilot.press("2", "enter", "4", "2")
        assert isinstance(app.screen, NodeScreen)
        await pilot.press("2")
        assert isinstance(app.screen, NodesScreen)
        await pilot.press("1", "escape")
        assert isinstance(app.screen, OverviewScreen)


async def test_a_click_on_a_tab(fake):
    async with console(fake) as (app, pilot):
        await pilot.click("Tab:last-of-type", offset=(2, 0))
        await settle(app, pilot)
        assert app.current_mode == bindings.MODES[-1][0]


async def test_palette_opens_screens_nodes_and_collections(fake):
    async with console(fake) as (app, pilot):
        await _choose(app, pilot, "nodes")
        assert isinstance(app.screen, NodesScreen)
        await _choose(app, pilot, "node n4")
        await until(lambda: isinstance(app.screen, NodeScreen))
        await settle(app, pilot)
        assert "Nodes › n4" in text(app)
        await _choose(app, pilot, "coll images")
        await until(lambda: isinstance(app.screen, CollectionScreen))
        await settle(app, pilot)
        assert "Collections › images" in text(app)
        await _choose(app, pilot, "theme")
        await until(lambda: app.theme == LIGHT.name)


async def test_palette_offers_what_there_is_before_anything_is_typed(fake):
    async with console(fake) as (app, pilot):
        offered = [each.name for each in commands(app)]
        assert offered[: len(bindings.MODES)] == [label.lower() for _, label in bindings.MODES]
        assert "node n5" in offered
        assert "collection docs" in offered
        await pilot.press(":")
        await until(lambda: isinstance(app.screen, Palette))
        assert _found(app) == offered
        assert "Show the nodes screen (no, node, workers)" in text(app)
    async with console(FakeCluster(dead={"127.0.0.1:7701"}), ready=False) as (app, _):
        assert len(list(commands(app))) == len(bindings.MODES) + 5


async def test_palette_goes_to_what_is_chosen_by_keys_or_mouse(fake):
    async with console(fake) as (app, pilot):
        await pilot.press(":", *"node")
        names = _found(app)
        assert names[:3] == ["nodes", "node n1", "node n2"]
        await pilot.press("down", "down", "pageup", "ctrl+end", "ctrl+home", "down", "enter")
        await until(lambda: isinstance(app.screen, NodeScreen))
        await settle(app, pilot)
        assert "Nodes › n1" in text(app)
        await pilot.press(":")
        await pilot.click("Offers", offset=(3, 3))
        await until(lambda: app.current_mode == "shards")


async def test_palette_closes_and_leaves_everything_as_it_is(fake):
    async with console(fake) as (app, pilot):
        before = app.screen
        for leave in (["escape"], ["enter", "escape"]):
            await pilot.press(":", *"zzzz")
            assert _found(app) == []
            await pilot.press(*leave)
            assert app.screen is before
        await pilot.press(":", "ctrl+p")
        assert isinstance(app.screen, Palette)
        await pilot.click(offset=(1, 22))
        assert app.screen is before


async def test_palette_is_found_by_other_words_and_by_letters_in_their_order():
    offered = [Command(name, "", lambda: None) for name in ("overview", "nodes", "node workers", "collection words")]

    def found(words: str) -> list[str]:
        return [each.command.name for each in find(offered, words)]

    assert found(" ") == [each.name for each in offered]
    assert found("workers") == ["node workers", "nodes"]
    assert found("pulses") == ["overview"]
    assert found("cowo") == ["collection words"]
    assert found("sedon") == []
    (row,) = [each.row("0") for each in find(offered, "lect")]
    assert row.cells["name"].spans == (Span("col"), Span("lect", Tone.STRONG), Span("ion words"))


async def test_themes(fake):
    async with console(fake) as (app, pilot):
        assert app.theme == DARK.name
        await pilot.press("2", "t")
        await settle(app, pilot)
        assert app.theme == LIGHT.name
        assert table(app).row_count == 5
        await pilot.press("t")
        assert app.theme == DARK.name


async def test_each_tone_has_a_look_in_each_theme():
    for theme in (DARK, LIGHT):
        for tone in Tone:
            assert styled((Span("x", tone),), theme.name).spans


async def test_no_color(fake, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    async with console(fake) as (app, pilot):
        await pilot.press("2")
        await settle(app, pilot)
        assert "● alive" in text(app)


@pytest.mark.parametrize("key", ["q", "ctrl+c", "ctrl+q"])
async def test_quit(fake, key):
    async with console(fake) as (app, pilot):
        await pilot.press(key)
        await until(lambda: not app.is_running or app._exit)
    assert app.return_code == 0
    assert fake.open_now == 0


async def test_refresh_asks_at_once(fake):
    async with console(fake) as (app, pilot):
        woken = app.connection._wake
        await pilot.press("r")
        await until(lambda: woken.is_set())


@pytest.mark.parametrize(
    ("given", "seeds"),
    [
        (["127.0.0.1:7700"], ["127.0.0.1:7700"]),
        (["a:1, b:2", "c:3,"], ["a:1", "b:2", "c:3"]),
        (["[::1]:7700"], ["[::1]:7700"]),
    ],
)
async def test_seeds(given, seeds):
    assert seeds_of(given) == seeds


@pytest.mark.parametrize("given", [[], [""], [","], ["host"], ["host:99999"], ["a:1,b"]])
async def test_bad_seeds(given):
    with pytest.raises(InvalidArgument) as raised:
        seeds_of(given)
    assert raised.value.field == "connect"


async def test_a_bad_address_is_one_line_and_exit_2(capsys):
    assert main(["--connect", "nowhere"]) == 2
    assert capsys.readouterr().err == "'nowhere' is no HOST:PORT address\n"


async def test_the_default_address_comes_from_the_environment(monkeypatch, capsys):
    monkeypatch.setenv("VECTRON_CONNECT", "broken")
    assert main([]) == 2
    assert "'broken'" in capsys.readouterr().err


def _python(code: str) -> tuple[str, str]:
    """What a fresh interpreter prints on stdout and stderr."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip(), done.stderr


def test_without_textual_it_says_what_to_install():
    code = "import sys; sys.modules['textual'] = None; from tui.__main__ import main; print(main([]))"
    out, err = _python(code)
    assert out == "1"
    assert "pip install 'textual'" in err


def test_store_render_and_connection_know_no_textual():
    code = (
        "import sys, pkgutil, importlib, tui.render\n"
        "names = ['tui.store', 'tui.events', 'tui.source', 'tui.connection']\n"
        "names += ['tui.render.' + item.name for item in pkgutil.iter_modules(tui.render.__path__)]\n"
        "for name in names: importlib.import_module(name)\n"
        "print(sorted({'textual', 'rich', 'numpy', 'trio'} & set(sys.modules)))"
    )
    assert _python(code)[0] == "[]"


def test_the_console_reaches_only_model_and_client():
    code = (
        "import sys, tui.app\n"
        "print(sorted({'.'.join(name.split('.')[:2]) for name in sys.modules if name.startswith('vectron_p2p.')}))"
    )
    assert _python(code)[0] == "['vectron_p2p.model']"


async def test_points_open_before_their_screen_was_ever_shown(fake):
    async with console(fake) as (app, _):
        app.open_points("docs")
        await until(lambda: app.current_mode == "points" and screen(app).composed)
        await until(lambda: ("scroll", "docs", None, None) in fake.changes)


async def test_every_tab_is_whole_at_80_columns(fake):
    async with console(fake) as (app, _):
        tabs = text(app).splitlines()[1]
        assert tabs.endswith(f"{len(bindings.MODES) % 10} {bindings.MODES[-1][1]}")
