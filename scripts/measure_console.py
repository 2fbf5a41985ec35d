"""How fast the console is there, says that its node is gone, and shows live figures again; what alerts do meanwhile.

The console runs in tmux at 80x24 on three real nodes, as an operator sees it. Measured: seconds to the first paint;
every screen, captured; with the connected node killed, then with one stopped (it hangs, its sockets stay open), seconds
until the screen no longer calls it live and until another node's figures are live. Beside it, of the killed node:
seconds until each node lists the alert, once and under the same id; that it resolves by itself; what a webhook got.
"""

from __future__ import annotations

import argparse
import contextlib
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from _data import add_common_arguments, finish, load_collection, sample_data, say
from _wire import wire_to

from vectron_p2p import connect
from vectron_p2p.protocol import messages
from vectron_p2p.testing.processes import ProcessCluster, ProcessNode, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

WIDTH, HEIGHT = 80, 24
PAINTED_S, SAID_S, LIVE_S, ALERTED_S = 1.5, 3.0, 5.0, 10.0
GIVE_UP_S = 60.0
NAME = "words"
SCREENS = {
    "1": "Services", "2": "Nodes ·", "3": "Placement", "4": "Collections ·", "5": "Operations", "6": "Alerts ·",
    "7": "Answer", "8": "Logs ·", "9": "Settings ·", "0": "Python", "?": "─ Help ─",
}  # fmt: skip
"""What stands on each screen besides its bars, by its key."""
LIVE = re.compile(r"● live n(\d) ")


class Terminal:
    """A program in a tmux server of its own, which ends with the block."""

    def __init__(self, command: list[str]) -> None:
        self._server = ["tmux", "-L", f"vectron-console-{os.getpid()}", "-f", os.devnull]
        self._command = command

    def __enter__(self) -> Self:
        size = ["-x", str(WIDTH), "-y", str(HEIGHT)]
        subprocess.run([*self._server, "new-session", "-d", *size, *self._command], check=True)
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run([*self._server, "kill-server"], check=False, capture_output=True)

    def press(self, *keys: str) -> None:
        subprocess.run([*self._server, "send-keys", *keys], check=True)

    def text(self) -> str:
        done = subprocess.run([*self._server, "capture-pane", "-p"], check=False, capture_output=True, text=True)
        return done.stdout

    def wait(self, holds: Callable[[str], Any], what: str) -> float:
        """When it held, by the monotonic clock.

        Raises:
            ProcessFailed: It did not.
        """

        def look() -> float | None:
            shown = self.text()
            if "Traceback" in shown:
                raise SystemExit(f"the console failed:\n{shown}")
            return time.monotonic() if holds(shown) else None

        return wait_for(look, GIVE_UP_S, what, self.text)

    def node(self) -> int:
        """The node that is called live; -1: none is."""
        found = LIVE.search(self.text())
        return int(found[1]) if found else -1


class Hook(http.server.ThreadingHTTPServer):
    """A webhook that remembers what it got."""

    def __init__(self) -> None:
        received: list[dict[str, Any]] = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # the name that http.server calls
                received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.received = received
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def states(self, name: str) -> list[str]:
        """What it was told of a node's being down."""
        return [post["status"] for post in self.received if (post["rule"], post["name"]) == ("node_down", name)]


def alerts_of(address: str, node: str) -> list[str]:
    """Ids of the active node_down alerts about `node`, as the node at `address` knows them."""
    with wire_to(address) as wire:
        report = wire.ask(messages.GetAlerts()).report
    return [each["id"] for each in report["active"] if (each["rule"], each["subject"]) == ("node_down", node)]


def capture(terminal: Terminal, folder: Path | None) -> list[str]:
    """Looks at every screen; what is wrong with them."""
    wrong = []
    for key, title in SCREENS.items():
        terminal.press(key)
        with contextlib.suppress(Exception):
            terminal.wait(lambda shown: title in shown, f"{title} after {key}")  # noqa: B023  # called at once
        shown = terminal.text()
        if title not in shown or not LIVE.search(shown):
            wrong.append(f"screen {key}: no {title!r}, or not live")
        if folder is not None:
            folder.joinpath(f"screen-{'help' if key == '?' else key}.txt").write_text(shown, encoding="utf-8")
        if key == "?":
            leave(terminal, "─ Help ─")
    terminal.press("2")
    terminal.wait(lambda shown: "Nodes ·" in shown, "the nodes")
    return wrong


