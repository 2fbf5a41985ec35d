"""The console's file of settings."""

from __future__ import annotations

import pytest

from tests.tui.factories import FakeCluster
from tests.tui.helpers import SEED, STILL, FakeClock, settle, text, until
from tui import config
from tui.app import ConsoleApp
from tui.config import Config
from tui.dialogs.confirm import ConfirmDialog
from tui.themes import LIGHT
from vectron_p2p.model.errors import InvalidArgument


def test_without_a_file_the_defaults(tmp_path, monkeypatch):
    monkeypatch.setenv(config.VARIABLE, str(tmp_path / "none.toml"))
    assert config.load() == Config()


def test_what_a_file_says(tmp_path):
    file = tmp_path / "console.toml"
    file.write_text('theme = "light"\nrefresh = 2\nread_only = true\n[keys]\ndrain = "ctrl+d"\n')
    assert config.load(file) == Config("light", 2.0, True, {"drain": "ctrl+d"})


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("theme = 1", "theme"),
        ('colour = "red"', "no setting 'colour'"),
        ("refresh = -1", "refresh"),
        ("refresh = true", "refresh"),
        ('read_only = "yes"', "read_only"),
        ("[keys]\nnothing = 'a'", "no key binding 'nothing'"),
        ("[keys]\ndrain = 1", "keys"),
        ("theme", "console.toml"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, content, says):
    file = tmp_path / "console.toml"
    file.write_text(content)
    with pytest.raises(InvalidArgument, match=says):
        config.load(file)


@pytest.mark.anyio
async def test_theme_and_keys_are_those_of_the_file():
    settings = Config(theme="light", refresh=5.0, keys={"drain": "f4"})
    app = ConsoleApp([SEED], FakeCluster().open, timing=STILL, clock=FakeClock(), config=settings)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(lambda: app.shared.store.collections.value is not None)
        await settle(app, pilot)
        assert app.theme == LIGHT.name
        assert "every 5 s" in text(app)
        await pilot.press("2", "f4")
        await settle(app, pilot)
        assert isinstance(app.screen, ConfirmDialog)
