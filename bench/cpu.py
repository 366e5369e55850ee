"""CPU time by process of an instance: what a request costs, however many others want the same cores. Linux only."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def used_s(pid: int) -> dict[str, float]:
    """CPU seconds so far of the process ("control plane"), and of the edge and the guards that it has started."""
    of = {"edge": edges(pid), "guard": guards(pid)}
    return {"control plane": _cpu_s(pid)} | {name: sum(map(_cpu_s, pids)) for name, pids in of.items()}


def edges(pid: int) -> list[int]:
    """The Envoys of the edge that the process has started."""
    return [child for child in descendants(pid) if Path(config_path(child)).name == "envoy.json"]


def guards(pid: int) -> list[int]:
    return [child for child in descendants(pid) if re.fullmatch(r"g\d+\.json", Path(config_path(child)).name)]


def config_path(pid: int) -> str:
    """The configuration of an Envoy of ours; that of an origin is in its command."""
    arguments = _arguments(pid)
    return arguments[arguments.index("--config-path") + 1] if "--config-path" in arguments else ""


def descendants(pid: int) -> Iterator[int]:
    for entry in Path("/proc").glob("[0-9]*"):
        child = int(entry.name)
        if (fields := _fields(child)) and int(fields[1]) == pid:
            yield child
            yield from descendants(child)


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
