"""A node inside the program: the same folder serves a process later, and only one at a time."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import anyio
import pytest

from tests.integration.nodes import DIMENSION, node, vectors, vectron
from vectron_p2p import AsyncClient, connect, errors

pytestmark = pytest.mark.processes


def test_a_folder_goes_from_embedded_to_a_node_and_back(tmp_path: Path) -> None:
    data = vectors(50)
    with connect(tmp_path / "x") as db:
        docs = db.create_collection("docs", dimension=DIMENSION)
        docs.upsert(ids=list(range(50)), vectors=data, payloads=[{"n": n} for n in range(50)])
        docs.delete(ids=[0])
        cluster_id = db.cluster().cluster_id
    with node(tmp_path, tmp_path / "x") as (process, address):
        with connect(address) as db:
            assert db.cluster().cluster_id == cluster_id
            docs = db.collection("docs")
            assert docs.count() == 49
            assert docs.search(data[7], k=1)[0].payload == {"n": 7}
            docs.upsert(ids=[0], vectors=data[:1])
            [member] = db.cluster().nodes
            assert member.address == address
        assert process.end() == (0, "")
    with connect(str(tmp_path / "x")) as db:
        assert db.collection("docs").count() == 50


def test_another_node_joins_what_began_embedded(tmp_path: Path) -> None:
    with connect(tmp_path / "x") as db:
        db.create_collection("docs", dimension=DIMENSION).upsert(ids=[1], vectors=vectors(1))
    with (
        node(tmp_path, tmp_path / "x") as (_, first),
        node(tmp_path, tmp_path / "y", "--join", first) as (_, second),
        connect(second) as db,
    ):
        assert db.collection("docs").count() == 1
        assert sorted(each.address for each in db.cluster().nodes) == sorted([first, second])


def test_in_memory_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        with connect(":memory:") as db:
            assert db.list_collections() == []
            db.create_collection("docs", dimension=DIMENSION).upsert(ids=[1], vectors=vectors(1), consistency="all")
            assert db.collection("docs").count() == 1
            assert [each.liveness for each in db.status().nodes] == ["alive"]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use(tmp_path: Path) -> None:
    with connect(tmp_path / "x") as db:
        db.create_collection("docs", dimension=DIMENSION)
        with pytest.raises(errors.VectronError, match=f"in use by process {os.getpid()}"):
            connect(tmp_path / "x")
        done = vectron("node", "--data", tmp_path / "x", "--listen", "127.0.0.1:0")
        assert done.returncode == 1
        assert f"in use by process {os.getpid()}" in done.stderr
        assert db.collection("docs").count() == 0  # the first is not disturbed
    with connect(tmp_path / "x") as db:
        assert db.collection("docs").count() == 0


@pytest.mark.parametrize("content", ["vectron-data 99\n", None])
def test_a_folder_that_cannot_be_used(tmp_path: Path, content: str | None) -> None:
    (tmp_path / ("format" if content else "thesis.tex")).write_text(content or "")
    with pytest.raises(errors.VectronError, match="format"):
        connect(tmp_path)


def test_many_threads_share_it() -> None:
    data = vectors(80)
    with connect(":memory:") as db:
        docs = db.create_collection("docs", dimension=DIMENSION)
        failures: list[BaseException] = []

        def work(part: int) -> None:
            try:
                for n in range(part, 80, 8):
                    docs.upsert(ids=[n], vectors=data[n : n + 1])
                    assert docs.search(data[n], k=1)[0].id == n
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(part,)) for part in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert docs.count() == 80
    with pytest.raises(errors.VectronError):
        docs.count()


def test_program_that_forgets_to_close(tmp_path: Path) -> None:
    """It ends all the same, and what was acknowledged is there."""
    program = (
        "from vectron_p2p import connect; import sys;"
        "db = connect(sys.argv[1]); docs = db.create_collection('docs', dimension=2);"
        "docs.upsert(ids=[1], vectors=[[1, 2]])"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "x")], check=True, timeout=60)
    with connect(tmp_path / "x") as db:
        assert db.collection("docs").count() == 1


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_cancelled_calls_leave_it_usable(anyio_backend: str) -> None:
    async with AsyncClient(":memory:") as db:
        docs = await db.create_collection("docs", dimension=DIMENSION)
        data = vectors(2000)
        with anyio.move_on_after(0.001):
            await docs.upsert(ids=list(range(2000)), vectors=data)
        await docs.upsert(ids=["after"], vectors=data[:1])
        [point] = await docs.get(["after"])
        assert point is not None
