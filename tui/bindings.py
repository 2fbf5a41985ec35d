"""Every key of the console, in one place: id (for keymaps), action, label for the footer, sentence for the help."""

from __future__ import annotations

from textual.binding import Binding


def _key(
    key: str, action: str, label: str, help: str, *, id: str, show: bool = True, display: str | None = None
) -> Binding:
    return Binding(key, action, label, show=show, key_display=display, tooltip=help, id=id)


MODES = (("overview", "Overview"), ("nodes", "Nodes"), ("collections", "Collections"))
"""Numbered screens, in the order of their numbers."""

APP = [
    *(
        _key(str(number), f"go('{mode}')", label, f"Show the {label.lower()} screen.", id=f"go-{mode}", show=False)
        for number, (mode, label) in enumerate(MODES, 1)
    ),
    _key(":,ctrl+p", "command_palette", "Go to", "Find a screen, node, collection or command.", id="palette"),
    _key("?,f1", "help", "Help", "Show the keys that work on this screen.", id="help"),
    _key("r", "refresh", "Refresh", "Ask the cluster now; when it is lost, try again.", id="refresh", show=False),
    _key("t", "switch_theme", "Theme", "Change between the dark and the light theme.", id="theme", show=False),
    _key("q,ctrl+c", "quit", "Quit", "Leave the console.", id="quit"),
]

BACK = [_key("escape,backspace", "back", "Back", "Clear the filter, else go back one screen.", id="back")]

TABLE_SCREEN = [
    _key("/", "filter", "Filter", "Filter: words, column=value, ! for the opposite.", id="filter"),
    _key("<", "sort(-1)", "Sort", "Sort by the column to the left.", id="sort-left", show=False),
    _key(">", "sort(1)", "Sort", "Sort by the column to the right.", id="sort-right"),
    _key("i", "invert", "Invert", "Reverse the order.", id="sort-invert", show=False),
]

TABLE = [
    _key("enter", "select_cursor", "Open", "Open the chosen row.", id="open"),
    _key("j,down", "cursor_down", "Down", "Next row.", id="row-down", show=False),
    _key("k,up", "cursor_up", "Up", "Row before.", id="row-up", show=False),
    _key("g,home", "scroll_top", "Top", "First row.", id="row-first", show=False),
    _key("G,end", "scroll_bottom", "Bottom", "Last row.", id="row-last", show=False),
    _key("ctrl+d,pagedown", "page_down", "Page down", "A page further.", id="page-down", show=False),
    _key("ctrl+u,pageup", "page_up", "Page up", "A page back.", id="page-up", show=False),
]

HELP = [_key("escape,q,?,f1", "close", "Close", "Close the help.", id="help-close")]
