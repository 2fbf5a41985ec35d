"""`vectron node`: one node of a cluster, in the foreground."""

from __future__ import annotations

import difflib
import gc
import tomllib
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from vectron_p2p.model.collections import check_name
from vectron_p2p.model.errors import InvalidArgument
from vectron_p2p.model.ids import Address, parse_address
from vectron_p2p.model.logs import LEVELS
from vectron_p2p.model.settings import Setting

CONFIG_FILE = "vectron.config_file"  # key of the context: where the file is


class HostPort(click.ParamType):  # type: ignore[type-arg]  # generic only in new releases of click
    """HOST:PORT."""

    name = "HOST:PORT"

    def __init__(self, *, zero: bool = False) -> None:
        self.zero = zero

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Address:
        if isinstance(value, Address):
            return value
        try:
            address = parse_address(str(value))
        except InvalidArgument as error:
            self.fail(error.message, param, ctx)
        if not address.port and not self.zero:
            self.fail("port 0 is no port that others could reach", param, ctx)
        return address


def read_config(ctx: click.Context, param: click.Parameter, path: Path | None) -> Path | None:
    """Takes defaults of the other options from a TOML file; flags win over it."""
    if path is None:
        return None
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise click.BadParameter(f"{path}: {error}", ctx, param) from None
    known = {option.name: option for option in ctx.command.params if option.name != param.name}
    for key, value in values.items():
        option = known.get(key)
        if option is None:
            close = difflib.get_close_matches(key, [name for name in known if name], 1)
            advice = (
                f"; did you mean {close[0]!r}?" if close else f"; the keys are {', '.join(sorted(map(str, known)))}"
            )
            raise click.BadParameter(f"{path}: unknown key {key!r}{advice}", ctx, param)
        if isinstance(option.type, click.FloatRange | click.IntRange):
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise click.BadParameter(f"{path}: {key} is a number", ctx, param)
            continue
        expected: type = bool if isinstance(option, click.Option) and option.is_flag else str
        if option.multiple:
            value = values[key] = [value] if isinstance(value, str) else value
            if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                raise click.BadParameter(f"{path}: {key} is a list of strings", ctx, param)
        elif not isinstance(value, expected):
            kind = "true or false" if expected is bool else "a string"
            raise click.BadParameter(f"{path}: {key} is {kind}", ctx, param)
    ctx.meta[CONFIG_FILE] = path
    ctx.default_map = {**(ctx.default_map or {}), **values}
    return path


def check_names(name: str | None, zone: str) -> None:
    """Refuses what can name no node and no zone."""
    for option, value in (("--name", name), ("--zone", zone)):
        try:
            if value is not None:
                check_name(value)
        except InvalidArgument as error:
            raise click.BadParameter(error.message, param_hint=option) from None


def settings_of(ctx: click.Context) -> list[Setting]:
    """The options of the command, each with the origin of its value."""
    from vectron_p2p.node.settings import plain

    settings = []
    for option in ctx.command.params:
        if isinstance(option, click.Option) and option.name in ctx.params:
            origin = {
                ParameterSource.COMMANDLINE: "command line",
                ParameterSource.ENVIRONMENT: f"environment ({ctx.auto_envvar_prefix}_{option.name.upper()})",
                ParameterSource.DEFAULT_MAP: f"config file ({ctx.meta.get(CONFIG_FILE)})",
            }.get(ctx.get_parameter_source(option.name) or ParameterSource.DEFAULT, "default")
            settings.append(Setting(option.name, plain(ctx.params[option.name]), origin, option.help or ""))
    return settings


