"""Graph snapshots: used when they match the rows, row by row; rebuilt when torn, missing or foreign."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.unit.index.doubles import Row, clustered, link_all, make, row, rows
from vectron_p2p.index import forking, snapshot
from vectron_p2p.index.restore import LoadReport
from vectron_p2p.index.shard_index import ShardIndex
from vectron_p2p.model.ids import PointId
from vectron_p2p.query.filters import parse_filter

MATRIX = clustered(2_500, 16)


def store(folder: Path) -> dict[PointId, Row]:
    """A saved index's rows, as a store would hold them."""
    index = make(16, folder=folder)
    held: dict[PointId, Row] = {one.id: one for one in rows(MATRIX)}
    held[2_499] = row(2_499, 1, MATRIX[0])  # a copy: shares the label of 0
    index.apply(list(held.values()))
    link_all(index)
    assert index.save()
    assert index.unsaved == 0
    return held


def reopen(folder: Path, held: dict[PointId, Row], **options: int) -> tuple[ShardIndex, LoadReport]:
    index = make(16, "cosine", folder, **options)
    return index, index.load(held.values())


def check(index: ShardIndex, held: dict[PointId, Row]) -> None:
    live = [one for one in held.values() if one.vector is not None]
    assert index.live == len(live)
    hits, _ = index.search(MATRIX[::25], k=2, ef=200)
    for i, one in zip(range(0, 2_500, 25), hits, strict=True):
        if (kept := held.get(i)) is not None and kept.vector == MATRIX[i].tobytes():
            assert i in one.ids
            assert one.versions[one.ids.index(i)] == kept.version


def test_restart_uses_the_graph(tmp_path: Path) -> None:
    held = store(tmp_path)
    index, report = reopen(tmp_path, held)
    assert report == LoadReport(2_500, 2_500, "used")
    assert (index.linked, index.unlinked, index.garbage, index.unsaved) == (2_500, 0, 0, 0)
    check(index, held)
    assert index.search(MATRIX[:1], k=2)[0][0].ids == [0, 2_499]
    index.apply([row("new", 2, MATRIX[7])])  # the copy finds its label also after a restart
    link_all(index)
    assert index._layer.labels == 2_499
    assert index.search(MATRIX[7:8], k=2)[0][0].ids == [7, "new"]


def test_rows_changed_since_are_taken_from_the_store(tmp_path: Path) -> None:
    held = store(tmp_path)
    held[3] = row(3, 2, -MATRIX[3])
    held[4] = row(4, 2, MATRIX[4])
    held[5] = row(5, 2, None)
    del held[6]
    held["added"] = row("added", 2, -MATRIX[8])
    held[0] = row(0, 2, None)  # its copy keeps the label alive
    index, report = reopen(tmp_path, held)
    assert report == LoadReport(2_498, 2_495, "used")
    assert (index.linked, index.unlinked) == (2_495, 3)
    assert index.garbage == 4
    for _ in range(2):
        check(index, held)
        assert index.search(-MATRIX[3:4], k=1)[0][0].ids == [3]
        assert index.search(-MATRIX[8:9], k=1)[0][0].ids == ["added"]
        assert index.search(MATRIX[:1], k=1)[0][0].ids == [2_499]
        for one in index.search(MATRIX[:7], k=50)[0]:
            assert not {0, 5, 6} & set(one.ids)
        link_all(index)
    assert index.garbage == 4  # also of 4 and its vector: the store no longer told what the label stood for


def test_a_second_restart_after_a_second_save(tmp_path: Path) -> None:
    held = store(tmp_path)
    index, _ = reopen(tmp_path, held)
    changes = [row(i, 2, -MATRIX[i]) for i in range(50)]
    index.apply(changes)
    held.update((one.id, one) for one in changes)
    link_all(index)
    assert index.save()
    assert len(list(tmp_path.glob("graph-*"))) == 1
    index, report = reopen(tmp_path, held)
    assert report == LoadReport(2_500, 2_500, "used")
    assert index.unlinked == 0
    check(index, held)


