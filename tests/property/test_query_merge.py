"""Merging against one sorted list, and QUORUM searches against the acknowledged truth."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vectron_p2p.model.ids import NodeId
from vectron_p2p.query.merge import QuorumSearchRound, Scored, merge_hits, sort_hits

metrics = st.sampled_from(["cosine", "dot", "l2"])
scores = st.integers(0, 6).map(float)  # few values: ties are the hard part
versions = st.integers(1, 4).map(lambda stamp: stamp.to_bytes(40, "big"))
ids = st.one_of(st.integers(0, 12), st.sampled_from(["a", "b", "c"]))


@given(st.lists(st.dictionaries(ids, st.tuples(scores, versions), max_size=8), max_size=4), st.integers(1, 9), metrics)
def test_merging_is_sorting_the_union(parts, k, metric) -> None:
    lists = [
        sort_hits([Scored(point, score, version) for point, (score, version) in part.items()], metric) for part in parts
    ]
    newest: dict[int | str, Scored] = {}
    for hits in lists:
        for hit in hits:
            if hit.id not in newest or hit.version > newest[hit.id].version:
                newest[hit.id] = hit
    expected = sort_hits(newest.values(), metric)
    merged = merge_hits(lists, k, metric)
    assert [(hit.id, hit.score) for hit in merged] == [(hit.id, newest[hit.id].score) for hit in expected[:k]]
    assert merge_hits(lists, k, metric, offset=2) == merge_hits(lists, k + 2, metric)[2:]


@st.composite
def replicas(draw):
    """Three owners with a history of writes, each acknowledged by two of them or (not acknowledged) by one."""
    owners: list[dict[int, tuple[int, float | None]]] = [{}, {}, {}]
    acked: dict[int, tuple[int, float | None]] = {}
    for version in range(1, draw(st.integers(0, 25)) + 1):
        point = draw(st.integers(0, 7))
        score = draw(st.one_of(st.none(), scores))  # None: a tombstone, or a row that fails the filter
        holders = draw(st.sets(st.integers(0, 2), min_size=1, max_size=3))
        for owner in holders:
            owners[owner][point] = (version, score)
        if len(holders) >= 2:
            acked[point] = (version, score)
    return owners, acked


@given(replicas(), st.sampled_from([(0, 1), (0, 2), (1, 2)]), st.integers(1, 5), metrics)
def test_a_quorum_search_returns_the_newest_rows_and_misses_no_acknowledged_one(state, asked, k, metric) -> None:
    owners, acked = state
    newest = {
        point: max((owners[owner][point] for owner in range(3) if point in owners[owner]), key=lambda row: row[0])
        for point in {point for owner in owners for point in owner}
    }

    def answer(owner: int, depth: int) -> list[Scored]:
        live = [
            Scored(point, score, version.to_bytes(40, "big"))
            for point, (version, score) in owners[owner].items()
            if score is not None
        ]
        return sort_hits(live, metric)[:depth]

    depth = k
    for _ in range(8):
        step = QuorumSearchRound(k, metric, 2, asked=depth)
        for owner in asked:
            step.record(NodeId(str(owner)), answer(owner, depth))
        rows = {}
        for point in step.to_verify():
            # A quorum read answers with the newest version known to the owners that were asked, and writes it back.
            version, score = max(
                (owners[owner][point] for owner in asked if point in owners[owner]), key=lambda row: row[0]
            )
            rows[point] = None if score is None else Scored(point, score, version.to_bytes(40, "big"))
        step.verified(rows)
        if not step.needs_refill:
            break
        depth = step.next_k
    else:
        raise AssertionError("refills do not end")
    result = step.result()
    assert result == sort_hits(result, metric)
    for hit in result:
        if hit.id in acked:
            assert int.from_bytes(hit.version, "big") >= acked[hit.id][0]
    shown = {hit.id for hit in result}
    for point, (version, score) in acked.items():
        if newest[point][0] != version or score is None or point in shown:
            continue
        # Acknowledged, the newest, matching, and not shown: then k others are at least as good.
        assert len(result) == k
        worse = result[-1].score
        assert worse <= score if metric == "l2" else worse >= score
