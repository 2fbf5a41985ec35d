"""The graph behind its wrapper: the hazards that must not come through."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tests.unit.index.doubles import clustered
from vectron_p2p.index import hnsw
from vectron_p2p.index.hnsw import NONE, Graph
from vectron_p2p.query.scoring import normalise
from vectron_p2p.runtime.crew import ThreadCrew


def filled(count: int, dimension: int = 16, metric: str = "cosine") -> tuple[Graph, np.ndarray]:
    matrix = normalise(clustered(count, dimension)) if metric == "cosine" else clustered(count, dimension)
    graph = Graph(dimension, metric, 16, 100)
    if graph.needs_growth(count):
        graph.grow(count)
    graph.add(np.arange(count, dtype=np.int64), matrix, 1)
    return graph, matrix


def test_an_empty_graph_answers() -> None:
    labels = Graph(4, "cosine", 16, 100).search(np.ones((2, 4), dtype=np.float32), 5)
    assert labels.shape == (2, 5)
    assert (labels == NONE).all()


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_labels_come_nearest_first(metric: str) -> None:
    graph, matrix = filled(500, metric=metric)
    labels = graph.search(matrix[:3], 20)
    if metric != "dot":
        assert labels[:, 0].tolist() == [0, 1, 2]
    near = -((matrix[labels[0]] - matrix[0]) ** 2).sum(axis=1) if metric == "l2" else matrix[labels[0]] @ matrix[0]
    assert (np.diff(near) <= 1e-4).all()
    assert near[0] > near[-1]


def test_asking_for_more_than_there_is() -> None:
    graph, matrix = filled(10)
    labels = graph.search(matrix[:1], 50)
    assert sorted(labels[0].tolist()) == list(range(10))


def test_one_query_that_cannot_be_filled_does_not_take_the_batch_with_it() -> None:
    """With M = 2 and many copies parts of a graph are unreachable; hnswlib then raises for the whole batch."""
    graph = Graph(2, "l2", 2, 4)
    matrix = np.repeat(np.eye(2, dtype=np.float32), 150, axis=0)
    graph.add(np.arange(300, dtype=np.int64), matrix, 1)
    labels = graph.search(matrix[::50], 60)
    assert labels.shape == (6, 60)
    assert (labels[:, :30] != NONE).all()  # half of what was asked can be reached
    assert (labels[:, 30:] == NONE).all()


def test_growing_keeps_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hnsw, "FIRST_CAPACITY", 64)
    graph, _ = filled(300)
    matrix = normalise(clustered(900, 16))
    for at in range(300, 900, 50):
        if graph.needs_growth(50):
            graph.grow(50)
        graph.add(np.arange(at, at + 50, dtype=np.int64), matrix[at : at + 50], 1)
    assert graph.count == 900 <= graph.capacity
    assert (graph.search(matrix[300:], 10)[:, 0] == np.arange(300, 900)).mean() > 0.95


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_adding_goes_on_while_it_may(threads: int) -> None:
    matrix, labels = normalise(clustered(600, 16)), np.arange(600, dtype=np.int64)
    graph = Graph(16, "cosine", 16, 100)
    answers = [True] * 7
    done = graph.add_while(labels, matrix, ThreadCrew(threads), 20, lambda: bool(answers and answers.pop()))
    assert 20 * (threads + 7) == done == graph.count  # every thread's first, and one for each True
    assert sorted(graph.search(matrix[:1], done)[0].tolist()) == list(range(done))
    assert graph.add_while(labels[done:], matrix[done:], ThreadCrew(threads), 20, lambda: True) == 600 - done
    assert (graph.search(matrix, 10)[:, 0] == labels).mean() > 0.95


def test_adding_more_than_there_is_room_for_fails_whichever_thread_does() -> None:
    matrix, room = normalise(clustered(hnsw.FIRST_CAPACITY + 100, 4)), hnsw.FIRST_CAPACITY
    graph = Graph(4, "cosine", 4, 10)
    labels = np.arange(room + 100, dtype=np.int64)
    with pytest.raises(RuntimeError):
        graph.add_while(labels, matrix, ThreadCrew(2), 64, lambda: True)
    assert graph.count == room, "what was inserted takes room"
    assert graph.needs_growth(1)
    graph.grow(100)
    assert graph.add_while(labels, matrix, ThreadCrew(2), 64, lambda: True) == len(labels)
    assert graph.count == len(labels), "tried again, none is there twice"


def test_save_and_load(tmp_path: Path) -> None:
    graph, matrix = filled(400)
    graph.save(tmp_path / "graph")
    copy = Graph.load(tmp_path / "graph", 16, "cosine", 16, 100, 400)
    assert copy.count == 400
    np.testing.assert_array_equal(copy.search(matrix[:50], 10), graph.search(matrix[:50], 10))
    assert not copy.needs_growth(1)


def test_equal_inserts_give_equal_graphs() -> None:
    queries = normalise(clustered(30, 16, seed=9))
    np.testing.assert_array_equal(filled(800)[0].search(queries, 30)[0], filled(800)[0].search(queries, 30)[0])


def test_no_other_file_imports_hnswlib() -> None:
    package = Path(hnsw.__file__).parents[1]
    users = [
        path.name
        for path in package.rglob("*.py")
        if re.search(r"^\s*(import|from) hnswlib", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert sorted(users) == ["hnsw.py", "raw.py"]  # the second is the measure that `vectron bench` compares with
