"""CPU time by process of an instance: what a request costs, however many others want the same cores. Linux only."""

import os
from collections.abc import Iterator
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def used_s(pid: int) -> dict[str, float]:
    """CPU seconds so far of the process ("control plane") and of the Envoy ("edge") that it started."""
    edge = sum(_cpu_s(child) for child in _descendants(pid) if "--config-path" in _arguments(child))
    return {"control plane": _cpu_s(pid), "edge": edge}


def _descendants(pid: int) -> Iterator[int]:
    for entry in Path("/proc").glob("[0-9]*"):
        child = int(entry.name)
        if (fields := _fields(child)) and int(fields[1]) == pid:
            yield child
            yield from _descendants(child)


def _fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat behind the name, which may hold anything; none when the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _cpu_s(pid: int) -> float:
    return sum(int(ticks) for ticks in _fields(pid)[11:13]) / _TICKS_PER_S


def _arguments(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return []
