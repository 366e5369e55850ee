"""What the control plane answers over HTTP: metrics, health, and whatever pages it is given.

It answers within the loop that does all the work, so a loop that hangs does not answer. A page is a function that must
not wait. Trap: everybody in the cluster can ask unless a NetworkPolicy forbids it, so no page may hold a secret.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple

from aiohttp import hdrs, web

from ..credentials.issuer import DISCOVERY_PATH, JWKS_PATH, Document
from ..errors import AddressInUseError
from ..metrics import Metrics
from ..vitals import Vitals
from .health import Health, alive, ready

ANYWHERE = "0.0.0.0"  # noqa: S104 - a pod is asked at its own address
IDLE_S = 60.0  # of a connection; longer than the usual time between two scrapes
STOP_S = 1.0
_TEXT = "text/plain; charset=utf-8"


class Answer(NamedTuple):
    status: int
    body: bytes
    media: str
    cache_control: str = "no-store"


Page = Callable[[str], Answer]  # of what the client accepts


def pages(metrics: Metrics, vitals: Callable[[], Vitals]) -> Mapping[str, Page]:
    """Those that every control plane has."""
    return {
        "/metrics": lambda accept: Answer(200, *metrics.exposition(accept)),
        "/healthz": lambda _: _judged(alive(vitals())),
        "/readyz": lambda _: _judged(ready(vitals())),
    }


def issuer_pages(document: Callable[[str], Document | None]) -> Mapping[str, Page]:
    """What verifiers outside read about who signs; `document` has none before that is known."""

    def page(path: str) -> Page:
        return lambda _: Answer(*(document(path) or (503, b"the signing keys are not known yet\n", _TEXT)))

    return {path: page(path) for path in (DISCOVERY_PATH, JWKS_PATH)}


@asynccontextmanager
async def serving(pages: Mapping[str, Page], *, port: int, address: str = ANYWHERE) -> AsyncIterator[int]:
    """Answer GET and HEAD for `pages`; the port, which is a free one for 0. Raises AddressInUseError."""
    runner = web.AppRunner(_application(pages), access_log=None, keepalive_timeout=IDLE_S, shutdown_timeout=STOP_S)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, address, port).start()
        except OSError as error:
            raise AddressInUseError(f"cannot listen on {address}:{port} for --http-port: {error.strerror}") from error
        yield int(runner.addresses[0][1])
    finally:
        async with asyncio.timeout(2 * STOP_S):
            await runner.cleanup()


def _application(pages: Mapping[str, Page]) -> web.Application:
    application = web.Application()
    application.on_response_prepare.append(_without_banner)
    for path, page in pages.items():
        application.router.add_get(path, _handler(page))
    return application


def _handler(page: Page) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(request: web.Request) -> web.StreamResponse:
        status, body, media, cache_control = page(",".join(request.headers.getall(hdrs.ACCEPT, [])))
        headers = {hdrs.CONTENT_TYPE: media, hdrs.CACHE_CONTROL: cache_control, "X-Content-Type-Options": "nosniff"}
        return web.Response(status=status, body=body, headers=headers)

    return answer


async def _without_banner(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.popall(hdrs.SERVER, None)


def _judged(health: Health) -> Answer:
    return Answer(200 if health.ok else 503, str(health).encode(), _TEXT)
