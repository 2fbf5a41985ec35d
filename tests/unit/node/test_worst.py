"""What a write over several shards is told of those that failed."""

from __future__ import annotations

import pytest

from vectron_p2p.model.errors import ConsistencyError, NotFound, ReadOnly, VectronError
from vectron_p2p.node.coordinator.writes import _worst

UNKNOWN = ConsistencyError("the outcome is unknown", acked=1, required=2)
NOTHING = ConsistencyError("nothing was written", acked=0, required=2)
FULL = ReadOnly("the disk is nearly full")
GONE = NotFound("the collection is gone")


@pytest.mark.parametrize(
    ("failures", "told"),
    [
        ([NOTHING, UNKNOWN], UNKNOWN),  # the client takes `acked` 0 for "nothing was written", and does not wait
        ([FULL, UNKNOWN, NOTHING], UNKNOWN),
        ([NOTHING, FULL], FULL),
        ([UNKNOWN, GONE], GONE),
        ([NOTHING], NOTHING),
    ],
)
def test_the_error_that_says_most_is_told(failures: list[VectronError], told: VectronError) -> None:
    assert _worst(failures) is told
    assert _worst(failures[::-1]) is told
