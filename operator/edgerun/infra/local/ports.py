"""Free TCP ports of this machine.

A port that is free now may be taken a moment later; nobody can promise it to a child that binds it by itself. So ports
for origins lie outside the range from which the kernel takes the local ports of outgoing connections, are drawn at
random, and whoever starts the child checks that it is the child that listens.

Trap: Envoy shares a port with anybody who also sets SO_REUSEPORT. Two edges on one port would both look healthy; only
an exclusive bind tells.
"""

import errno
import random
import socket
from contextlib import closing
from pathlib import Path

from ...errors import AddressInUseError
from . import procfs

LOWEST = 10_000
EPHEMERAL = 32_768  # where Linux' ephemeral ports start by default
ATTEMPTS = 200
ANY_ADDRESS = ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::"))  # noqa: S104 - to find out who is there


def free_port(port: int, address: str) -> None:
    """Raises AddressInUseError, with a name where it can be told, unless `port` can be bound on `address`."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # TIME_WAIT of an edge before is no hindrance
            probe.bind((address, port))
            probe.listen(1)
    except PermissionError as error:
        raise AddressInUseError(
            f"port {port} on {address} needs privileges; choose one above 1023 with --port"
        ) from error
    except OSError as error:
        holder = procfs.holder(port) if procfs.AVAILABLE else ""
        cause = f"is in use by {holder}" if holder else f"cannot be bound: {error.strerror}"
        raise AddressInUseError(f"port {port} on {address} {cause}; choose another with --port") from error


def origin_port(taken: frozenset[int]) -> int:
    """A port on which nothing is bound on any address, and that is not in `taken`."""
    highest = _ephemeral_start()
    for _ in range(ATTEMPTS):
        port = random.randrange(LOWEST, highest)  # noqa: S311 - no secret
        if port not in taken and not in_use(port):
            return port
    raise AddressInUseError(f"no free port found between {LOWEST} and {highest}")


def in_use(port: int) -> bool:
    """Whether anything is bound to `port`, on whatever address."""
    return any(_refused(family, address, port) for family, address in ANY_ADDRESS)


def accepts(port: int) -> bool:
    """Whether somebody listens on the loopback address."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _refused(family: socket.AddressFamily, address: str, port: int) -> bool:
    try:
        probe = socket.socket(family, socket.SOCK_STREAM)
    except OSError:
        return False  # this family is switched off
    with closing(probe):
        try:
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind((address, port))
        except OSError as error:
            return error.errno in (errno.EADDRINUSE, errno.EACCES)
    return False


def _ephemeral_start() -> int:
    try:
        start = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except OSError:
        return EPHEMERAL
    return start if start > LOWEST + 1000 else EPHEMERAL
