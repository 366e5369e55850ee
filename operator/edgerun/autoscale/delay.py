"""The window of scaleDownDelay: the largest number of pods that was decided within it.

It is kept as those decisions that may still become the largest: each one later and smaller than the one before.
Trap: time comes in buckets of two seconds, and the window is a number of them. So a decision counts for up to two
seconds less than the delay, and of two decisions in one bucket the larger one counts.
"""

from dataclasses import dataclass

GRANULARITY_NS = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Peak:
    bucket: int
    pods: int


def recorded(peaks: tuple[Peak, ...], now_ns: int, pods: int, *, delay_ns: int) -> tuple[Peak, ...]:
    """The window after one more decision; its first one is the largest. Never empty."""
    bucket = now_ns // GRANULARITY_NS
    buckets = -(-delay_ns // GRANULARITY_NS)
    last = len(peaks)
    while last and peaks[last - 1].pods <= pods:
        last -= 1
    first = 0
    while first < last and bucket - peaks[first].bucket >= buckets:
        first += 1
    return (*peaks[first:last], Peak(bucket, pods))
