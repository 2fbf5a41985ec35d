"""Bits flipped and files cut or removed in a real folder: the node starts or says why not, and never answers short
without a word; `vectron doctor` finds it first, and changes nothing.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.integration.damaging import KINDS, WAYS, damage, damage_file, files, fingerprint
from tests.integration.nodes import vectron
from vectron_p2p import connect
from vectron_p2p.errors import VectronError
from vectron_p2p.node.doctor import Diagnosis, examine
from vectron_p2p.storage.folder import LevelDisk

COUNT = 300


def fill(folder: Path) -> None:
    rng = np.random.default_rng(1)
    with connect(folder) as db:
        docs = db.create_collection("docs", dimension=8, metric="l2", shards=1)
        docs.upsert(ids=list(range(COUNT)), vectors=rng.random((COUNT, 8)))


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder whose rows are in a log, and one where they are in a table."""
    root = tmp_path_factory.mktemp("sound")
    fill(root / "log")
    shutil.copytree(root / "log", root / "table")
    with connect(root / "table") as db:  # a start turns the log into a table
        assert db.collection("docs").count() == COUNT
    return {"log": root / "log", "table": root / "table"}


def shard_of(folder: Path) -> Path:
    (store,) = (folder / "stores").glob("shard-*")
    return store


def problems(found: Diagnosis) -> list[str]:
    return [f"{each.where}: {each.what}" for each in found.findings if each.problem]


def test_a_sound_folder_is_healthy_and_left_as_it_was(sound: dict[str, Path]) -> None:
    for folder in sound.values():
        before = fingerprint(folder)
        found = examine(folder)
        assert (found.healthy, found.findings) == (True, [])
        (shard,) = found.shards
        assert (shard["points"], shard["owners"], shard["sound"]) == (COUNT, 1, True)
        assert shard["sequence"] > 0
        assert found.node["counter"] >= 1
        assert found.catalog["epoch"] >= 2
        assert fingerprint(folder) == before


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", list(KINDS))
def test_a_damaged_shard_is_never_short_without_a_word(
    sound: dict[str, Path], tmp_path: Path, kind: str, way: str
) -> None:
    folder = tmp_path / "x"
    shutil.copytree(sound["table" if kind == "table" else "log"], folder)
    assert damage(shard_of(folder), kind, way)
    before = fingerprint(folder)
    found = examine(folder)
    assert fingerprint(folder) == before
    with connect(folder, timeout=5.0) as db:
        docs = db.collection("docs")
        warnings = db.status().warnings
        try:
            whole = docs.count() == COUNT and None not in docs.get(list(range(COUNT)))
        except VectronError:
            whole = False
        assert whole or any(shard_of(folder).name[6:42] in warning for warning in warnings), warnings
        assert not list((folder / "quarantine").iterdir())  # it is the only copy
    assert found.healthy == whole, problems(found)
    assert all(each.advice for each in found.findings)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", list(KINDS))
def test_a_node_with_damaged_records_of_its_own_starts_sound_or_says_what_to_do(
    sound: dict[str, Path], tmp_path: Path, kind: str, way: str
) -> None:
    folder = tmp_path / "x"
    shutil.copytree(sound["table"], folder)
    system = folder / "stores" / "system"
    if not damage(system, kind, way):
        pytest.skip(f"no {kind} there")
    found = examine(folder)
    rows = {path.name for path in files(shard_of(folder), "table")}
    try:
        with connect(folder, timeout=5.0) as db:
            known = [info.name for info in db.list_collections()]
            if known:
                assert db.collection("docs").count() == COUNT
    except VectronError as error:
        refusal = error.message
    else:
        refusal = ""
    # What LevelDB cannot see as a cut leaves older records; what those do not know of is kept all the same.
    kept = [*(folder / "stores").glob("shard-*"), *(folder / "quarantine").glob("shard-*")]
    assert [{path.name for path in files(place, "table")} >= rows for place in kept] == [True]
    if refusal:
        assert "start with an empty one" in refusal
        assert not found.healthy


def test_a_folder_that_lost_who_it_belongs_to_starts_no_new_node(sound: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "x"
    shutil.copytree(sound["table"], folder)
    shutil.rmtree(folder / "stores" / "system")
    assert not examine(folder).healthy
    with pytest.raises(VectronError, match="whose they are"):
        connect(folder)


def test_a_store_that_is_gone_is_missed(sound: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "x"
    shutil.copytree(sound["table"], folder)
    shutil.rmtree(shard_of(folder))
    (text,) = problems(examine(folder))
    assert "is missing" in text
    with connect(folder) as db:
        assert any("rows are missing" in warning for warning in db.status().warnings)


def test_rows_that_do_not_fit_their_versions_are_found(sound: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "x"
    shutil.copytree(sound["table"], folder)
    name = shard_of(folder).name
    disk = LevelDisk(folder)
    disk.lock()
    kv = disk.open(name)
    key = next(key for key, _ in kv.iterate(b"v", b"w"))
    row = next(key for key, _ in kv.iterate(b"r", b"s"))
    kv.write([(key, None), (row, None)], sync=True)
    kv.close()
    disk.unlock()
    found = problems(examine(folder))
    assert any("differ from their version entries" in text for text in found), found


def test_a_torn_graph_is_noted_and_built_anew(sound: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "x"
    rng = np.random.default_rng(2)
    with connect(folder) as db:
        docs = db.create_collection("docs", dimension=8, metric="l2", shards=1)
        data = rng.random((3_000, 8))
        docs.upsert(ids=list(range(3_000)), vectors=data)
        while docs.info().indexed < 3_000:
            docs.get([1])
    graph_files = sorted((shard_of(folder) / "files").glob("graph*"))
    assert len(graph_files) == 2
    for path in graph_files:
        for way in WAYS:
            copy = tmp_path / f"{path.suffix}-{way}"
            shutil.copytree(folder, copy)
            damage_file(shard_of(copy) / "files" / path.name, way)
            found = examine(copy)
            assert found.healthy
            assert (way == "gone" and path.suffix == ".meta") == (not found.findings)
            with connect(copy) as db:
                hits = db.collection("docs").search(data[7], k=3)
                assert hits[0].id == 7
                assert db.collection("docs").count() == 3_000


def test_the_command(sound: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "x"
    shutil.copytree(sound["table"], folder)
    done = vectron("doctor", folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("healthy\n")
    with connect(folder):
        busy = vectron("doctor", folder)
        assert busy.returncode == 1
        assert "in use by process" in busy.stderr
    damage(shard_of(folder), "table", "flip")
    (folder / "quarantine" / "shard-x-1").mkdir()
    (folder / "quarantine" / "shard-x-1" / "why.txt").write_text("a bit had flipped\n")
    done = vectron("doctor", folder, "--json")
    assert done.returncode == 1
    said = json.loads(done.stdout)
    assert not said["healthy"]
    assert [each["problem"] for each in said["findings"]].count(True) == 1
    assert any("a bit had flipped" in each["what"] for each in said["findings"])
    text = vectron("doctor", folder).stdout
    assert "PROBLEM" in text
    assert "put back sound files" in text
    for other, why in ((tmp_path, "no data folder"), (tmp_path / "y", "unknown format")):
        if other != tmp_path:
            other.mkdir()
            (other / "format").write_text("vectron-data 99\n")
        done = vectron("doctor", other)
        assert done.returncode == 1
        assert why in done.stdout
    assert vectron("doctor", tmp_path / "nowhere").returncode == 2
