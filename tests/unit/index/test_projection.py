"""Which dimensions a graph may do without, what it finds then, and what happens when vectors of another kind come."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.unit.index.doubles import clustered, forbid_copies, link_all, make, rebuild_all, row, rows
from vectron_p2p.index.projection import LEAST_DIMENSION, NOISE, STEP, Projection, fit, sample_size
from vectron_p2p.index.shard_index import ShardIndex
from vectron_p2p.query.filters import parse_filter
from vectron_p2p.query.scoring import Matrix, pair_scores, prepare
from vectron_p2p.sample import load_sample

METRICS = ["cosine", "dot", "l2"]


@pytest.fixture(scope="module")
def sentences() -> Matrix:
    """Real embeddings, (8000, 384)."""
    return np.asarray(load_sample().vectors, dtype=np.float32)


def flat(count: int, dimension: int, *, within: int, seed: int = 5, noise: float = 0.02) -> Matrix:
    """Vectors that differ in `within` of their directions, and hardly in the others."""
    rng = np.random.default_rng(seed)
    return np.asarray(
        rng.normal(size=(count, within)) @ rng.normal(size=(within, dimension)) / within**0.5
        + noise * rng.normal(size=(count, dimension)),
        dtype=np.float32,
    )


def fitted(rows: Matrix, metric: str) -> Projection:
    projection = fit(rows, metric)
    assert projection is not None
    return projection


def truth(matrix: Matrix, queries: Matrix, k: int, metric: str) -> list[set[int]]:
    prepared, asked = prepare(matrix, metric), prepare(queries, metric)
    scores = np.stack([pair_scores(query[None, :], prepared, metric) for query in asked])
    order = np.argsort(scores if metric == "l2" else -scores, axis=1, kind="stable")
    return [set(best.tolist()) for best in order[:, :k]]


def recall(index: ShardIndex, queries: Matrix, wanted: list[set[int]], **how: object) -> float:
    shares = []
    for query, true in zip(queries, wanted, strict=True):
        (hits,), plan = index.search(query[None, :], k=len(true), **how)  # type: ignore[arg-type]
        assert plan["plan"] == "graph"
        shares.append(len(set(hits.ids) & true) / len(true))
    return float(np.mean(shares))


# --- the fit ----------------------------------------------------------------------------------------------------------


def test_sentences_need_half_of_their_dimensions(sentences: Matrix) -> None:
    projection = fitted(prepare(sentences, "cosine"), "cosine")
    assert projection.basis.shape == (384, projection.width)
    assert 160 <= projection.width <= 224
    assert projection.width % STEP == 0
    np.testing.assert_allclose(projection.basis.T @ projection.basis, np.eye(projection.width), atol=1e-4)
    assert 0.05 < projection.lost < 0.2


@pytest.mark.parametrize("metric", METRICS)
def test_products_are_off_by_no_more_than_allowed(metric: str, sentences: Matrix) -> None:
    """Of vectors that had no part in the fit, nor in choosing its width."""
    known, others = prepare(sentences[:6_000], metric), prepare(sentences[6_000:6_500], metric)
    projection = fitted(known, metric)
    if metric == "l2":
        others = others - others.mean(axis=0)
    placed = projection.of(others)
    there, here = (np.einsum("ij,ij->i", rows[:250], rows[250:]) for rows in (others, placed))
    assert float((there - here).std()) < 1.2 * NOISE * float(there.std())


@pytest.mark.parametrize("metric", METRICS)
def test_random_vectors_are_not_reduced(metric: str) -> None:
    rng = np.random.default_rng(1)
    assert fit(prepare(rng.normal(size=(4_000, 128)).astype(np.float32), metric), metric) is None


@pytest.mark.parametrize("metric", METRICS)
def test_what_lies_in_few_directions_needs_these(metric: str) -> None:
    matrix = flat(3_000, 128, within=20)
    assert fitted(prepare(matrix, metric), metric).width == 32
    if metric == "l2":  # far from the origin, where products are all alike
        assert fitted(matrix + np.float32(50.0), metric).width <= 48


@pytest.mark.parametrize(
    "matrix",
    [
        pytest.param(flat(3_000, LEAST_DIMENSION - 16, within=8), id="few dimensions"),
        pytest.param(flat(128, 128, within=8), id="few vectors"),
        pytest.param(flat(0, 128, within=8), id="none"),
        pytest.param(np.ones((3_000, 128), dtype=np.float32), id="equal ones"),
        pytest.param(np.zeros((3_000, 128), dtype=np.float32), id="zeros"),
    ],
)
def test_nothing_is_reduced_that_says_nothing(matrix: Matrix) -> None:
    for metric in METRICS:
        assert fit(prepare(matrix, metric), metric) is None


def test_a_sample_stays_small() -> None:
    assert [sample_size(dimension) for dimension in (16, 384, 1_536, 2_048, 4_096)] == [0, 8_192, 5_461, 4_096, 0]


# --- the index --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", METRICS)
def test_a_graph_of_fewer_dimensions_finds_the_nearest(metric: str) -> None:
    matrix = flat(3_060, 128, within=40, noise=0.1)
    matrix, queries = matrix[:3_000] * np.linspace(1, 2, 3_000, dtype=np.float32)[:, None], matrix[3_000:]
    index = make(128, metric)
    index.apply(rows(matrix))
    link_all(index)
    hits, plan = index.search(queries, k=10, ef=100)
    assert plan["dimensions"] == 48
    assert recall(index, queries, truth(matrix, queries, 10, metric), ef=100) > 0.95
    found = matrix[np.asarray(hits[0].ids, dtype=np.int64)]
    scored = pair_scores(prepare(queries[:1], metric), prepare(found, metric), metric)
    np.testing.assert_allclose(hits[0].scores, scored, rtol=1e-5)  # of whole vectors


def test_the_narrowest_beam_is_wide_enough_to_rank_what_it_holds() -> None:
    matrix, queries = flat(3_000, 128, within=24, noise=0.05), flat(50, 128, within=24, seed=6, noise=0.05)
    queries = matrix[:50] + 0.3 * queries
    index = make(128)
    index.apply(rows(matrix))
    link_all(index)
    plan = index.search(queries, k=10, ef=10)[1]
    assert (plan["plan"], plan["ef"], plan["fetch"]) == ("graph", 30, 30)
    assert index.search(queries, k=10, ef=64)[1]["ef"] == 64
    plain = make(16)
    plain.apply(rows(matrix[:, :16]))
    link_all(plain)
    assert plain.search(queries[:, :16], k=10, ef=10)[1]["ef"] == 10


def test_a_filter_finds_the_nearest_that_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_copies(monkeypatch)
    matrix = flat(12_000, 128, within=30)
    index = make(128)
    index.apply([row(i, 1, vector, {"kept": i % 4 > 0}) for i, vector in enumerate(matrix)])
    link_all(index)
    queries = matrix[:40] + 0.5 * matrix[40:80]
    kept = np.flatnonzero(np.arange(len(matrix)) % 4)
    wanted = [{int(kept[place]) for place in best} for best in truth(matrix[kept], queries, 5, "cosine")]
    assert recall(index, queries, wanted, filter=parse_filter({"kept": True}), ef=64) > 0.97


def test_vectors_of_another_kind_call_for_a_rebuild() -> None:
    kind, other = flat(2_500, 128, within=20), flat(1_500, 128, within=20, seed=8)
    index = make(128)
    index.apply(rows(kind))
    link_all(index)
    assert not index.needs_rebuild
    index.apply(rows(other, first=2_500))
    link_all(index)
    assert index.needs_rebuild
    assert not index.rebuild_urgent, "nothing is lost meanwhile"
    rebuild_all(index)
    assert not index.needs_rebuild
    both = np.concatenate([kind, other])
    queries = both[::80] + 0.3 * both[1::80]
    assert index.search(queries, k=10)[1]["dimensions"] == 48
    assert recall(index, queries, truth(both, queries, 10, "cosine"), ef=100) > 0.97


def test_a_rebuild_is_not_repeated_where_the_new_projection_is_no_better(monkeypatch: pytest.MonkeyPatch) -> None:
    optimistic = fitted(prepare(flat(2_500, 128, within=20), "cosine"), "cosine").basis
    monkeypatch.setattr("vectron_p2p.index.layer.fit", lambda _rows, _metric: Projection(optimistic, lost=0.0))
    index = make(128)
    index.apply(rows(flat(2_500, 128, within=20, seed=8)))
    link_all(index)
    assert index.needs_rebuild
    rebuild_all(index)
    assert not index.needs_rebuild


def test_a_rebuild_of_vectors_that_cannot_be_reduced_holds_them_whole() -> None:
    index = make(64)
    index.apply(rows(flat(2_500, 64, within=8)))
    link_all(index)
    assert index.search(flat(1, 64, within=8), k=5)[1]["dimensions"] == 16
    index.apply(rows(clustered(4_000, 64, clusters=4_000), first=2_500))
    link_all(index)
    assert index.needs_rebuild
    rebuild_all(index)
    assert index.search(flat(1, 64, within=8), k=5)[1]["dimensions"] == 64
    assert not index.needs_rebuild


def test_a_snapshot_keeps_the_projection_and_what_it_has_seen(tmp_path: Path) -> None:
    matrix = flat(2_600, 128, within=20)
    index = make(128, folder=tmp_path)
    index.apply(rows(matrix))
    link_all(index)
    assert index.save()
    again = make(128, folder=tmp_path)
    report = again.load(rows(matrix))
    assert (report.restored, report.snapshot) == (2_600, "used")
    queries = matrix[:30]
    assert [one.ids for one in again.search(queries, k=5)[0]] == [one.ids for one in index.search(queries, k=5)[0]]
    assert again.search(queries, k=5)[1]["dimensions"] == 32
    for one in (index, again):
        assert not one.needs_rebuild
        one.apply(rows(flat(1_000, 128, within=20, seed=8), first=2_600))
        link_all(one)
        assert one.needs_rebuild, "counted on from where it was saved"
