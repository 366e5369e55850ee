"""A gRPC server for tests that needs no definitions: messages are bytes, and what a method does is in its name.

`async with echo() as app:` serves in this process on `app.port`; `PORT=9000 NAME=one python grpc_echo.py` serves as a
process of its own. Every answer is followed by the trailer `x-answered-by`.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc

SERVICE = "edgerun.test.Echo"


@dataclass
class Echo:
    """A running server. `held` are the calls under way, `most` as many as there ever were, `cancelled` those that ended
    from outside; `Hold` answers when `release` is set. `metadata` is what came with each call."""

    name: str
    port: int = 0
    held: int = 0
    most: int = 0
    served: int = 0
    cancelled: int = 0
    release: asyncio.Event = field(default_factory=asyncio.Event)
    metadata: list[dict[str, str]] = field(default_factory=list)

    async def once(self, request: bytes, context: Any) -> bytes:
        """The request."""
        async with self._call(context):
            return request

    async def fail(self, request: bytes, context: Any) -> bytes:
        """What the request is, as the message of an error."""
        async with self._call(context):
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, request.decode())
        return b""

    async def hold(self, request: bytes, context: Any) -> bytes:
        """The request, as late as it is released."""
        async with self._call(context):
            await self.release.wait()
        return request

    async def count(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        """As many numbers as the request says, one each 100 ms."""
        async with self._call(context):
            for number in range(int(request)):
                yield str(number).encode()
                await asyncio.sleep(0.1)

    async def chat(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        """Each request, when it comes."""
        async with self._call(context):
            async for request in requests:
                yield request

    @asynccontextmanager
    async def _call(self, context: Any) -> AsyncIterator[None]:
        self.metadata.append({key: str(value) for key, value in context.invocation_metadata()})
        context.set_trailing_metadata((("x-answered-by", self.name),))
        self.held += 1
        self.most = max(self.most, self.held)
        try:
            yield
            self.served += 1
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.held -= 1


@asynccontextmanager
async def echo(name: str = "echo", *, port: int = 0, **options: int) -> AsyncIterator[Echo]:
    """Serves while the block runs. `options` are gRPC's, such as `max_connection_age_ms`."""
    app, server = Echo(name), grpc.aio.server(options=[(f"grpc.{key}", value) for key, value in options.items()])
    methods = {
        "Once": grpc.unary_unary_rpc_method_handler(app.once),
        "Fail": grpc.unary_unary_rpc_method_handler(app.fail),
        "Hold": grpc.unary_unary_rpc_method_handler(app.hold),
        "Count": grpc.unary_stream_rpc_method_handler(app.count),
        "Chat": grpc.stream_stream_rpc_method_handler(app.chat),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
    app.port = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield app
    finally:
        await server.stop(grace=float(os.environ.get("GRACE", "0")))


async def _main() -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    async with echo(os.environ.get("NAME", "echo"), port=int(os.environ["PORT"])):
        await ended.wait()


if __name__ == "__main__":
    asyncio.run(_main())
