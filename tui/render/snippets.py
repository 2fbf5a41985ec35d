"""Code to begin with, for the cluster and the collection at hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vectron_p2p.model.collections import CollectionInfo


AT_MOST = 2  # addresses: enough to begin with when one node is down, and they fit beside the code


@dataclass(frozen=True, slots=True)
class Snippet:
    title: str
    language: str
    text: str


def snippets(addresses: Sequence[str], info: CollectionInfo | None) -> list[Snippet]:
    """Each line fits into 80 columns with the box around it.

    `addresses`: nodes to begin with; `info`: the collection spoken of, None: one that is to be made.
    """
    target = ",".join(addresses[:AT_MOST]) or "127.0.0.1:7700"
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

nodes = "{target}"
with connect(nodes) as db:
    {made}
    point = {{"id": 1, "vector": [0.1] * {dimension}, "payload": {{"text": "hello"}}}}
    c.upsert([point])
    wanted = {{"text": {{"$exists": True}}}}
    for hit in c.search(point["vector"], k=10, filter=wanted):
        print(hit.id, hit.score, hit.payload)""",
        ),
        Snippet(
            "Python, trio or asyncio",
            "python",
            f"""from vectron_p2p import AsyncClient

nodes = "{target}"


async def main():
    async with AsyncClient(nodes) as db:
        c = db.collection("{name}")
        result = await c.search([0.1] * {dimension}, k=10)
        print(result.took_ms, [(hit.id, hit.score) for hit in result])""",
        ),
        Snippet(
            "Command line",
            "bash",
            f"""export VECTRON_CONNECT={target}
vectron status
vectron search {name} --like 1 -k 10
vectron import {name} --vectors vectors.npy \\
  --payloads payloads.jsonl --create""",
        ),
        Snippet(
            "Another node on this machine",
            "bash",
            f"vectron node --data ./node --listen 127.0.0.1:0 --join {(addresses or ['127.0.0.1:7700'])[0]}",
        ),
    ]
