"""Snippets to copy, for the cluster at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from rich.syntax import Syntax
from textual.containers import VerticalScroll
from textual.widgets import Static

from tui.bindings import SDK
from tui.render.snippets import Snippet, snippets
from tui.screens.base import ConsoleScreen, Shared
from tui.store import Phase
from tui.widgets.panels import StatePane

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.binding import BindingType
    from textual.widget import Widget

    from tui.store import Feed


class Code(Static, can_focus=True):
    """One snippet in a box."""

    snippet: Snippet | None = None

    def show(self, snippet: Snippet, dark: bool) -> None:
        if snippet == self.snippet and self.border_title:
            return
        self.snippet = snippet
        self.border_title = snippet.title
        theme = "ansi_dark" if dark else "ansi_light"
        self.update(Syntax(snippet.text, snippet.language, theme=theme, background_color="default", word_wrap=True))


class SdkScreen(ConsoleScreen):
    MODE = "sdk"
    ABOUT = "Code to begin with, with the addresses of this cluster and one of its collections. Tab chooses a box."
    BINDINGS: ClassVar[list[BindingType]] = [*SDK]

    def __init__(self, shared: Shared, *, mode: str = "") -> None:
        super().__init__(shared, mode=mode)
        self._dark: bool | None = None

    def feeds(self) -> list[Feed[Any]]:
        return [self.shared.store.status]

    def body(self) -> Iterable[Widget]:
        with VerticalScroll(classes="content", can_focus=False):
            for _ in snippets([], None):
                yield Code(classes="code", markup=False)
        yield StatePane()

    def on_mount(self) -> None:
        self.query(Code).first().focus()

    def draw(self, now: float) -> None:
        store, phase = self.shared.store, self.phase(now)
        self.set_class(phase is Phase.STALE, "-old")
        status = store.status.value
        self.set_class(status is None, "-message")
        if status is None:
            self.query_one(StatePane).show(self.waiting(phase, now), self.app.theme)
            return
        alive = sorted((node for node in status.nodes if node.liveness == "alive"), key=lambda node: node.name)
        addresses = [node.address for node in alive] or [store.link.trying]
        infos = sorted(store.collections.value or [], key=lambda info: -info.count)
        dark = self.app.current_theme.dark
        for box, snippet in zip(self.query(Code), snippets(addresses, infos[0] if infos else None), strict=True):
            if dark != self._dark:
                box.snippet = None
            box.show(snippet, dark)
        self._dark = dark

    def action_copy(self) -> None:
        box = self.focused
        if isinstance(box, Code) and box.snippet is not None:
            self.app.copy_to_clipboard(box.snippet.text)
            self.shared.actions.say(f"copied: {box.snippet.title}")