@click.command(context_settings={"auto_envvar_prefix": "VECTRON_NODE"})
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder of the node; made if needed.",
)
@click.option(
    "--listen",
    type=HostPort(zero=True),
    default="127.0.0.1:7700",
    show_default=True,
    help="TCP and UDP, clients and peers; port 0 picks a free one.",
)
@click.option("--advertise", type=HostPort(), help="What others connect to, when it is not --listen.")
@click.option(
    "--join", type=HostPort(), multiple=True, help="A node of the cluster to join; may be given several times."
)
@click.option(
    "--alert-command",
    type=click.Path(exists=True, dir_okay=False, executable=True),
    help="Program that gets each alert of the cluster as JSON on stdin, when it fires and when it is resolved.",
)
@click.option("--zone", default="default", show_default=True, help="Replicas are spread over zones.")
@click.option("--name", help="Unique in the cluster; default: made from the node's id.")
@click.option(
    "--durability",
    type=click.Choice(["fsync", "interval"]),
    default="fsync",
    show_default=True,
    help="When a write is acknowledged: on disk, or in memory and on disk within 100 ms.",
)
@click.option(
    "--log-format",
    type=click.Choice(["auto", "text", "json"]),
    default="auto",
    show_default=True,
    help="Of stderr; auto: text on a terminal, else a JSON object per line.",
)
@click.option(
    "--http", type=HostPort(zero=True), help="Serve /healthz, /readyz and /metrics here; port 0 picks a free one."
)
@click.option("--log-level", type=click.Choice(list(LEVELS)), default="info", show_default=True)
@click.option(
    "--slow-ms",
    type=click.FloatRange(min=0),
    default=500.0,
    show_default=True,
    help="Requests that take as long are logged as slow (`vectron logs --slow`); 0: all.",
)
@click.option(
    "--search-cache",
    type=click.IntRange(0),
    default=32,
    show_default=True,
    metavar="MIB",
    help="Memory for answers to queries that are asked again; 0: none.",
)
@click.option("--insecure", is_flag=True, help="Listen beyond this machine, although nothing is encrypted.")
@click.option(
    "--max-requests-per-second",
    type=click.FloatRange(min=0),
    default=0.0,
    help="Of clients on points: a search counts each of its queries, other requests each ten points; 0: no limit.",
)
@click.option(
    "--max-requests-per-second-per-connection",
    type=click.FloatRange(min=0),
    default=0.0,
    help="The same of each connection; 0: no limit.",
)
@click.option(
    "--max-concurrent-requests",
    type=click.IntRange(min=1),
    default=2048,
    show_default=True,
    help="Of clients on points, under way at once.",
)
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    callback=read_config,
    is_eager=True,
    expose_value=False,
    help="TOML file with these options as keys.",
)
@click.pass_context
def node(
    ctx: click.Context,
    data: Path,
    listen: Address,
    advertise: Address | None,
    join: tuple[Address, ...],
    zone: str,
    name: str | None,
    durability: str,
    alert_command: str | None,
    search_cache: int,
    insecure: bool,
    log_format: str,
    log_level: str,
    slow_ms: float,
    http: Address | None,
    max_requests_per_second: float,
    max_requests_per_second_per_connection: float,
    max_concurrent_requests: int,
) -> int:
    """Run a node until SIGTERM or Ctrl-C.

    Prints one line, `ready node=... name=... listen=... http=...`, when it serves. Without --join an empty folder
    founds a cluster, and a used one rejoins its own. Each option may also be a key of the file, or an environment
    variable VECTRON_NODE_... (VECTRON_NODE_SLOW_MS); the command line wins, then the environment, then the file.
    """
    check_names(name, zone)
    gc.disable()  # until `run_node`: hardly anything of what is imported is garbage, and looking takes 30 to 80 ms
    from vectron_p2p.node.config import NodeConfig
    from vectron_p2p.node.main import run_node

    return run_node(
        NodeConfig(
            data=data,
            listen=listen,
            advertise=advertise,
            join=list(join),
            zone=zone,
            name=name,
            durability=durability,
            alert_command=alert_command,
            search_cache=search_cache * 1024 * 1024,
            insecure=insecure,
            log_format=log_format,
            log_level=log_level,
            slow_ms=slow_ms,
            http=http,
            max_requests_per_second=max_requests_per_second,
            max_requests_per_second_per_connection=max_requests_per_second_per_connection,
            max_concurrent_requests=max_concurrent_requests,
            settings=settings_of(ctx),
        )
    )
