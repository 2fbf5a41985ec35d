"""Options and arguments that several commands share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from vectron_p2p.model.ids import parse_point_id

if TYPE_CHECKING:
    from vectron_p2p.client.sync_client import Client

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_CONNECT = "127.0.0.1:7700"
UNREACHABLE_S = (
    3.0  # a person waits at the prompt: long enough for a node that is just restarting, not for a wrong address
)


def client_options(command: F) -> F:
    """`--connect` and `--json`, as arguments `connect` and `as_json`."""
    connect = click.option(
        "--connect",
        default=DEFAULT_CONNECT,
        show_default=True,
        show_envvar=True,
        envvar="VECTRON_CONNECT",
        metavar="HOST:PORT[,HOST:PORT]",
        help="Nodes of the cluster; any one will do.",
    )
    return connect(json_option(command))


def json_option(command: F) -> F:
    return click.option(
        "--json", "as_json", is_flag=True, help="One JSON document on stdout, errors as JSON on stderr."
    )(command)


def consistency_option(default: str, *, linearizable: bool = False) -> Callable[[F], F]:
    return click.option(
        "--consistency",
        type=click.Choice(["one", "quorum", "all", *(["linearizable"] if linearizable else [])]),
        default=default,
        show_default=True,
        help="How many of each shard's owners must answer.",
    )


@contextmanager
def client(target: str) -> Iterator[Client]:
    """A client for one command."""
    from vectron_p2p.client.session import RetryPolicy
    from vectron_p2p.client.sync_client import Client as Opened

    with Opened(target, retry=RetryPolicy(unreachable_s=UNREACHABLE_S)) as opened:
        yield opened


class Id(click.ParamType):  # type: ignore[type-arg]  # generic only in new releases of click
    """A point id."""

    name = "id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        return parse_point_id(value) if isinstance(value, str) else int(value)


class Json(click.ParamType):  # type: ignore[type-arg]  # as `Id`
    """A JSON value of some kinds."""

    def __init__(self, kind: type | tuple[type, ...], example: str) -> None:
        self.kind = kind
        self.example = example
        self.name = "JSON"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            parsed = json.loads(value)
        except (ValueError, RecursionError) as error:
            self.fail(f"{value[:80]!r} is no JSON ({error}); give something like {self.example}", param, ctx)
        if not isinstance(parsed, self.kind):
            self.fail(
                f"a {type(parsed).__name__} is not what belongs here; give something like {self.example}", param, ctx
            )
        return parsed


def filter_option(command: F) -> F:
    """`--filter`, as argument `where`."""
    kind = Json(dict, """'{"year": {"$gte": 2020}}'""")
    return click.option("--filter", "where", type=kind, help="Only points whose payload matches.")(command)
