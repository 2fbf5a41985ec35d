"""Replication rules over drawn histories."""

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from vectron_p2p.model.ids import CollectionId, NodeId, ShardId, encode_point_id
from vectron_p2p.replication.hints import HintBook, HintLimits
from vectron_p2p.replication.hlc import HybridClock, admit, ms_of, stamp_of
from vectron_p2p.replication.joint import JointQuorum
from vectron_p2p.replication.merkle import MerkleTree, diff, leaf_of
from vectron_p2p.replication.quorum import RowState, WriteRound
from vectron_p2p.replication.reads import ReadRound
from vectron_p2p.replication.version import content_digest, make_version, stamp, version_node

NODES = [NodeId(f"00000000-0000-4000-8000-{i:012x}") for i in range(1, 8)]
WALL = 1_700_000_000_000
ids = st.one_of(st.integers(0, 2**64 - 1), st.text(min_size=1, max_size=20))
maybe_bytes = st.none() | st.binary(max_size=20)
contents = st.tuples(ids, maybe_bytes, maybe_bytes)
versions = st.builds(
    make_version, st.integers(1, 5), st.sampled_from(NODES[:3]), st.sampled_from([b"\x00" * 16, b"\xff" * 16])
)


@given(contents, contents)
def test_digests_are_equal_only_for_equal_contents(one: Any, two: Any) -> None:
    assert (content_digest(*one) == content_digest(*two)) == (one == two)


@given(st.integers(0, 2**64 - 1), st.sampled_from(NODES), st.binary(min_size=16, max_size=16))
def test_versions_come_apart_again(number: int, node: NodeId, digest: bytes) -> None:
    version = make_version(number, node, digest)
    assert (stamp(version), version_node(version), version[24:]) == (number, node, digest)


# --- the hybrid clock -------------------------------------------------------------------------------------------------

clock_steps = st.lists(
    st.one_of(
        st.tuples(st.just("stamp"), st.integers(-2000, 2000)),
        st.tuples(st.just("observe"), st.integers(-5000, 5000)),
        st.tuples(st.just("offset"), st.integers(0, 3), st.integers(-3000, 3000)),
        st.tuples(st.just("restart")),
    ),
    max_size=40,
)


@given(clock_steps)
def test_stamps_of_a_node_rise_over_restarts_whatever_its_wall_clock_does(steps: list[tuple[Any, ...]]) -> None:
    clock, disk, wall, last = HybridClock(), 0, WALL, 0
    for kind, *rest in steps:
        if kind == "restart":
            clock = HybridClock(disk)
        elif kind == "observe":
            clock.observe(stamp_of(wall + rest[0]), wall)
        elif kind == "offset":
            clock.set_peer_offset(NODES[rest[0]], rest[1], 0.0)
        else:
            wall += rest[0]
            mark = clock.needs_mark(wall)
            if mark is not None:
                disk = mark
                clock.mark_persisted(mark)
            new = clock.stamp(wall)
            assert new > last
            assert new <= disk
            last = new


@given(clock_steps)
def test_with_sound_clocks_every_stamp_is_accepted_everywhere(steps: list[tuple[Any, ...]]) -> None:
    """A node's wall clock only goes forward here; messages may claim anything, restarts come at any moment."""
    clock, disk, wall = HybridClock(), 0, WALL
    for kind, *rest in steps:
        if kind == "restart":
            clock = HybridClock(disk)
            wall += 1  # nothing restarts in no time
        elif kind == "observe":
            clock.observe(stamp_of(wall + rest[0]), wall)
        elif kind == "stamp":
            wall += abs(rest[0])
            mark = clock.needs_mark(wall)
            if mark is not None:
                disk = mark
                clock.mark_persisted(mark)
            # 50 ms a restart is the most that repeated restarts can add; they take longer than that.
            if sum(step[0] == "restart" for step in steps) <= 1:
                assert admit(clock.stamp(wall), wall)


