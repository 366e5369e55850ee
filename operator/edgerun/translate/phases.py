"""How an origin fares, in one word."""

from enum import StrEnum


class OriginPhase(StrEnum):
    """FAILED: waiting will not do. READY: it takes requests."""

    PENDING = "Pending"
    STARTING = "Starting"
    READY = "Ready"
    FAILED = "Failed"
