"""The gate: never together, never starved."""

from __future__ import annotations

import threading

from vectron_p2p.index.gate import Gate


def test_sharers_are_together_and_one_alone_is_alone() -> None:
    gate, inside, together, wrong = Gate(), [0, 0], [0], [0]
    lock = threading.Lock()

    def share() -> None:
        for _ in range(300):
            with gate.shared():
                with lock:
                    inside[0] += 1
                    together[0] = max(together[0], inside[0])
                    wrong[0] += inside[1]
                with lock:
                    inside[0] -= 1

    def alone() -> None:
        for _ in range(300):
            with gate.alone():
                with lock:
                    inside[1] += 1
                    wrong[0] += inside[0] + (inside[1] > 1)
                with lock:
                    inside[1] -= 1

    threads = [threading.Thread(target=share) for _ in range(4)] + [threading.Thread(target=alone) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert wrong[0] == 0
    assert gate.shared_entries == 1200


def test_a_waiting_sharer_goes_before_the_next_one_alone() -> None:
    gate, order = Gate(), []
    gate_held, release = threading.Event(), threading.Event()

    def first() -> None:
        with gate.alone():
            gate_held.set()
            release.wait(10)

    def sharer() -> None:
        with gate.shared():
            order.append("shared")

    def second() -> None:
        with gate.alone():
            order.append("alone")

    threads = [threading.Thread(target=first)]
    threads[0].start()
    assert gate_held.wait(10)
    threads.append(threading.Thread(target=sharer))
    threads[1].start()
    while not gate._waiting_shared:
        pass
    threads.append(threading.Thread(target=second))
    threads[2].start()
    while not gate._waiting_alone:
        pass
    release.set()
    for thread in threads:
        thread.join(10)
    assert order == ["shared", "alone"]


def test_it_is_free_again_after_an_error() -> None:
    gate = Gate()
    for enter in (gate.shared, gate.alone):
        try:
            with enter():
                raise KeyError
        except KeyError:
            pass
    with gate.alone():
        pass
    with gate.shared():
        with gate.shared():
            pass