@given(st.lists(st.integers(-100_000, 100_000), min_size=1, max_size=7), st.integers(0, 10**6))
def test_a_majority_accepts_the_time_that_a_node_goes_by(offsets: list[int], base: int) -> None:
    clock = HybridClock()
    for node, offset in zip(NODES, offsets[1:], strict=False):
        clock.set_peer_offset(node, offset, 0.0)
    own = WALL + base
    clocks = [own, *(own + offset for offset in offsets[1:])]
    stamp_now = stamp_of(clock.wall(own))
    assert sum(admit(stamp_now, wall) for wall in clocks) >= len(clocks) // 2 + 1
    if len([wall for wall in clocks if abs(wall - own) <= 500]) > len(clocks) // 2:
        assert ms_of(stamp_now) == own


# --- merging replicas -------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 3), versions), max_size=12), st.randoms(use_true_random=False))
def test_apply_if_newer_is_commutative_and_idempotent(writes: list[tuple[int, bytes]], random: Any) -> None:
    def merged(sequence: list[tuple[int, bytes]]) -> dict[int, bytes]:
        held: dict[int, bytes] = {}
        for key, version in sequence:
            held[key] = max(held.get(key, b""), version)
        return held

    shuffled = writes * 2
    random.shuffle(shuffled)
    assert merged(shuffled) == merged(writes)


@given(st.lists(st.tuples(ids, versions), max_size=30), st.lists(st.tuples(ids, versions), max_size=10), st.data())
def test_merkle_sums_depend_on_the_set_only(rows: list[Any], extra: list[Any], data: st.DataObject) -> None:
    one, two = MerkleTree(), MerkleTree()
    for point_id, version in rows:
        one.add(encode_point_id(point_id), version)
    for point_id, version in data.draw(st.permutations(rows + extra)):
        two.add(encode_point_id(point_id), version)
    expected = sorted({leaf_of(encode_point_id(point_id)) for point_id, _ in extra})
    assert diff(one.leaves(), two.leaves()) == expected
    for point_id, version in data.draw(st.permutations(extra)):
        two.remove(encode_point_id(point_id), version)
    assert one.root() == two.root()


# --- quorum rounds against owners that really hold something ----------------------------------------------------------


class Owner:
    """An owner's row: what it held before, and whether its answer gets through."""

    def __init__(self, held: bytes, fate: str) -> None:
        self.held = held
        self.fate = fate

    def apply(self, version: bytes) -> bytes | None:
        if self.fate == "skewed" and version > self.held:
            return None
        self.held = max(self.held, version)
        return self.held


owners_drawn = st.lists(
    st.tuples(st.just(b"") | versions, st.sampled_from(["answers", "skewed", "silent-applied", "silent", "unsent"])),
    min_size=1,
    max_size=5,
)


@given(owners_drawn, versions, st.randoms(use_true_random=False), st.data())
def test_write_rounds_claim_only_what_is_so(
    drawn: list[tuple[bytes, str]], version: bytes, random: Any, data: st.DataObject
) -> None:
    assume(all(held != version for held, _ in drawn))  # a write's version is new
    names = NODES[: len(drawn)]
    required = data.draw(st.integers(1, len(drawn)))
    owners = dict(zip(names, (Owner(held, fate) for held, fate in drawn), strict=True))
    write = WriteRound(JointQuorum.of(names, required), [version])
    order = list(names)
    random.shuffle(order)
    decided: RowState | None = None
    for name in order:
        owner = owners[name]
        if owner.fate in ("answers", "skewed"):
            write.record(name, [owner.apply(version)])
        elif owner.fate == "unsent":
            write.record_unsent(name)
        else:
            if owner.fate == "silent-applied":
                owner.apply(version)
            write.record_failure(name)
        if decided is None and write.decided:
            decided = write.outcome().states[0]
            assert decided is not RowState.PENDING
    holders = sum(owner.held == version for owner in owners.values())
    final = write.outcome()
    assert final.states[0] is decided or decided is RowState.UNKNOWN
    if decided is RowState.DONE:
        assert holders >= required
        assert final.error is None
    if decided in (RowState.RESTAMP, RowState.REFUSED):
        assert holders == 0
    if decided is RowState.RESTAMP:
        assert final.above == [
            max(stamp(owner.held) for owner in owners.values() if owner.fate in ("answers", "skewed"))
        ]
    if decided in (RowState.UNKNOWN, RowState.REFUSED):
        assert final.error is not None


