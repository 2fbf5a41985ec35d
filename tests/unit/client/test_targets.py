"""What the first argument of `connect` may be."""

from __future__ import annotations

from pathlib import Path

import pytest

from vectron_p2p.client.targets import Embedded, Remote, parse_target, refuse_credentials
from vectron_p2p.model.errors import InvalidArgument
from vectron_p2p.model.ids import Address


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("127.0.0.1:7700", Remote((Address("127.0.0.1", 7700),))),
        ("a:1, b:2", Remote((Address("a", 1), Address("b", 2)))),
        ("a:1,a:1", Remote((Address("a", 1),))),
        ("[::1]:7700", Remote((Address("::1", 7700),))),
        (":memory:", Embedded(None)),
        ("./data", Embedded(Path("data"))),
        (".data", Embedded(Path(".data"))),
        ("folder/data", Embedded(Path("folder/data"))),
        (Path("data"), Embedded(Path("data"))),
    ],
)
def test_targets(target: object, expected: object) -> None:
    assert parse_target(target) == expected


@pytest.mark.parametrize(
    "target", ["", "data", "a:", ":1", "a:1,", "a:0", "a:70000", "a:x", 7700, None, b"a:1", ["a:1"]]
)
def test_all_else_is_refused(target: object) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_target(target)
    assert caught.value.field == "target"


def test_a_bare_word_is_told_how_a_folder_is_written() -> None:
    with pytest.raises(InvalidArgument, match=r"\./data"):
        parse_target("data")


@pytest.mark.parametrize("name", ["api_key", "tls"])
def test_credentials_are_not_ignored(name: str) -> None:
    refuse_credentials(None, None)
    with pytest.raises(InvalidArgument, match="not supported") as caught:
        refuse_credentials(**{"api_key": None, "tls": None, name: "x"})
    assert caught.value.field == name
