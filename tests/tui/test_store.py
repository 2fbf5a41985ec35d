from __future__ import annotations

import pytest

from tests.tui.factories import cluster, collection, node, node_id, silent, status, taken
from tui.events import Severity, collection_changes, status_changes
from tui.store import DETAIL_STALE_AFTER_S, EVENTS, HISTORY, STALE_AFTER_S, LinkState, Phase, Store, total_points

ADDRESS = "127.0.0.1:7701"


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def live(store: Store) -> Store:
    """Answered at 100 s."""
    store.trying(ADDRESS, 1)
    store.answered(ADDRESS, taken(status(), [collection()]), 100.0)
    store.put(store.details, cluster(), 100.0)
    return store


def _texts(store: Store) -> list[str]:
    return [event.text for event in store.events]


class TestLink:
    def test_connecting_until_the_first_answer(self, store):
        store.trying(ADDRESS, 1)
        assert store.link.state(0) is LinkState.CONNECTING
        store.failed(ADDRESS, "refused", 1.0)
        assert store.link.state(1) is LinkState.CONNECTING
        assert store.link.age(5) == 0.0

    def test_lost_when_nobody_ever_answered(self, store):
        store.failed(ADDRESS, "refused", 1.0)
        store.exhausted(1.0)
        assert store.link.state(1) is LinkState.LOST
        assert store.phase(store.status, 1) is Phase.ERROR

    def test_live_while_answers_come(self, live):
        assert live.link.state(100 + STALE_AFTER_S) is LinkState.LIVE

    def test_silence_is_stale_within_three_seconds(self, live):
        assert STALE_AFTER_S < 3
        assert live.link.state(100 + STALE_AFTER_S + 0.01) is LinkState.STALE

    def test_a_failure_is_stale_at_once(self, live):
        live.failed(ADDRESS, "refused", 100.1)
        assert live.link.state(100.1) is LinkState.STALE

    def test_an_answer_ends_it(self, live):
        live.failed(ADDRESS, "refused", 101.0)
        live.exhausted(101.0)
        assert live.link.state(101) is LinkState.LOST
        live.answered(ADDRESS, taken(status(), [collection()]), 102.0)
        assert live.link.state(102) is LinkState.LIVE
        assert live.link.error == ""
        assert _texts(live) == [
            f"console: {ADDRESS} does not answer",
            "console: no node answers",
            f"console: {ADDRESS} answers again",
        ]

    def test_a_switch_of_peers_is_told_and_each_trouble_once(self, live):
        for now in (101.0, 102.0):
            live.failed(ADDRESS, "refused", now)
            live.exhausted(now)
        live.answered("127.0.0.1:7702", taken(status(), [collection()]), 103.0)
        assert _texts(live)[-1] == "console: switched to 127.0.0.1:7702"
        assert len(live.events) == 3


class TestPhase:
    def test_loading_then_live(self, store):
        assert store.phase(store.details, 0) is Phase.LOADING
        store.answered(ADDRESS, taken(status()), 1.0)
        assert store.phase(store.status, 1) is Phase.LIVE
        assert store.phase(store.details, 1) is Phase.LOADING

    def test_an_error_before_any_data(self, live):
        fresh = Store()
        fresh.answered(ADDRESS, taken(status()), 1.0)
        fresh.detail_failed(fresh.details, "internal: broken")
        assert fresh.phase(fresh.details, 1) is Phase.ERROR
        assert fresh.phase(fresh.collections, 1) is Phase.LIVE

    def test_an_error_after_data_keeps_the_data_as_stale(self, live):
        live.detail_failed(live.details, "internal: broken")
        assert live.phase(live.details, 100) is Phase.STALE
        assert live.details.value is not None
        assert live.phase(live.collections, 100) is Phase.LIVE
        live.put(live.details, cluster(), 101.0)
        assert live.phase(live.details, 101) is Phase.LIVE

    def test_nothing_is_live_when_the_link_is_not(self, live):
        live.failed(ADDRESS, "refused", 100.5)
        for feed in (live.status, live.details, live.collections):
            assert live.phase(feed, 100.5) is Phase.STALE

    def test_an_old_feed_is_stale_on_a_live_link(self, live):
        later = 100 + DETAIL_STALE_AFTER_S + 1
        live.answered(ADDRESS, taken(status()), later)
        assert live.phase(live.status, later) is Phase.LIVE
        assert live.phase(live.details, later) is Phase.STALE


