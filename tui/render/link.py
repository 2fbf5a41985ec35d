"""The link in words: the badge in the top bar, the banner below it, and what stands where there is nothing to show."""

from __future__ import annotations

from tui.render import format as fmt
from tui.render.marks import LINK
from tui.render.text import Line, Span, Tone, line
from tui.store import Link, LinkState


def badge(link: Link, name: str, now: float) -> Line:
    """State and who answers, for the top bar. `name`: the answering node's, if known."""
    state = link.state(now)
    sign, tone = LINK[state]
    spans = line((f"{sign} {state.value}", tone))
    if state is LinkState.LIVE:
        who = f"{name} {link.address}" if name else link.address
        spans = (*spans, Span(f" {who}", Tone.MUTED))
    elif state is LinkState.STALE:
        spans = (*spans, Span(f" {fmt.age(link.age(now))} old", Tone.MUTED))
    return spans


def banner(link: Link, now: float) -> tuple[LinkState, str] | None:
    """What is wrong with the link, or None while it is live."""
    state = link.state(now)
    if state is LinkState.LIVE:
        return None
    if state is LinkState.CONNECTING:
        return state, f"Connecting to {link.trying}" + (f": {link.error}" if link.error else "")
    reason = f" ({link.error})" if link.error else ""
    if state is LinkState.LOST:
        tried = link.trying if link.known == 1 else f"any of {link.known} addresses"
        shown = f"; figures are {fmt.age(link.age(now))} old" if link.answered_at is not None else ""
        return state, f"Lost: no answer from {tried}{shown}. Trying on.{reason}"
    trying = f"; trying {link.trying}" if link.trying != link.address else ""
    return state, f"Stale: no answer from {link.address} for {fmt.age(link.age(now))}{trying}{reason}"


def loading(link: Link) -> list[Line]:
    if link.answered_at is None:
        return [line(("◌ ", Tone.ACCENT), f"Connecting to {link.trying or 'the cluster'} …")]
    return [line(("◌ ", Tone.ACCENT), "Waiting for the first figures …")]


def failure(link: Link, error: str, now: float) -> list[Line]:
    """Why there is nothing to show, and what the reader can do."""
    if link.state(now) is LinkState.LOST:
        return [
            line(("✕ ", Tone.BAD), ("No node answers", Tone.STRONG)),
            (),
            line(f"Tried {fmt.plural(link.known, 'address', 'addresses')}, last {link.trying}."),
            line((link.error, Tone.MUTED)),
            (),
            line("Is a node running there? Start one with ", ("vectron node --data DIR", Tone.ACCENT)),
            line(
                "or give another with ",
                ("--connect HOST:PORT", Tone.ACCENT),
                ". ",
                ("r", Tone.ACCENT),
                " tries again now.",
            ),
        ]
    return [
        line(("✕ ", Tone.BAD), ("These figures could not be read", Tone.STRONG)),
        (),
        line((error, Tone.MUTED)),
        (),
        line("The console asks again every second."),
    ]
