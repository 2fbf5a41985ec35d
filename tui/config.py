"""The console's own settings: a TOML file that a user may write.

    theme = "dark"        # or "light"
    refresh = 0           # seconds between figures on the screen: 0 (as they come), 1, 2, 5 or 10
    read_only = false     # no actions that change the cluster
    [keys]                # binding id -> keys, as the help names them: `?` and README
    drain = "ctrl+d"

It lies at `$VECTRON_CONSOLE_CONFIG`, else in the user's folder of settings. None is needed.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from platformdirs import user_config_path

from tui import bindings
from vectron_p2p.model.errors import InvalidArgument

VARIABLE = "VECTRON_CONSOLE_CONFIG"


@dataclass(frozen=True, slots=True)
class Config:
    theme: str = "dark"
    refresh: float = 0.0
    read_only: bool = False
    keys: dict[str, str] = field(default_factory=dict[str, str])


def path() -> Path:
    given = os.environ.get(VARIABLE)
    return Path(given) if given else user_config_path("vectron") / "console.toml"


def load(file: Path | None = None) -> Config:
    """The settings of `file`, or of the usual one; without a file the defaults.

    Raises:
        InvalidArgument: The file cannot be read as such, or holds what no setting is.
    """
    file = file or path()
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Config()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"{file}: {error}") from error
    try:
        return check(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, InvalidArgument) as error:
        raise InvalidArgument(f"{file}: {error}") from error


def check(values: dict[str, Any]) -> Config:
    """`values` as settings.

    Raises:
        InvalidArgument: One is unknown or of a wrong kind; it is named.
    """
    known = {each.name for each in fields(Config)}
    for name in values:
        if name not in known:
            raise InvalidArgument(f"no setting {name!r}; there are {', '.join(sorted(known))}", field=name)
    theme, refresh, read_only = values.get("theme", "dark"), values.get("refresh", 0), values.get("read_only", False)
    keys = values.get("keys", {})
    if theme not in ("dark", "light"):
        raise InvalidArgument(f"theme is dark or light, not {theme!r}", field="theme")
    if isinstance(refresh, bool) or not isinstance(refresh, int | float) or refresh < 0:
        raise InvalidArgument("refresh is a number of seconds", field="refresh")
    if not isinstance(read_only, bool):
        raise InvalidArgument("read_only is true or false", field="read_only")
    if not isinstance(keys, dict) or not all(isinstance(key, str) for key in keys.values()):
        raise InvalidArgument("keys is a table of binding = keys", field="keys")
    for name in keys:
        if name not in bindings.IDS:
            raise InvalidArgument(f"no key binding {name!r}; there are {', '.join(sorted(bindings.IDS))}", field="keys")
    return Config(theme, float(refresh), read_only, keys)
