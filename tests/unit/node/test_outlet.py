"""The way out: what is posted arrives as it was meant, and every other end of it is `NotDelivered`."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from vectron_p2p.net import outlet as outlet_module
from vectron_p2p.net.outlet import NotDelivered, RealOutlet

BODY = json.dumps({"id": "a1"}).encode()


class Receiver(BaseHTTPRequestHandler):
    status = 204
    got: list[tuple[str, str | None, bytes]]

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        type(self).got.append((self.path, self.headers["Idempotency-Key"], data))
        self.send_response(self.status)
        if self.status == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    Receiver.got, Receiver.status = [], 204
    with HTTPServer(("127.0.0.1", 0), Receiver) as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def url(server: HTTPServer, path: str = "") -> str:
    return f"http://127.0.0.1:{server.server_port}{path}"


def test_a_post_arrives(server: HTTPServer) -> None:
    RealOutlet().post(url(server, "/hook?team=1"), BODY, {"Idempotency-Key": "k1"})
    RealOutlet().post(url(server), BODY, {})
    assert Receiver.got == [("/hook?team=1", "k1", BODY), ("/", None, BODY)]


@pytest.mark.parametrize("status", [302, 400, 500])
def test_only_an_answer_that_says_yes_is_one_and_no_redirect_is_followed(server: HTTPServer, status: int) -> None:
    Receiver.status = status
    with pytest.raises(NotDelivered, match=str(status)):
        RealOutlet().post(url(server, "/hook"), BODY, {})
    assert [path for path, _, _ in Receiver.got] == ["/hook"]


def test_nobody_there_or_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outlet_module, "TIMEOUT", 0.1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(NotDelivered):
            RealOutlet().post(address, BODY, {})
        silent.listen()
        with pytest.raises(NotDelivered):
            RealOutlet().post(address, BODY, {})


@pytest.mark.parametrize("bad", ["file:///etc/passwd", "ftp://127.0.0.1/", "http://"])
def test_other_ways_are_none(bad: str) -> None:
    with pytest.raises(NotDelivered):
        RealOutlet().post(bad, BODY, {})


def program(folder: Path, text: str) -> str:
    path = folder / "told"
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o700)
    return str(path)


def test_a_program_gets_it_on_stdin(tmp_path: Path) -> None:
    RealOutlet().run(program(tmp_path, f"cat > {tmp_path}/got"), BODY)
    assert (tmp_path / "got").read_bytes() == BODY


def test_a_program_that_fails_is_said_to_have_failed(tmp_path: Path) -> None:
    with pytest.raises(NotDelivered, match="ended with 3"):
        RealOutlet().run(program(tmp_path, "exit 3"), BODY)
    with pytest.raises(NotDelivered):
        RealOutlet().run(str(tmp_path / "none"), BODY)
