"""Durations as Gateway API writes them (GEP-2257): `1h`, `1m30s`, `250ms`."""

import re

_UNITS_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PART = re.compile(r"([0-9]{1,5})(h|ms|m|s)")


def seconds(duration: str) -> float:
    """`duration` in seconds. Raises ValueError for what the CRD's pattern would have refused."""
    parts = _PART.findall(duration)
    if "".join(number + unit for number, unit in parts) != duration or not parts:
        raise ValueError(f"not a GEP-2257 duration: {duration!r}")
    return sum(int(number) * _UNITS_S[unit] for number, unit in parts)
