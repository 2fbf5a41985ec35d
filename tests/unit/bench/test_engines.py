"""Other engines: filters in their languages, and what a foreign process may do to a run: nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from tests.unit.bench.odd_engines import known
from vectron_p2p.bench.data import nearest, sample_data
from vectron_p2p.bench.engines import chroma, hosted, zvec
from vectron_p2p.bench.engines.engine import Shape, values_of
from vectron_p2p.bench.engines.hosted import EngineFailed, Hosted
from vectron_p2p.bench.engines.registry import ENGINES, installed, missing
from vectron_p2p.bench.figures import recall
from vectron_p2p.bench.jobs import Ask
from vectron_p2p.bench.queries import Supply
from vectron_p2p.bench.selection import SHARES, select
from vectron_p2p.query.filters import matches, parse_filter
from vectron_p2p.sample import load_sample

PATIENCE = 6.0  # a child starts in one second, on a busy machine in three
DATA = sample_data(150)
SHAPE = Shape(DATA.dimension, 16, 100, {"pos": str})


@pytest.fixture(autouse=True)
def _found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))  # the child imports the test engines


@pytest.mark.parametrize("share", SHARES)
def test_chroma_is_asked_for_the_points_that_the_filter_keeps(share: float) -> None:
    rows = load_sample().payloads
    chosen = select(rows, share)
    assert chosen is not None
    tree = parse_filter(chroma.where(chosen.filter))  # its operators are among ours
    stored = [chroma.metadata(payload) or {} for payload in rows]
    assert chosen.kept.tolist() == [row for row, payload in enumerate(stored) if matches(tree, payload)]


def test_filters_of_several_values_and_of_odd_texts() -> None:
    several = {"pos": {"$in": ["noun", "it's \\ so"]}}
    assert values_of(several) == ("pos", ["noun", "it's \\ so"])
    assert chroma.where(several) == several
    assert zvec.where(several) == r"f_pos in ('noun', 'it\'s \ so')"
    assert zvec.where({"year": 7}) == "f_year = 7"
    for unsayable in ("\\", "a\\'b"):
        with pytest.raises(ValueError, match="no filter of zvec"):
            zvec.where({"pos": unsayable})


def test_chroma_takes_scalars_and_nothing_empty() -> None:
    assert chroma.metadata({"a": 1, "b": ["x", "y"], "c": None}) == {"a": 1, "b": '["x", "y"]', "c": "null"}
    assert chroma.metadata({}) is None


def test_what_is_not_installed_is_named_with_what_to_do() -> None:
    there, absent = known("Exact"), known("Dies", package="no_such_package")
    assert installed([there, absent]) == [there]
    assert missing([there, absent]) == "not installed, so not measured: Dies; pip install no_such_package"
    assert missing([there]) is None
    for engine in ENGINES:  # adapters are importable without what they adapt
        module, name = engine.adapter.split(":")
        assert hasattr(__import__(module, fromlist=[name]), name)


def supply() -> Supply:
    return Supply(DATA.queries, np.arange(len(DATA.queries)), 0)


def test_an_engine_answers_by_rows_and_leaves_nothing() -> None:
    truth = nearest(DATA.vectors, DATA.queries, 5)
    with Hosted(known("Exact")) as engine:
        size = engine.open(SHAPE)
        acked, indexed = engine.load(DATA, size)
        assert 0 < acked <= indexed
        assert engine.memory().keys() == {"anonymous", "mapped"}
        (queries,) = supply().split(1)
        batch = engine.batch(Ask(5, 64), queries, 20, 3)
        assert batch is not None
        window = engine.searches(Ask(5, 64, filter={"pos": "noun"}), queries, 2, 0.1, 1)
        folder = Path(engine._folder.name)
        assert (folder / "engine" / "file").exists()
        child = psutil.Process(engine._process.pid)
    assert batch.turns == 23
    assert batch.done == 20
    wanted: list[Any] = [truth[number % len(DATA.queries)].tolist() for number, _ in batch.found]
    assert recall((rows for _, rows in batch.found), wanted) > 0.95  # each answer is that of its own query
    assert window.done == len(window.durations) == len(window.found) > 0
    assert {DATA.payloads[int(row)]["pos"] for _, rows in window.found for row in rows} == {"noun"}
    assert not folder.exists()
    assert not child.is_running()


def test_an_engine_that_dies_is_said_with_its_last_words() -> None:
    with pytest.raises(EngineFailed, match=r"(?s)process ended during index: .*out of luck"):
        with Hosted(known("Dies")) as engine:
            engine.load(DATA, engine.open(SHAPE))


def test_what_an_engine_refuses_is_said() -> None:
    with pytest.raises(EngineFailed, match="RuntimeError: no room"):
        with Hosted(known("Refuses")) as engine:
            engine.load(DATA, engine.open(SHAPE))


def test_an_engine_that_hangs_ends_with_its_server() -> None:
    with Hosted(known("Hangs"), patience=PATIENCE) as engine:
        size = engine.open(SHAPE)
        child = psutil.Process(engine._process.pid)
        family = [child, *child.children(recursive=True)]
        with pytest.raises(EngineFailed, match="no answer to index within"):
            engine.load(DATA, size)
    assert len(family) == 2
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


def test_an_engine_that_does_not_close_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosted, "STOP_S", 0.5)
    with Hosted(known("HangsClosing")) as engine:
        engine.open(SHAPE)
        child = psutil.Process(engine._process.pid)
    assert not child.is_running()
