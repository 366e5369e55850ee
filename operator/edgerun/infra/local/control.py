"""A question and an answer over a Unix socket: how `edgerun status` and `edgerun keys` ask a running instance.

The question is a line. The answer is its length in bytes as a decimal line, then the bytes, so that an answer cut short
is told from a whole one.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

QUESTION_WITHIN_S = 20.0


async def serve(path: Path, answer: Callable[[str], Awaitable[bytes]]) -> None:
    """Answers whoever connects to `path`, until cancelled."""

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(QUESTION_WITHIN_S):
                question = await reader.readline()
            body = await answer(question.decode(errors="replace").strip())
            writer.write(b"%d\n%s" % (len(body), body))
            await writer.drain()
        except (ConnectionError, TimeoutError):
            return  # whoever asked has left, or asks nothing
        finally:
            writer.close()

    server = await asyncio.start_unix_server(respond, sock=_bound(path))
    async with server:
        await server.serve_forever()


def _bound(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    path.chmod(0o600)
    return listener


async def fetch(path: Path, timeout_s: float, question: str = "") -> bytes:
    """The answer of the instance behind `path`, by default to how it fares.

    Raises OSError when there is none, TimeoutError when it is late.
    """
    async with asyncio.timeout(timeout_s):
        reader, writer = await asyncio.open_unix_connection(path)
        try:
            writer.write(f"{question}\n".encode())
            head = await reader.readline()
            return await reader.readexactly(int(head or b"1"))  # no head: the file ends here as well
        except asyncio.IncompleteReadError as error:
            raise ConnectionResetError("the instance went away while it answered") from error
        finally:
            writer.close()
