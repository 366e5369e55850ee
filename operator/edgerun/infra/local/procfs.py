"""What /proc tells of TCP sockets: who listens where, and how many connections a port still has.

Linux only. Elsewhere `AVAILABLE` is false, and the callers have a plainer way.

Trap: a process that we may not look into (another user's, or one that is not dumpable) shows no sockets, so "nobody
holds it" means "nobody that we may ask".
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

AVAILABLE = os.path.isdir("/proc/self/net")
TABLES = ("/proc/self/net/tcp", "/proc/self/net/tcp6")
ESTABLISHED, LISTEN = "01", "0A"

# Addresses that a connection to 127.0.0.1 can reach, as /proc prints them on a little-endian machine; first match wins.
_REACHABLE = (
    frozenset({"0100007F", "0000000000000000FFFF00000100007F"}),
    frozenset({"00000000", "0000000000000000FFFF000000000000"}),
    frozenset({"0" * 32}),
)


class Socket(NamedTuple):
    address: str
    port: int
    state: str
    inode: int


def sockets() -> Iterator[Socket]:
    """All TCP sockets of this network namespace."""
    for table in TABLES:
        yield from _table(table)


def _table(path: str) -> Iterator[Socket]:
    """No further than somebody reads."""
    with suppress(OSError), open(path) as lines:
        next(lines, "")
        for line in lines:
            fields = line.split(maxsplit=10)
            address, _, port = fields[1].partition(":")
            yield Socket(address, int(port, 16), fields[3], int(fields[9]))


def connections(port: int) -> int:
    """How many established connections end at `port`."""
    return sum(1 for socket in sockets() if socket.port == port and socket.state == ESTABLISHED)


def loopback_listeners(port: int) -> frozenset[int]:
    """The sockets (inodes) one of which accepts a connection to 127.0.0.1:`port`."""
    return _reached(socket for socket in sockets() if socket.port == port and socket.state == LISTEN)


def _reached(listeners: Iterable[Socket]) -> frozenset[int]:
    listening = tuple(listeners)
    ranked = (frozenset(one.inode for one in listening if one.address in addresses) for addresses in _REACHABLE)
    return next(filter(None, ranked), frozenset())


def listens(pid: int, port: int) -> bool:
    """Whether it is `pid` who accepts a connection to 127.0.0.1:`port`, as far as a short look tells.

    The kernel lists those that listen before all others, and with a thousand connections it is these that take long.
    """
    if not AVAILABLE:
        return False
    first = takewhile(lambda one: one.state == LISTEN, _table(TABLES[0]))
    listeners = _reached(one for one in first if one.port == port)
    return bool(listeners) and listeners <= inodes(pid)


def listening_ports(pids: Iterable[int]) -> tuple[int, ...]:
    """The ports on which one of `pids` listens."""
    held = frozenset().union(*(inodes(pid) for pid in pids))
    return tuple(sorted({one.port for one in sockets() if one.state == LISTEN and one.inode in held}))


def inodes(pid: int) -> frozenset[int]:
    """The sockets that `pid` has open."""
    return frozenset(_inodes(pid))


def _inodes(pid: int) -> Iterator[int]:
    try:
        names = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return
    for name in names:
        try:
            target = os.readlink(f"/proc/{pid}/fd/{name}")
        except OSError:
            continue
        if target.startswith("socket:["):
            yield int(target[8:-1])


def holder(port: int) -> str:
    """Who listens on `port`, for people: `python3 app.py (pid 4711)`; "" when it cannot be told."""
    wanted = frozenset(one.inode for one in sockets() if one.port == port and one.state == LISTEN)
    if not wanted:
        return ""
    pids = (int(name) for name in os.listdir("/proc") if name.isdigit())
    return next((f"{_command(pid)} (pid {pid})" for pid in pids if not wanted.isdisjoint(_inodes(pid))), "")


def _command(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    except OSError:
        return "a process"
    return b" ".join(words)[:80].decode(errors="replace")
