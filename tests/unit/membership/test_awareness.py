from __future__ import annotations

from vectron_p2p.membership.awareness import Awareness


def test_the_score_saturates_at_both_ends():
    health = Awareness(8)
    health.add(-3)
    assert health.score == 0
    assert health.scale(1.0) == 1.0
    health.add(100)
    assert health.score == 7
    assert health.scale(0.5) == 4.0
    health.add(-1)
    assert health.score == 6
