"""A client of WebSocket for tests: short masked text frames, one there and one back."""

import asyncio
import base64
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

_WITHIN_S = 60.0


@dataclass
class WebSocket:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def exchange(self, data: bytes) -> bytes:
        """One masked text frame there, one frame back (RFC 6455, 5.2)."""
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))
        self.writer.write(bytes((0x81, 0x80 | len(data))) + mask + masked)
        async with asyncio.timeout(_WITHIN_S):
            head = await self.reader.readexactly(2)
            return await self.reader.readexactly(head[1] & 0x7F)


@asynccontextmanager
async def websocket(port: int, path: str = "/", *, host: str = "localhost") -> AsyncIterator[WebSocket]:
    """One that is open."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    key = base64.b64encode(os.urandom(16)).decode()
    upgrade = f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13"
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{upgrade}\r\n\r\n".encode())
    try:
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _WITHIN_S)
        assert b" 101 " in head, head
        yield WebSocket(reader, writer)
    finally:
        writer.close()
