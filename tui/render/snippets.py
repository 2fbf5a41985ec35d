"""Code to begin with, for the cluster and the collection at hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vectron_p2p.model.collections import CollectionInfo


@dataclass(frozen=True, slots=True)
class Snippet:
    title: str
    language: str
    text: str


def snippets(addresses: Sequence[str], info: CollectionInfo | None) -> list[Snippet]:
    """`addresses`: nodes to begin with; `info`: the collection spoken of, None: one that is to be made."""
    target = ",".join(addresses) or "127.0.0.1:7700"
    name = info.name if info is not None else "docs"
    dimension = info.dimension if info is not None else 384
    made = (
        f'c = db.collection("{name}")'
        if info is not None
        else f'c = db.create_collection("{name}", dimension={dimension}, if_not_exists=True)'
    )
    return [
        Snippet(
            "Python",
            "python",
            f"""from vectron_p2p import connect

with connect("{target}") as db:
    {made}
    c.upsert([{{"id": 1, "vector": [0.1] * {dimension}, "payload": {{"text": "hello"}}}}])
    for hit in c.search([0.1] * {dimension}, k=10, filter={{"text": {{"$exists": True}}}}):
        print(hit.id, hit.score, hit.payload)""",
        ),
        Snippet(
            "Python, trio or asyncio",
            "python",
            f"""from vectron_p2p import AsyncClient


async def main():
    async with AsyncClient("{target}") as db:
        c = db.collection("{name}")
        result = await c.search([0.1] * {dimension}, k=10)
        print([(hit.id, hit.score) for hit in result], result.took_ms)""",
        ),
        Snippet(
            "Command line",
            "bash",
            f"""export VECTRON_CONNECT={target}
vectron status
vectron search {name} --like 1 -k 10
vectron import {name} --vectors vectors.npy --payloads payloads.jsonl --create""",
        ),
        Snippet(
            "Another node on this machine",
            "bash",
            f"vectron node --data ./node --listen 127.0.0.1:0 --join {(addresses or ['127.0.0.1:7700'])[0]}",
        ),
    ]
