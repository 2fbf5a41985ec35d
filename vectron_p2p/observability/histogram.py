"""Counts of durations in buckets that grow with them, as HdrHistogram has them.

A duration is whole microseconds. Below 32 us each has a bucket of its own; above, every doubling is cut into 16
buckets. The middle of a bucket is off by at most 1/32 of the value: percentiles are within 3.2 %, plus the microsecond
that rounding takes. Only buckets in use take room, and there are at most `BUCKETS`. Pure.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

BITS = 4  # a doubling is cut into 2**BITS buckets: 5 % of error is what charts and alerts bear, 3.2 is the next step
LONGEST_US = 1 << 30  # 18 minutes: longer than any deadline; what takes longer counts as this
ERROR = 1 / 2 ** (BITS + 1)
"""Largest relative error of `quantile`, beside the rounding to microseconds."""


def bucket_of(us: int) -> int:
    """The bucket of a duration of 0 to `LONGEST_US` microseconds."""
    shift = us.bit_length() - (BITS + 1)
    return us if shift <= 0 else (shift << BITS) + (us >> shift)


def middle_us(bucket: int) -> float:
    """What a duration in `bucket` is taken for."""
    shift = (bucket >> BITS) - 1
    if shift <= 0:
        return float(bucket)
    low = (bucket - (shift << BITS)) << shift
    return low + ((1 << shift) - 1) / 2


BUCKETS = bucket_of(LONGEST_US) + 1


class Histogram:
    """Durations in seconds in, percentiles out."""

    __slots__ = ("buckets", "count")

    def __init__(self) -> None:
        self.buckets: dict[int, int] = {}
        self.count = 0

    def record(self, us: int) -> None:
        """One duration, in microseconds."""
        shift = us.bit_length() - (BITS + 1)  # as `bucket_of`, without the call: this runs once per request
        bucket = us if shift <= 0 else (shift << BITS) + (us >> shift)
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1
        self.count += 1

    def add(self, other: Histogram) -> None:
        """All that `other` has counted."""
        buckets = self.buckets
        for bucket, count in other.buckets.items():
            buckets[bucket] = buckets.get(bucket, 0) + count
        self.count += other.count

    def quantiles(self, *shares: float) -> list[float]:
        """Seconds below which these shares (ascending, 0 to 1) of all durations lie; zeros when there are none."""
        if not self.count:
            return [0.0] * len(shares)
        found: list[float] = []
        seen = 0
        ordered = iter(sorted(self.buckets.items()))
        bucket = 0
        for share in shares:
            wanted = max(1, -int(-share * self.count // 1))  # the nearest rank: ceil of the share
            while seen < wanted:
                bucket, count = next(ordered)
                seen += count
            found.append(middle_us(bucket) / 1e6)
        return found

    def to_bytes(self) -> bytes:
        """For the wire: pairs of bucket and count."""
        return b"".join(struct.pack("<HI", bucket, count) for bucket, count in self.buckets.items())

    @classmethod
    def from_bytes(cls, data: bytes) -> Histogram:
        """Raises ValueError when `data` is none."""
        if len(data) % 6 or len(data) // 6 > BUCKETS:
            raise ValueError("this is no histogram")
        pairs: Iterable[tuple[int, int]] = struct.iter_unpack("<HI", data)
        histogram = cls()
        for bucket, count in pairs:
            if bucket >= BUCKETS:
                raise ValueError("this is no histogram")
            histogram.buckets[bucket] = histogram.buckets.get(bucket, 0) + count
            histogram.count += count
        return histogram
