"""A crew works together, waits for all, and loses no error."""

from __future__ import annotations

import threading

import pytest

from vectron_p2p.runtime.crew import ThreadCrew


@pytest.mark.parametrize("size", [1, 2, 3])
def test_all_work_at_once_the_caller_among_them(size: int) -> None:
    together, seen = threading.Barrier(size), set()

    def work() -> None:
        together.wait(10)
        seen.add(threading.current_thread())

    ThreadCrew(size).run(work)
    assert len(seen) == size
    assert threading.current_thread() in seen


@pytest.mark.parametrize("fails", ["the caller", "a helper"])
def test_an_error_is_raised_when_all_have_ended(fails: str) -> None:
    caller, failed, ended = threading.current_thread(), threading.Event(), threading.Event()

    def work() -> None:
        if (threading.current_thread() is caller) == (fails == "the caller"):
            failed.set()
            raise ValueError(fails)
        assert failed.wait(10)
        ended.set()

    with pytest.raises(ValueError, match=fails):
        ThreadCrew(2).run(work)
    assert ended.is_set()
