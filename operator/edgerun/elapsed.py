"""Seconds since some moment, by a clock that never jumps, and that goes on while the machine sleeps."""

import time

_BOOT = getattr(time, "CLOCK_BOOTTIME", None)  # Linux has it; elsewhere a machine that sleeps loses time


def elapsed_s() -> float:
    return time.monotonic() if _BOOT is None else time.clock_gettime(_BOOT)