@given(
    st.lists(
        st.tuples(st.lists(st.just(b"") | versions, min_size=2, max_size=2), st.booleans()), min_size=1, max_size=5
    ),
    st.randoms(use_true_random=False),
    st.data(),
)
def test_read_rounds_confirm_only_what_a_quorum_holds(drawn: list[Any], random: Any, data: st.DataObject) -> None:
    names = NODES[: len(drawn)]
    required = len(drawn) // 2 + 1
    held = {name: list(rows) for name, (rows, _) in zip(names, drawn, strict=True)}
    before = {name: list(rows) for name, rows in held.items()}
    answers = {name: answering for name, (_, answering) in zip(names, drawn, strict=True)}
    read = ReadRound(names, required, 2)
    order = list(names)
    random.shuffle(order)
    for name in order:
        if answers[name]:
            read.record(name, [version or None for version in held[name]])
        else:
            read.record_failure(name)
        for back in read.write_backs():
            sent = [read.newest(row) or b"" for row in back.rows]
            for row, version in zip(back.rows, sent, strict=True):
                held[back.owner][row] = max(held[back.owner][row], version)
            read.record_write_back(back.owner, back.rows, [held[back.owner][row] or None for row in back.rows])
    live = [name for name in names if answers[name]]
    assert read.failed == (len(live) < required)
    assert read.complete == (len(live) >= required and not read.again)
    for row in range(2):
        if read.complete:
            newest = read.newest(row) or b""
            assert newest == max(before[name][row] for name in live)
            assert sum(versions[row] == newest for versions in held.values()) >= required
            source = read.source(row)
            assert source is None or before[source][row] == newest


# --- hints ------------------------------------------------------------------------------------------------------------


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2), st.integers(0, 1), st.integers(1, 12), st.sampled_from(["add", "deliver", "expire"])
        ),
        max_size=60,
    )
)
def test_a_hint_is_kept_delivered_or_marked(steps: list[tuple[int, int, int, str]]) -> None:
    limits = HintLimits(target_bytes=20, total_bytes=30, age_s=5.0)
    book: HintBook[int] = HintBook(limits)
    owed: dict[int, tuple[NodeId, ShardId]] = {}
    numbers = itertools.count()
    for now, (target_number, shard_number, size, kind) in enumerate(steps):
        target, shard = NODES[target_number], ShardId(CollectionId("c"), shard_number)
        if kind == "add":
            item = next(numbers)
            owed[item] = (target, shard)
            book.add(target, shard, item, size, float(now))
        elif kind == "deliver":
            hints = book.peek(target, max_bytes=size)
            assert bool(hints) == bool(book.count_for(target))
            if hints:
                book.delivered(target, hints[-1].sequence)
                for hint in hints:
                    del owed[hint.item]
        else:
            book.expire(float(now))
        kept = [hint for node in book.targets for hint in book.peek(node, max_bytes=10**9)]
        assert book.count == len(kept)
        assert book.bytes == sum(hint.size for hint in kept) <= limits.total_bytes
        assert all(
            sum(hint.size for hint in kept if hint.target == node) <= limits.target_bytes for node in book.targets
        )
        here = {hint.item for hint in kept}
        for item, replica in owed.items():
            assert item in here or replica in book.needs_repair
