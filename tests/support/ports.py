"""Ports for the servers of tests, which get no other test's and no client's.

The kernel gives outgoing connections and port 0 what lies from 32768 on (`ip_local_port_range`), so a port from there
that was free a moment ago may be taken when its server starts. These come from below, never the same twice in a
process, and the workers of pytest-xdist share none.
"""

import itertools
import os
import socket
from collections.abc import Iterator, Sequence

_RANGE = range(20_000, 30_000)
_WORKERS = 8  # more than ever run beside each other on one machine
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
_OWN: Sequence[int] = _RANGE[_WORKER::_WORKERS]
_begin = os.getpid() * 37 % len(_OWN)  # another run beside this one begins somewhere else
_next: Iterator[int] = itertools.cycle((*_OWN[_begin:], *_OWN[:_begin]))


def free_port() -> int:
    return next(port for port in itertools.islice(_next, len(_OWN)) if _free(port))


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: TIME_WAIT does not count
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True