class TestHistory:
    def test_figures_are_kept_and_a_silent_node_leaves_a_gap(self, store):
        store.answered(ADDRESS, taken(status(node(1), node(2))), 1.0)
        store.answered(ADDRESS, taken(status(node(1), silent(2))), 2.0)
        assert store.history(node_id(1), "cpu").last(9) == [7.0, 7.0]
        assert store.history(node_id(2), "cpu").last(9) == [14.0, None]
        assert store.totals["cpu"].last(9) == [10.5, 7.0]
        assert store.totals["lag"].last(9) == [3.0, 1.5]

    def test_nobody_alive(self, store):
        store.answered(ADDRESS, taken(status(silent(1))), 1.0)
        assert [store.totals[name].last(1) for name in ("cpu", "memory", "lag", "network")] == [[None]] * 4

    def test_it_is_bounded(self, store):
        for now in range(HISTORY + 50):
            store.answered(ADDRESS, taken(status(node(1))), float(now))
            store.failed(ADDRESS, "x", float(now))
        assert len(store.history(node_id(1), "lag").values) == HISTORY
        assert len(store.events) == EVENTS

    def test_a_node_that_left_is_forgotten(self, store):
        store.answered(ADDRESS, taken(status(node(1), node(2))), 1.0)
        store.answered(ADDRESS, taken(status(node(1))), 2.0)
        assert store.history(node_id(2), "cpu").last(9) == []
        assert node_id(2) not in store.nodes

    def test_last_of_none(self, live):
        assert live.totals["cpu"].last(0) == []

    def test_points(self, live):
        assert live.totals["points"].last(1) == [100_000.0]
        assert total_points([collection(), collection(count=-1)]) is None
        assert total_points([]) == 0


def test_every_write_is_a_new_revision(live):
    seen = [live.revision]
    for write in (
        lambda: live.trying("x:1", 1),
        lambda: live.answered(ADDRESS, taken(status()), 1.0),
        lambda: live.failed(ADDRESS, "x", 1.0),
        lambda: live.exhausted(1.0),
        lambda: live.put(live.details, cluster(), 1.0),
        lambda: live.detail_failed(live.details, "x"),
    ):
        write()
        seen.append(live.revision)
    assert seen == sorted(set(seen))


class TestEvents:
    @pytest.mark.parametrize(
        ("before", "after", "expected"),
        [
            (node(1), node(1), []),
            (node(1), silent(1), [(Severity.BAD, "n1: alive → dead")]),
            (silent(1), node(1), [(Severity.GOOD, "n1: dead → alive")]),
            (node(1), node(1, liveness="suspect"), [(Severity.WARN, "n1: alive → suspect")]),
            (node(1), node(1, liveness="asleep"), [(Severity.INFO, "n1: alive → asleep")]),
            (node(1), node(1, uptime_s=2.0), [(Severity.WARN, "n1: restarted")]),
            (node(1), node(1, state="draining"), [(Severity.INFO, "n1: active → draining")]),
            (node(1), node(1, address="h:1"), [(Severity.INFO, "n1: moved to h:1")]),
            (node(1), node(1, read_only=True), [(Severity.BAD, "n1: read-only")]),
            (node(1, read_only=True), node(1), [(Severity.GOOD, "n1: writable again")]),
            (node(1, read_only=True), silent(1), [(Severity.BAD, "n1: alive → dead")]),
        ],
    )
    def test_changes_of_a_node(self, before, after, expected):
        assert list(status_changes(status(before), status(after))) == expected

    def test_members_come_and_go(self):
        changes = list(status_changes(status(node(1), node(2)), status(node(2), node(3, state="joining"))))
        assert changes == [
            (Severity.INFO, "n3: new member (joining)"),
            (Severity.INFO, "n1: no longer a member"),
        ]

    def test_under_replication(self):
        assert list(status_changes(status(), status(under_replicated=3))) == [
            (Severity.WARN, "under-replicated shards: 0 → 3")
        ]
        assert next(status_changes(status(under_replicated=3), status()))[0] is Severity.GOOD

    def test_collections_come_and_go_and_a_namesake_is_another(self):
        old, new = [collection("a"), collection("b")], [collection("b", id="other"), collection("c")]
        assert [text for _, text in collection_changes(old, new)] == [
            "collection a deleted",
            "collection b deleted",
            "collection b created",
            "collection c created",
        ]

    def test_the_store_tells_them(self, live):
        live.answered(ADDRESS, taken(status(node(1))), 101.0)
        assert "collection docs deleted" in _texts(live)
        assert "n5: no longer a member" in _texts(live)
