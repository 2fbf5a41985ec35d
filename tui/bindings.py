"""Every key of the console, in one place: id (for keymaps), action, label for the footer, sentence for the help."""

from __future__ import annotations

from textual.binding import Binding


def _key(
    key: str, action: str, label: str, help: str, *, id: str, show: bool = True, display: str | None = None
) -> Binding:
    return Binding(key, action, label, show=show, key_display=display, tooltip=help, id=id)


MODES = (
    ("overview", "Overview"),
    ("nodes", "Nodes"),
    ("shards", "Shards"),
    ("collections", "Collections"),
    ("traffic", "Traffic"),
    ("alerts", "Alerts"),
    ("points", "Points"),
    ("logs", "Logs"),
    ("settings", "Settings"),
    ("sdk", "SDK"),
)
"""Numbered screens, in the order of their numbers."""

SHORT = {"overview": "Home", "collections": "Colls", "settings": "Conf"}
"""What stands on their tabs where all of them have to fit into 80 columns."""

ALIASES = {
    "overview": ("ov", "home", "pulses", "dashboard"),
    "nodes": ("no", "node", "workers"),
    "shards": ("sh", "ring", "placement", "moves"),
    "collections": ("co", "cols"),
    "traffic": ("tr", "gateway", "operations", "latency", "connections"),
    "alerts": ("al", "health"),
    "points": ("po", "pt", "playground", "search"),
    "logs": ("lo", "log", "slow"),
    "settings": ("se", "config", "options"),
    "sdk": ("snippets", "code"),
}
"""Other words by which `:` finds a screen."""

APP = [
    *(
        _key(str(number % 10), f"go('{mode}')", label, f"Show the {label.lower()} screen.", id=f"go-{mode}", show=False)
        for number, (mode, label) in enumerate(MODES, 1)
    ),
    _key(":,ctrl+p", "command_palette", "Go to", "Find a screen, node, collection or command.", id="palette"),
    _key("?,f1", "help", "Help", "Show the keys that work on this screen.", id="help"),
    _key("r", "refresh", "Refresh", "Ask the cluster now; when it is lost, try again.", id="refresh", show=False),
    _key("p", "pause", "Pause", "Hold the figures still, or let them go on.", id="pause", show=False),
    _key("plus", "rate(1)", "Faster", "Show new figures more often.", id="faster", show=False, display="+"),
    _key("minus", "rate(-1)", "Slower", "Show new figures less often.", id="slower", show=False, display="-"),
    _key("t", "switch_theme", "Theme", "Change between the dark and the light theme.", id="theme", show=False),
    _key("q,ctrl+c", "quit", "Quit", "Leave the console.", id="quit"),
]

BACK = [_key("escape,backspace", "back", "Back", "Clear the filter, else go back one screen.", id="back")]

TABLE_SCREEN = [
    _key("/", "filter", "Filter", "Filter: words, column=value, ! for the opposite.", id="filter"),
    _key("<", "sort(-1)", "Sort", "Sort by the column to the left.", id="sort-left", show=False),
    _key(">", "sort(1)", "Sort", "Sort by the column to the right.", id="sort-right"),
    _key("i", "invert", "Invert", "Reverse the order.", id="sort-invert", show=False),
    _key("c", "copy_name", "Copy", "Copy the name of the chosen row.", id="copy-name", show=False),
    _key("y", "copy_row", "Copy row", "Copy the chosen row as JSON.", id="copy-row", show=False),
    _key("w", "export", "Write", "Write the rows to a .csv or .json file.", id="export", show=False),
]

NODE_ACTIONS = [
    _key("d", "drain", "Drain", "Have the node give its shards to others and leave; or stay after all.", id="drain"),
    _key("x", "remove", "Remove", "Give up a node that is dead for good.", id="remove"),
    _key("e", "repair", "Repair", "Compare and repair the replicas of the node.", id="repair"),
]

NODE = [
    _key("v", "view", "View", "Its replicas, or the connections that it serves.", id="node-view"),
    _key("l", "log", "Log", "What it logs.", id="node-log"),
]

COLLECTION_ACTIONS = [
    _key("n", "create", "New", "Create a collection.", id="create"),
    _key("e", "replicas", "Replicas", "Change the number of replicas.", id="replicas"),
    _key("x", "delete", "Delete", "Delete the collection and all its points.", id="delete"),
    _key("s", "points", "Points", "Browse and search the points of the collection.", id="points"),
    _key("f", "fields", "Fields", "Payload fields: their kinds, points, values and memory.", id="fields"),
]

POINTS = [
    _key("/", "query", "Query", "Go to the query; Enter runs it.", id="query"),
    _key("enter", "run", "Run", "Run the query.", id="query-run", show=False),
    _key("n", "upsert", "New", "Write a point.", id="upsert"),
    _key("x", "delete", "Delete", "Delete the chosen point.", id="delete-point"),
    _key("right_square_bracket", "page(1)", "Next page", "Further points.", id="page-next", show=False),
    _key("left_square_bracket", "page(-1)", "Page before", "The points before.", id="page-before", show=False),
]

