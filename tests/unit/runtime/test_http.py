"""The control plane over HTTP, through a real socket."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

import aiohttp
import pytest

from edgerun.credentials.issuer import DISCOVERY_PATH, JWKS_PATH, documents
from edgerun.credentials.keys import KeySet, Phase, entered, new
from edgerun.errors import AddressInUseError
from edgerun.metrics import Metrics
from edgerun.runtime import http
from edgerun.runtime.http import Answer, issuer_pages, pages, serving
from edgerun.vitals import Vitals
from support.keyrings import private

LOOPBACK = "127.0.0.1"
BORN = datetime(2026, 1, 1, tzinfo=UTC)


class Told:
    """Vitals that a test changes."""

    def __init__(self) -> None:
        self.vitals = Vitals(uptime_s=5)

    def __call__(self) -> Vitals:
        return self.vitals


@asynccontextmanager
async def asking(told: Told) -> AsyncIterator[aiohttp.ClientSession]:
    metrics = Metrics(told, lease="edgerun")
    jwks = {"/keys": lambda accept: Answer(200, b"{}", "application/json")}
    async with (
        serving({**pages(metrics, told), **jwks}, port=0, address=LOOPBACK) as port,
        aiohttp.ClientSession(f"http://{LOOPBACK}:{port}") as session,
    ):
        yield session


async def test_readiness_follows_what_is_true_at_each_question() -> None:
    told = Told()
    async with asking(told) as session:
        async with session.get("/readyz") as answer:
            assert answer.status == 503
            assert "[-] synced" in await answer.text()
        told.vitals = replace(told.vitals, synced=True, sweep_age_s=1)
        async with session.get("/readyz") as answer:
            assert answer.status == 200
            assert answer.content_type == "text/plain"


async def test_health_is_not_readiness() -> None:
    async with asking(Told()) as session, session.get("/healthz") as answer:
        assert answer.status == 200


async def test_metrics_are_in_the_format_that_is_asked_for() -> None:
    async with asking(Told()) as session:
        async with session.get("/metrics") as answer:
            assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
            assert "edgerun_source_synced 0.0" in await answer.text()
        async with session.get("/metrics", headers={"Accept": "application/openmetrics-text"}) as answer:
            assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
            assert (await answer.text()).endswith("# EOF\n")


async def test_what_the_issuer_says_may_be_kept_for_a_while_and_nothing_else() -> None:
    keys = KeySet((entered(new(private(), BORN), Phase.SIGNING, BORN),))
    told = [None, documents(keys, "https://edge.example")]
    read = issuer_pages(lambda path: (told[-1] or {}).get(path))
    async with serving(read, port=0, address=LOOPBACK) as port, aiohttp.ClientSession() as session:
        async with session.get(f"http://{LOOPBACK}:{port}{DISCOVERY_PATH}") as answer:
            assert answer.headers["Cache-Control"] == "public, max-age=300"
            assert (await answer.json())["jwks_uri"] == f"https://edge.example{JWKS_PATH}"
        async with session.get(f"http://{LOOPBACK}:{port}{JWKS_PATH}") as answer:
            assert answer.content_type == "application/jwk-set+json"
            assert [one["kid"] for one in json.loads(await answer.read())["keys"]] == [keys.keys[0].kid]
        told.append(None)
        async with session.get(f"http://{LOOPBACK}:{port}{JWKS_PATH}") as answer:
            assert (answer.status, answer.headers["Cache-Control"]) == (503, "no-store")


async def test_head_says_the_same_without_a_body() -> None:
    async with asking(Told()) as session, session.head("/healthz") as answer:
        assert answer.status == 200
        assert int(answer.headers["Content-Length"]) > 0
        assert await answer.read() == b""


@pytest.mark.parametrize("path", ["/", "/metrics/", "/debug", "/healthz/../etc/passwd"])
async def test_what_is_not_there_is_not_found(path: str) -> None:
    async with asking(Told()) as session, session.get(path) as answer:
        assert answer.status == 404


async def test_only_get_and_head_are_answered() -> None:
    async with asking(Told()) as session, session.post("/metrics") as answer:
        assert answer.status == 405


async def test_no_answer_names_the_software() -> None:
    async with asking(Told()) as session:
        for path in ("/metrics", "/nowhere"):
            async with session.get(path) as answer:
                assert "Server" not in answer.headers


async def test_further_pages_are_served_too() -> None:
    async with asking(Told()) as session, session.get("/keys") as answer:
        assert await answer.json() == {}


async def test_a_page_that_fails_is_a_500_that_tells_nothing_and_the_next_question_is_answered() -> None:
    def broken(_: str) -> Answer:
        raise RuntimeError("a secret")

    async with (
        serving({"/broken": broken}, port=0, address=LOOPBACK) as port,
        aiohttp.ClientSession(f"http://{LOOPBACK}:{port}") as session,
    ):
        for _ in range(2):
            async with session.get("/broken") as answer:
                assert answer.status == 500
                assert "secret" not in await answer.text()


async def test_a_connection_that_says_nothing_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "IDLE_S", 0.1)
    async with serving({}, port=0, address=LOOPBACK) as port:
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        writer.write(b"GET /metrics HT")
        async with asyncio.timeout(60):
            assert await reader.read() == b""
        writer.close()


async def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(AddressInUseError, match=rf"cannot listen on {LOOPBACK}:{port} for --http-port"):
            async with serving({}, port=port, address=LOOPBACK):
                pass
