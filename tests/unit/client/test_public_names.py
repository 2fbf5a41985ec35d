"""The public surface: names, twins of one signature, and what an import costs."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import vectron_p2p
from vectron_p2p import client as client_package
from vectron_p2p.client import AsyncClient, AsyncCollection, Client, Collection

COLLECTION = {"upsert", "upload", "search", "search_batch", "get", "delete", "count", "scroll", "info"} | {
    "fields",
    "set_payload",
    "delete_payload",
    "recommend",
}
CLIENT = {
    "create_collection",
    "collection",
    "list_collections",
    "delete_collection",
    "cluster",
    "status",
    "statistics",
    "history",
    "watch",
    "repair",
    "drain",
    "remove",
    "rebalance",
    "moves",
    "logs",
    "set_replicas",
    "settings",
    "alerts",
    "acknowledge_alert",
    "resolve_alert",
    "silence_alerts",
    "set_alert_rule",
    "set_alert_route",
    "remove_alert_route",
    "close",
}


def methods(cls: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(cls, inspect.isfunction) if not name.startswith("_")} - {"run"}


def test_exactly_what_is_built_exists() -> None:
    assert methods(Collection) == methods(AsyncCollection) == COLLECTION
    assert methods(Client) == methods(AsyncClient) == CLIENT


@pytest.mark.parametrize(
    ("one", "other", "name"),
    [(Collection, AsyncCollection, name) for name in sorted(COLLECTION)]
    + [(Client, AsyncClient, name) for name in sorted({*CLIENT, "__init__"})],
)
def test_both_clients_have_one_signature(one: type, other: type, name: str) -> None:
    first, second = inspect.signature(getattr(one, name)), inspect.signature(getattr(other, name))
    assert first.parameters == second.parameters
    assert str(second.return_annotation).replace("Async", "") == first.return_annotation


def test_every_public_call_is_documented() -> None:
    for cls, names in (
        (Collection, COLLECTION),
        (AsyncCollection, COLLECTION),
        (Client, CLIENT),
        (AsyncClient, CLIENT),
    ):
        for name in names:
            assert getattr(cls, name).__doc__, name


@pytest.mark.parametrize(("method", "argument"), [("upload", "if_version")])
def test_arguments_that_are_not_built_are_absent(method: str, argument: str) -> None:
    assert argument not in inspect.signature(getattr(Collection, method)).parameters


def test_lazy_names() -> None:
    for module in (vectron_p2p, client_package):
        for name in module.__all__:
            assert getattr(module, name) is not None
        with pytest.raises(AttributeError, match="nothing"):
            _ = module.nothing
    assert set(vectron_p2p.__all__) <= set(dir(vectron_p2p))


def loaded_by(code: str) -> set[str]:
    """Top-level modules in memory after `code` ran in a fresh interpreter: the only proof that a deferral defers."""
    program = f"{code}\nimport sys\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_loads_nothing() -> None:
    assert not loaded_by("import vectron_p2p") & {"numpy", "msgpack", "anyio", "trio", "hnswlib", "plyvel"}


def test_a_remote_client_loads_no_node_and_status_calls_no_numpy() -> None:
    code = "from vectron_p2p import connect\nconnect('127.0.0.1:1').close()"
    assert not loaded_by(code) & {"numpy", "anyio", "trio", "hnswlib", "plyvel", "rich"}
    assert not loaded_by("from vectron_p2p import AsyncClient\nAsyncClient('127.0.0.1:1')") & {
        "numpy",
        "hnswlib",
        "plyvel",
    }