POINT = [
    _key("e", "edit", "Edit", "Change payload and vector.", id="edit-point"),
    _key("x", "delete", "Delete", "Delete the point.", id="delete-shown"),
    _key("m", "like", "More like it", "Search the points nearest to this one.", id="like"),
    _key("y", "copy", "Copy", "Copy the point as JSON.", id="copy-point"),
]

TRAFFIC = [
    _key("v", "view", "View", "Operations, by node, between nodes, connections.", id="traffic-view"),
    _key("u", "window", "Window", "The last minute, 5 minutes, or hour.", id="traffic-window"),
    _key("s", "slow", "Slow", "The slow requests of all nodes, as they are logged.", id="traffic-slow"),
]

ALERTS = [
    _key("a", "acknowledge", "Ack", "Acknowledge: say that somebody is at it.", id="acknowledge"),
    _key("x", "resolve", "Resolve", "Close the alert by hand.", id="resolve"),
    _key("s", "silence", "Silence", "Send nothing about its subject, or its rule, for a time.", id="silence"),
    _key("h", "history", "Past", "Resolved ones too, or active ones alone.", id="alert-history"),
    _key("e", "rules", "Rules", "The rules: thresholds, durations, on and off.", id="rules"),
]

RULES = [
    _key("e", "change", "Change", "Change threshold, duration and severity.", id="rule-change"),
    _key("o", "switch", "On/off", "Switch the rule off or on.", id="rule-switch"),
]

SETTINGS = [_key("f", "fixed", "Fixed", "The limits inside the nodes too, or not.", id="settings-fixed")]

LOGS = [
    _key("l", "level", "Level", "The lowest level that is shown: debug, info, warning, error.", id="log-level"),
    _key("s", "slow", "Slow", "Slow requests alone, or everything.", id="log-slow"),
]

LOG_RECORD = [
    _key("t", "trace", "Trace", "All that the same call led to, on every node.", id="log-trace"),
    _key("y", "copy", "Copy", "Copy the record as JSON.", id="log-copy"),
]

SDK = [_key("c,enter", "copy", "Copy", "Copy the code in the chosen box.", id="copy-code")]

WRITES = frozenset(
    {
        "drain", "remove", "repair", "create", "replicas", "delete", "upsert", "edit",
        "acknowledge", "resolve", "silence", "change", "switch",
    }
)  # fmt: skip
"""Actions that change the cluster: absent in read-only mode."""

TABLE = [
    _key("enter", "select_cursor", "Open", "Open the chosen row.", id="open"),
    _key("j,down", "cursor_down", "Down", "Next row.", id="row-down", show=False),
    _key("k,up", "cursor_up", "Up", "Row before.", id="row-up", show=False),
    _key("g,home", "scroll_top", "Top", "First row.", id="row-first", show=False),
    _key("G,end", "scroll_bottom", "Bottom", "Last row.", id="row-last", show=False),
    _key("ctrl+d,pagedown", "page_down", "Page down", "A page further.", id="page-down", show=False),
    _key("ctrl+u,pageup", "page_up", "Page up", "A page back.", id="page-up", show=False),
]

CONFIRM = [
    _key("y", "answer(True)", "Yes", "Do it.", id="confirm-yes"),
    _key("n", "answer(False)", "No", "Leave it.", id="confirm-no"),
    _key("escape", "cancel", "Cancel", "Leave it.", id="confirm-cancel"),
]

FORM = [
    _key("ctrl+s", "send", "Send", "Check the form and send it.", id="form-send"),
    _key("escape", "cancel", "Cancel", "Close the form; nothing is done.", id="form-cancel"),
]

PALETTE = [
    _key("escape", "close", "Close", "Close the palette.", id="palette-close"),
    _key("down", "offer('cursor_down')", "Down", "Next entry.", id="palette-down", show=False),
    _key("up", "offer('cursor_up')", "Up", "Entry before.", id="palette-up", show=False),
    _key("pagedown", "offer('page_down')", "Page down", "A page further.", id="palette-page-down", show=False),
    _key("pageup", "offer('page_up')", "Page up", "A page back.", id="palette-page-up", show=False),
    _key("ctrl+home,shift+home", "offer('scroll_top')", "Top", "First entry.", id="palette-first", show=False),
    _key("ctrl+end,shift+end", "offer('scroll_bottom')", "Bottom", "Last entry.", id="palette-last", show=False),
]

HELP = [_key("escape,q,?,f1", "close", "Close", "Close the help.", id="help-close")]

ACTIONS = (
    NODE_ACTIONS,
    NODE,
    COLLECTION_ACTIONS,
    TRAFFIC,
    ALERTS,
    RULES,
    POINTS,
    POINT,
    LOGS,
    LOG_RECORD,
    SETTINGS,
    SDK,
)
"""What single screens do."""

GROUPS = (APP, BACK, TABLE_SCREEN, TABLE, *ACTIONS, CONFIRM, FORM, PALETTE, HELP)
IDS = frozenset(each.id or "" for group in GROUPS for each in group)
"""What a keymap may name."""
