"""What a simulated workload may expect of the reads of a point."""

from __future__ import annotations

from vectron_p2p.testing.ledger import ABSENT, HAZE, ONE_ATTEMPT, Ledger


def written(ledger: Ledger, state: int, began: float, ended: float) -> None:
    ledger.begin(1, state)
    ledger.acknowledge(1, state, began, ended)


def test_what_was_never_written_reads_absent() -> None:
    ledger = Ledger()
    ledger.saw(1, ABSENT, "read")
    assert ledger.violations == []
    ledger.saw(1, 5, "read")
    assert ledger.violations == ["read: point 1 reads #5, acknowledged is absent, possible []"]


def test_an_acknowledged_state_must_be_read() -> None:
    ledger = Ledger()
    written(ledger, 5, 0.0, 0.01)
    ledger.saw(1, 5, "first")
    assert ledger.violations == []
    ledger.saw(1, ABSENT, "second")
    assert ledger.violations == ["second: point 1 reads absent, acknowledged is #5, possible []"]
    assert ledger.acknowledged == 1


def test_an_older_state_must_not_come_back() -> None:
    ledger = Ledger()
    written(ledger, 5, 0.0, 0.01)
    written(ledger, 6, 10.0, 10.01)
    ledger.saw(1, 5, "read")
    assert len(ledger.violations) == 1


def test_a_deleted_point_must_not_come_back() -> None:
    ledger = Ledger()
    written(ledger, 5, 0.0, 0.01)
    written(ledger, ABSENT, 10.0, 10.01)
    ledger.saw(1, ABSENT, "read")
    assert ledger.violations == []
    ledger.saw(1, 5, "read")
    assert len(ledger.violations) == 1


def test_a_write_under_way_may_be_read_and_may_not() -> None:
    ledger = Ledger()
    written(ledger, 5, 0.0, 0.01)
    ledger.begin(1, 6)
    ledger.saw(1, 5, "read")
    ledger.saw(1, 6, "read")
    assert ledger.violations == []


def test_what_a_quorum_returned_once_stays() -> None:
    ledger = Ledger()
    written(ledger, 5, 0.0, 0.01)
    ledger.begin(1, 6)
    ledger.saw(1, 6, "read")
    ledger.saw(1, 5, "read")  # 5 was settled, and is so no more
    assert len(ledger.violations) == 1


def test_a_failed_write_may_appear_at_any_time_until_one_well_after_it_is_acknowledged() -> None:
    ledger = Ledger()
    written(ledger, 5, 0.0, 0.01)
    ledger.begin(1, 6)
    ledger.unknown(1, 6, 2.0)
    ledger.saw(1, 5, "not yet")
    ledger.saw(1, 6, "then")
    assert ledger.violations == []
    written(ledger, 7, 2.0 + HAZE + 0.1, 2.0 + HAZE + 0.11)
    ledger.saw(1, 7, "read")
    assert ledger.violations == []
    ledger.saw(1, 6, "read")
    assert len(ledger.violations) == 1


def test_a_failed_write_just_before_an_acknowledged_one_may_still_win() -> None:
    ledger = Ledger()
    ledger.begin(1, 6)
    ledger.unknown(1, 6, 2.0)
    written(ledger, 7, 2.0 + HAZE / 2, 2.1 + HAZE / 2)
    ledger.saw(1, 6, "read")
    assert ledger.violations == []


def test_a_write_that_took_long_may_have_been_sent_twice_and_its_first_sending_may_come_after_its_ack() -> None:
    ledger = Ledger()
    written(ledger, 5, 0.0, 10 * ONE_ATTEMPT)
    written(ledger, 6, 10 * ONE_ATTEMPT, 10 * ONE_ATTEMPT + 0.01)
    ledger.saw(1, 5, "read")
    assert ledger.violations == []


def test_each_point_is_judged_by_itself() -> None:
    ledger = Ledger()
    written(ledger, 5, 0.0, 0.01)
    ledger.saw(2, ABSENT, "read")
    ledger.saw(1, 5, "read")
    assert ledger.violations == []
    assert sorted(ledger.points) == [1, 2]
