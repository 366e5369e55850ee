"""One question to whoever listens on a port, as a kubelet asks it: a connection, or a GET that answers 200 to 399.

Trap: like the kubelet it believes any certificate, for what it asks is not who answers.
"""

import asyncio
import ssl
from collections.abc import Sequence
from functools import cache

Header = tuple[str, str]
_ALWAYS: Sequence[Header] = (("user-agent", "edgerun-probe"), ("connection", "close"))


async def answers(
    address: str,
    port: int,
    *,
    path: str | None = None,
    headers: Sequence[Header] = (),
    tls: bool = False,
    connect_s: float | None = None,
) -> bool:
    """Whether it answers a GET of `path`, or accepts a connection when that is None. Raises OSError when nobody is
    there, or within `connect_s` nobody accepts; how long the answer may take is for the caller to say."""
    async with asyncio.timeout(connect_s):
        reader, writer = await asyncio.open_connection(address, port, ssl=_believing() if tls else None)
    try:
        if path is None:
            return True
        writer.write(_request(path, (("host", _authority(address, port)), *_ALWAYS), headers))
        status = (await reader.readline()).split()[1:2]
        return bool(status) and status[0].isdigit() and 200 <= int(status[0]) < 400
    except ValueError:  # a line without end: not HTTP
        return False
    finally:
        writer.close()


def _request(path: str, always: Sequence[Header], given: Sequence[Header]) -> bytes:
    """The probe's own headers stand in the place of those that are always there."""
    names = {name.lower() for name, _ in given}
    headers = (*(header for header in always if header[0].lower() not in names), *given)
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _authority(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


@cache
def _believing() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
