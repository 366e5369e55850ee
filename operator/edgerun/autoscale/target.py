"""What one pod should carry, and what it can.

`total` is what a pod can carry, and `target` the part of it that the autoscaler aims for, so that there is room while
the next pod starts.
Trap: a user's target is a total: utilization is still taken of it.
"""

from dataclasses import dataclass

from ..api.originservice import Metric

LEAST_TARGET = 0.01
DEFAULT_CONCURRENCY, DEFAULT_RPS = 100.0, 200.0
DEFAULT_UTILIZATION_PERCENT = 70.0


@dataclass(frozen=True, slots=True)
class Resolved:
    target: float
    total: float


def resolved(
    metric: Metric,
    *,
    container_concurrency: int = 0,
    target: float | None = None,
    utilization_percent: float = DEFAULT_UTILIZATION_PERCENT,
) -> Resolved:
    """By the limit of the container (0: none), the user's target, or the default."""
    total = _total(metric, container_concurrency, target)
    return Resolved(target=max(LEAST_TARGET, total * (utilization_percent / 100)), total=total)


def _total(metric: Metric, container_concurrency: int, target: float | None) -> float:
    if metric is Metric.RPS:
        return DEFAULT_RPS if target is None else target
    limit = float(container_concurrency)
    if target is None:
        return limit or DEFAULT_CONCURRENCY
    return min(target, limit) if limit else target
