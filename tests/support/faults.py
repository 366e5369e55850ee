"""A proxy before a real API server that fails when it is told to, and remembers what was asked.

It speaks plain HTTP and adds the administrator's certificate itself, so that it can read and write in a watch. What
was written through it, and what came of it, is in `written`.
Trap: what is injected goes into watches that are open at that moment, and no later ones.
"""

import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import msgspec
from aiohttp import web

from edgerun.access import Access
from edgerun.infra.kubernetes import client

_PASSED = ("Content-Type", "Accept")
_NO_WRITES = ("/leases", "/tokenreviews")  # a Lease is renewed, and reviews are questions

Passing = Callable[[], Awaitable[web.Response]]


class Write(NamedTuple):
    """One that was answered. The times are of the clock that all processes of the machine share."""

    method: str
    path: str
    body: bytes
    status: int
    began: float
    ended: float

    @property
    def landed(self) -> bool:
        return self.status < 400


async def _as_it_is(request: web.Request, passing: Passing) -> web.Response:
    return await passing()


class FaultyApi:
    def __init__(self, session: aiohttp.ClientSession, target: str) -> None:
        self._session, self._target = session, target
        self._watches: set[web.StreamResponse] = set()
        self._deaf: set[web.StreamResponse] = set()
        self.address = ""
        self.asked: list[tuple[str, str]] = []
        """Methods and paths, in order."""
        self.written: list[Write] = []
        self.tamper: Callable[[web.Request, Passing], Awaitable[web.Response]] = _as_it_is
        """Gets each write, and what passes it on and returns the answer."""
        self.swallowed = ""
        """Events of this type are told to nobody."""
        self.down = False
        self.expired = 0
        """How many of the next watches are told at once that their version is too old."""
        self.strangers = 0
        """How many of the next requests are answered as if nobody knew who asks."""

    @classmethod
    @asynccontextmanager
    async def before(cls, kubeconfig: Path) -> AsyncIterator["FaultyApi"]:
        access = await client.access(kubeconfig)
        context = ssl.create_default_context(cafile=access.ca_file)
        context.load_cert_chain(access.certificate_file, access.key_file)
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context, limit=0), auto_decompress=False, read_bufsize=1 << 20
        ) as session:
            api = cls(session, access.server)
            runner = web.AppRunner(api._application(), shutdown_timeout=0.1, handler_cancellation=True)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            api.address = "http://{}:{}".format(*runner.addresses[0])
            try:
                yield api
            finally:
                api.down = True
                api.cut()
                await runner.cleanup()

    @property
    def methods(self) -> list[str]:
        return [method for method, _ in self.asked]

    async def login(self) -> Access:
        return Access(server=self.address)

    @property
    def watches(self) -> int:
        return len(self._watches)

    def cut(self) -> None:
        """Break off all watches."""
        for watch in self._watches:
            transport = watch._req.transport if watch._req else None
            if transport:
                transport.abort()

    def deafen(self) -> None:
        """The watches that are open now stay open and tell nothing any more."""
        self._deaf |= self._watches

    async def inject(self, event: Any) -> None:
        for watch in tuple(self._watches):
            await watch.write(msgspec.json.encode(event) + b"\n")

    def _application(self) -> web.Application:
        application = web.Application(client_max_size=16 << 20)
        application.router.add_route("*", "/{path:.*}", self._pass_on)
        return application

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        if self.down:
            assert request.transport
            request.transport.abort()
            raise web.HTTPServiceUnavailable
        self.asked.append((request.method, request.path))
        if self.strangers:
            self.strangers -= 1
            return web.json_response(error(401), status=401)
        watching = request.query.get("watch") == "true"
        if watching and self.expired:
            self.expired -= 1
            return web.json_response({"type": "ERROR", "object": error(410)})
        if watching:
            return await self._watch(request)
        if request.method == "GET" or any(word in request.path for word in _NO_WRITES):
            return await self._answer(request)
        return await self._write(request)

    async def _answer(self, request: web.Request) -> web.Response:
        async with self._asked(request, await request.read()) as answer:
            return web.Response(status=answer.status, body=await answer.read(), content_type="application/json")

    async def _write(self, request: web.Request) -> web.Response:
        began = time.monotonic()
        answer = await self.tamper(request, lambda: self._answer(request))
        body = await request.read()
        self.written.append(Write(request.method, request.path, body, answer.status, began, time.monotonic()))
        return answer

    def _asked(self, request: web.Request, body: bytes) -> Any:
        headers = {name: value for name, value in request.headers.items() if name in _PASSED}
        return self._session.request(
            request.method,
            self._target + request.raw_path,
            headers=headers,
            data=body or None,
            timeout=aiohttp.ClientTimeout(total=None),
        )

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        async with self._asked(request, b"") as answer:
            if answer.status != 200:
                return web.Response(status=answer.status, body=await answer.read(), content_type="application/json")
            watch = web.StreamResponse(headers={"Content-Type": "application/json"})
            await watch.prepare(request)
            self._watches.add(watch)
            try:
                async for event in answer.content:
                    if watch not in self._deaf and not self._swallows(event):
                        await watch.write(event)
            except (ConnectionError, aiohttp.ClientError):
                return watch
            finally:
                self._watches.discard(watch)
            return watch

    def _swallows(self, event: bytes) -> bool:
        return bool(self.swallowed) and event.startswith(f'{{"type":"{self.swallowed}"'.encode())


def error(code: int) -> dict[str, Any]:
    """What a watch tells when it cannot go on."""
    return {"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "message": f"made up, {code}"}
