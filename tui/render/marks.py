"""Signs and tones of states. Each state has a sign and a word of its own: colour only repeats them."""

from __future__ import annotations

from tui.events import Severity
from tui.render.text import Tone
from tui.store import LinkState

LIVENESS = {"alive": ("●", Tone.OK), "suspect": ("◐", Tone.WARN), "dead": ("✕", Tone.BAD)}
LINK = {
    LinkState.CONNECTING: ("◌", Tone.ACCENT),
    LinkState.LIVE: ("●", Tone.OK),
    LinkState.STALE: ("◐", Tone.WARN),
    LinkState.LOST: ("✕", Tone.BAD),
}
SEVERITY = {
    Severity.INFO: ("·", Tone.ACCENT),
    Severity.GOOD: ("●", Tone.OK),
    Severity.WARN: ("◐", Tone.WARN),
    Severity.BAD: ("✕", Tone.BAD),
}
LAG_WARN_MS, LAG_BAD_MS = 50.0, 250.0  # a node promises to stay below 250 ms; 50 ms is felt in a search
_STATE = {
    "active": Tone.NORMAL,
    "joining": Tone.ACCENT,
    "draining": Tone.WARN,
    "left": Tone.MUTED,
    "removed": Tone.MUTED,
}


def liveness(value: str) -> tuple[str, Tone]:
    """Sign and tone; a word that this version does not know gets a question mark."""
    return LIVENESS.get(value, ("?", Tone.WARN))


def state(value: str) -> Tone:
    return _STATE.get(value, Tone.WARN)


def replica(value: str) -> tuple[str, Tone]:
    """Sign and tone of a replica: only one that did not answer is bad, one in the making is a warning."""
    if value == "unreachable":
        return "✕", Tone.BAD
    if value in ("active", "live", "ready", "serving", "ok"):
        return "●", Tone.OK
    return "◐", Tone.WARN


def lag(milliseconds: float) -> Tone:
    """Tone of an event-loop lag."""
    return Tone.BAD if milliseconds >= LAG_BAD_MS else Tone.WARN if milliseconds >= LAG_WARN_MS else Tone.NORMAL