def graph_file(folder: Path) -> Path:
    return next(iter(folder.glob(f"{snapshot.PREFIX}*")))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda folder: (folder / snapshot.SIDECAR).unlink(), "missing"),
        (lambda folder: cut(folder / snapshot.SIDECAR), "torn"),
        (lambda folder: flip(folder / snapshot.SIDECAR), "torn"),
        (lambda folder: (folder / snapshot.SIDECAR).write_bytes(b""), "torn"),
        (lambda folder: cut(graph_file(folder)), "torn"),
        (lambda folder: flip(graph_file(folder)), "torn"),
        (lambda folder: graph_file(folder).unlink(), "unreadable"),
    ],
)
def test_a_damaged_snapshot_is_built_anew(tmp_path: Path, damage, why: str) -> None:
    held = store(tmp_path)
    damage(tmp_path)
    index, report = reopen(tmp_path, held)
    assert why in report.snapshot
    assert report.restored == 0
    check(index, held)
    link_all(index)
    check(index, held)
    assert index.save()
    assert reopen(tmp_path, held)[1].snapshot == "used"


def test_a_snapshot_of_other_options_is_not_used(tmp_path: Path) -> None:
    held = store(tmp_path)
    assert reopen(tmp_path, held, m=8)[1].snapshot == "made with other options"


def test_leftovers_of_a_crash_are_removed(tmp_path: Path) -> None:
    (tmp_path / "graph-1-2-3.new").write_bytes(b"cut short")
    store(tmp_path)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == ["", ".meta"]


def test_a_failed_save_keeps_the_snapshot_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = store(tmp_path)
    index, _ = reopen(tmp_path, held)

    def broken(*_: object) -> None:
        raise OSError("disk")

    monkeypatch.setattr(snapshot, "_write_graph", broken)
    assert not index.save()
    monkeypatch.undo()
    assert reopen(tmp_path, held)[1].snapshot == "used"


def test_nothing_to_save() -> None:
    index = make(16)
    index.apply(rows(MATRIX))
    link_all(index)
    assert not index.save()  # no folder


# --- the child ---


def test_a_child_reports_success_and_failure() -> None:
    assert forking.wait(forking.start(lambda: None))

    def fail() -> None:
        raise RuntimeError

    assert not forking.wait(forking.start(fail))


def test_a_child_holds_no_descriptor_of_its_parent(tmp_path: Path) -> None:
    inherited = os.open(tmp_path, os.O_RDONLY)
    null = os.stat(os.devnull)

    def look() -> None:
        for descriptor in range(3):
            if os.fstat(descriptor).st_rdev != null.st_rdev:
                os._exit(2)
        try:
            os.fstat(inherited)
        except OSError:
            return
        os._exit(3)

    try:
        assert forking.wait(forking.start(look))
    finally:
        os.close(inherited)


def test_payloads_of_a_start_are_indexed_by_who_asks_first_or_by_upkeep(tmp_path: Path) -> None:
    """Rows written, replaced and removed between the start and the first filter are seen as they are now."""
    matrix = clustered(2_600, 8)
    stored = {
        i: row(i, 1, vector, {"n": i, "parity": "even" if i % 2 == 0 else "odd"}) for i, vector in enumerate(matrix)
    }
    index = make(8, folder=tmp_path)
    index.apply(list(stored.values()))
    link_all(index)
    assert index.save()
    index.close()
    for portions, restored in ((0, 2_600), (1, 2_600), (0, 0), (1, 0)):
        if not restored:
            (tmp_path / "graph.meta").unlink(missing_ok=True)
        again = make(8, folder=tmp_path)
        assert again.load(sorted(stored.values(), key=lambda each: str(each.id))).restored == restored
        assert again.payloads_wait
        for _ in range(portions):
            again.index_payloads()
        changes = [
            row(1, 2, matrix[1], {"n": 1, "parity": "even"}),
            row(2, 2, None),
            row("new", 2, matrix[2], {"parity": "even"}),
        ]
        again.apply(changes)
        hits, _ = again.search(matrix[:1], k=2_600, filter=parse_filter({"parity": "even"}))
        assert {str(each) for each in hits[0].ids} == {*map(str, range(0, 2_600, 2)), "1", "new"} - {"2"}
        assert not again.payloads_wait
        again.close()