def leave(terminal: Terminal, sign: str) -> None:
    """Escape, until `sign` is gone: with a key right behind it, a terminal would take both for Alt and that key."""
    terminal.press("Escape")
    terminal.wait(lambda shown: sign not in shown, f"{sign} to go")


def lose(
    cluster: ProcessCluster, terminal: Terminal, how: Callable[[int], None]
) -> tuple[ProcessNode, dict[str, float]]:
    """Takes the node away that the console is connected to."""
    terminal.wait(LIVE.search, "a live console")
    victim = terminal.node()
    began = time.monotonic()
    how(victim)
    said = terminal.wait(lambda shown: f"● live n{victim} " not in shown, "the loss to be said")
    live = terminal.wait(LIVE.search, "another node's figures")
    return cluster[victim], {"said_s": round(said - began, 2), "live_s": round(live - began, 2)}


def watch_alert(cluster: ProcessCluster, hook: Hook, victim: ProcessNode, killed: float) -> dict[str, Any]:
    """From the kill of `victim` until its alert is over again."""
    others = [node for node in cluster.nodes if node.index != victim.index]

    def everywhere() -> set[str] | None:
        """The one alert, once the nodes that saw it at different moments have agreed on its onset."""
        found = [alerts_of(node.address, victim.id) for node in others]
        ids.update(one for each in found for one in each)
        agreed = {one for each in found for one in each}
        return agreed if len(agreed) == 1 and all(len(each) == 1 for each in found) else None

    ids: set[str] = set()
    wait_for(everywhere, GIVE_UP_S, "the alert at every node")
    alerted = time.monotonic() - killed
    wait_for(lambda: hook.states(victim.name) or None, GIVE_UP_S, "the webhook")
    cluster.start_node(victim.index)
    back = time.monotonic()

    def nowhere() -> bool | None:
        return None if any(alerts_of(node.address, victim.id) for node in cluster.nodes) else True

    wait_for(nowhere, GIVE_UP_S, "the alert to be over at every node")
    over = time.monotonic() - back
    wait_for(lambda: True if "resolved" in hook.states(victim.name) else None, GIVE_UP_S, "the webhook to hear of it")
    return {
        "everywhere_s": round(alerted, 2),
        "ids_on_the_way": len(ids),
        "resolved_after_return_s": round(over, 2),
        "webhook": hook.states(victim.name),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--screens", type=Path, help="folder for the captured screens")
    add_common_arguments(parser)
    options = parser.parse_args()
    if shutil.which("tmux") is None:
        raise SystemExit("tmux is not installed: the console is measured inside of it (apt-get install tmux)")
    if options.screens is not None:
        options.screens.mkdir(parents=True, exist_ok=True)
    failures: list[str] = []
    with ProcessCluster(3, keep=options.keep) as cluster, Hook() as hook:
        cluster.start()
        with connect(cluster.connect) as db:
            data = sample_data(1000)
            load_collection(db.create_collection(NAME, dimension=data.vectors.shape[1]), data)
            db.set_alert_route("measured", f"http://127.0.0.1:{hook.server_address[1]}/")
        command = [sys.executable, "-m", "tui", "--connect", cluster[0].address]
        began = time.monotonic()
        with Terminal(command) as terminal:
            painted = terminal.wait(lambda shown: "vectron" in shown and "2 Nodes" in shown, "the first paint") - began
            live = terminal.wait(LIVE.search, "the first figures") - began
            failures += capture(terminal, options.screens)
            say("every screen was looked at")
            killed_at = time.monotonic()
            victim, killed = lose(cluster, terminal, cluster.kill)
            alert = watch_alert(cluster, hook, victim, killed_at)
            say("killed and back")
            frozen, stopped = lose(cluster, terminal, cluster.freeze)
            cluster.thaw(frozen.index)
            terminal.press("2")
            terminal.wait(LIVE.search, "a live console at the end")
    result = {
        "first_paint_s": round(painted, 2),
        "first_figures_s": round(live, 2),
        "screens": len(SCREENS),
        "killed": killed,
        "stopped": stopped,
        "alert": alert,
    }
    if painted > PAINTED_S:
        failures.append(f"first paint after {painted:.2f} s, not {PAINTED_S}")
    for name, found in (("killed", killed), ("stopped", stopped)):
        if found["said_s"] > SAID_S or found["live_s"] > LIVE_S:
            failures.append(f"{name}: said after {found['said_s']} s, live after {found['live_s']} s")
    if alert["everywhere_s"] > ALERTED_S or alert["webhook"] != ["firing", "resolved"]:
        failures.append(f"the alert: {alert}")
    return finish(options, result, failures)


if __name__ == "__main__":
    sys.exit(main())
