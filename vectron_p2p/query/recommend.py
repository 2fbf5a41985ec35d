"""One query out of examples: points that hits should be like, and points they should not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vectron_p2p.model.errors import InvalidArgument
from vectron_p2p.query.scoring import check_vectors, prepare, vectors_to_bytes

if TYPE_CHECKING:
    from vectron_p2p.query.scoring import Matrix

MAX_EXAMPLES = 256  # one read of the largest rows: 16 KiB of vector each


def recommend(positive: Matrix, negative: Matrix, metric: str) -> bytes:
    """mean(positive) + (mean(positive) - mean(negative)), or mean(positive) alone; under cosine each example counts by
    its direction.

    Raises:
        InvalidArgument: The examples cancel each other out, so there is no query under the metric.
    """
    query = prepare(positive, metric).mean(axis=0, dtype=np.float64)
    if len(negative):
        query = query * 2 - prepare(negative, metric).mean(axis=0, dtype=np.float64)
    row = query.astype(np.float32)[None, :]
    try:
        check_vectors(row, row.shape[1], metric, field="positive")
    except InvalidArgument as error:
        raise InvalidArgument(
            f"these examples make no query under {metric} ({error.message}): take others", field="positive"
        ) from None
    return vectors_to_bytes(row)
