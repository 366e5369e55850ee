"""The server's certificate as gRPC wants it: looked up anew for each connection, so that none has to end for a new one.

Trap: gRPC asks from a thread of its own.
"""

from collections.abc import Callable
from typing import Any

import grpc

from .authority import Server


def server_credentials(current: Callable[[], Server]) -> grpc.ServerCredentials:
    """Serve with whatever `current` returns at the time when somebody connects."""
    shown = current()

    def changed() -> Any:
        nonlocal shown
        now = current()
        if now is shown:
            return None  # go on with the same
        shown = now
        return _configuration(now)

    return grpc.dynamic_ssl_server_credentials(_configuration(shown), changed)


def _configuration(server: Server) -> Any:
    pair = server.pair.key.encode(), server.pair.certificate.encode()
    return grpc.ssl_server_certificate_configuration([pair])
