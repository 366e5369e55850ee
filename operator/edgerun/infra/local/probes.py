"""Is it ready? One look at a process, as the kubelet would take it, and at whose answer that was.

Trap: that something accepts on the port proves nothing: it may be a stranger who took the port first. Where /proc
tells, the listening socket must be one of the process' own.
"""

import asyncio
import os
from dataclasses import dataclass
from enum import Enum

from ...api.templates import Container
from ..probes import Header, answers
from . import procfs
from .launch import LaunchError
from .process import Process

ADDRESS = "127.0.0.1"
SHORTEST_PAUSE_S = 0.002


class Look(Enum):
    """What one look at the process told."""

    READY = "ready"
    NOT_YET = "not yet"
    STRANGER = "stranger"


@dataclass(frozen=True, slots=True)
class Target:
    """Where to look, and for what: a GET of `path` with `headers`, or a connection when it is None."""

    port: int
    path: str | None
    timeout_s: float
    headers: tuple[Header, ...] = ()


def target(container: Container, port: int) -> Target:
    """The readiness probe of `container`, whose own port is `port` on this machine."""
    probe = container.readiness_probe
    if (get := probe.http_get) is not None:
        headers = tuple((header.name, header.value) for header in get.http_headers)
        return Target(_mapped(get.port, container, port), get.path, probe.timeout_seconds, headers)
    asked = probe.tcp_socket.port if probe.tcp_socket is not None else None
    return Target(_mapped(asked, container, port), None, probe.timeout_seconds)


def _mapped(asked: int | str | None, container: Container, port: int) -> int:
    """The container's first port is `port` here; any other stays what it is."""
    names = {declared.name: declared.container_port for declared in container.ports if declared.name}
    if isinstance(asked, str) and asked not in names:
        known = ", ".join(sorted(names)) or "none"
        raise LaunchError("ProbePortUnknown", f'readinessProbe names port "{asked}" (ports with a name: {known})')
    number = names[asked] if isinstance(asked, str) else asked
    return port if number is None or number == container.port else number


def pause_s(waited_s: float, longest_s: float) -> float:
    """Until the next look: whoever is ready soon is noticed soon."""
    return min(max(waited_s / 10, SHORTEST_PAUSE_S), longest_s)


async def look(where: Target, process: Process) -> Look:
    """One look. It lasts no longer than the probe's timeout."""
    try:
        async with asyncio.timeout(where.timeout_s):
            answered = await answers(ADDRESS, where.port, path=where.path, headers=where.headers)
    except (OSError, TimeoutError):
        return Look.NOT_YET
    if not answered:
        return Look.NOT_YET
    return Look.READY if await asyncio.to_thread(_is_theirs, where.port, process) else Look.STRANGER


def _is_theirs(port: int, process: Process) -> bool:
    """Whether the socket that accepts on `port` is one of theirs; a member that hides its sockets is believed."""
    if not procfs.AVAILABLE or procfs.listens(process.pid, port):
        return True
    pids = process.members()
    listeners = procfs.loopback_listeners(port)
    held = frozenset().union(*(procfs.inodes(pid) for pid in pids))
    return bool(listeners) and (listeners <= held or any(map(_hides, pids)))


def _hides(pid: int) -> bool:
    """Whether it is there and does not let us look. Asked in this order: it may go at any moment."""
    folder = f"/proc/{pid}/fd"
    return not os.access(folder, os.R_OK) and os.path.exists(folder)
