"""The tokens that the control plane makes, and the keys that it tells, before a guard: whether both halves fit."""

import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from edgerun.credentials.issuer import jwks
from edgerun.credentials.keys import Key, KeySet, Phase, entered, new, new_private
from edgerun.credentials.tokens import Terms, mint
from edgerun.translate.guard_policy import Invokers
from edgerun.translate.identities import Claim, subject
from guard.guarded import AUDIENCE, ISSUER, Guarded, bearer, guarded
from guard.guarded import guard as a_guard
from support.origins import origin
from support.tokens import Key as AnyKey

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]
TERMS = Terms(issuer=ISSUER)
CLAIM = Claim(subject("shop", "web"), AUDIENCE)


def signing(at: datetime) -> Key:
    return replace(entered(new(new_private(), at), Phase.SIGNING, at), life=TERMS.life)


KEY = signing(datetime.now(UTC))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running() -> AsyncIterator[Guarded]:
    told = json.dumps(jwks(KeySet((KEY,))))
    may = Invokers(accounts=("shop/web",))
    async with (
        origin("app") as app,
        guarded(a_guard(AnyKey("none"), jwks=told, invokers=may, app_port=app.port)) as running,
    ):
        yield running


async def asked(running: Guarded, *, clock_s: float = 0, claim: Claim = CLAIM, key: Key = KEY) -> tuple[int, str]:
    """With a token that an issuer made whose clock is so far ahead of the guard's."""
    now = datetime.fromtimestamp(time.time() + clock_s, UTC)
    answer, entry = await running.ask(bearer(mint(claim, now, key, TERMS, jti="one").value))
    return answer.status, entry["details"]


@pytest.mark.parametrize("clock_s", [0, 9, 14, -9, -1800, -3600])
async def test_a_token_of_the_control_plane_passes_with_a_clock_that_is_not_quite_right(
    clock_s: int, running: Guarded
) -> None:
    assert await asked(running, clock_s=clock_s) == (200, "via_upstream")


@pytest.mark.parametrize(
    ("clock_s", "why"), [(20, "Jwt_not_yet_valid"), (3600, "Jwt_not_yet_valid"), (-3610, "Jwt_is_expired")]
)
async def test_it_does_not_with_one_that_is_wrong(clock_s: int, why: str, running: Guarded) -> None:
    status, details = await asked(running, clock_s=clock_s)
    assert status == 401
    assert why in details


async def test_a_token_for_another_or_of_another_does_not(running: Guarded) -> None:
    pay = replace(CLAIM, audience="https://pay.shop.edgerun.test")
    assert (await asked(running, claim=pay))[0] == 401
    assert (await asked(running, claim=replace(CLAIM, subject=subject("shop", "other"))))[0] == 403
    assert (await asked(running, key=signing(datetime.now(UTC))))[0] == 401


async def test_a_key_that_is_over_is_not_told_to_guards(running: Guarded) -> None:
    revoked = entered(KEY, Phase.REVOKED, datetime.now(UTC))
    await running.changed(jwks=json.dumps(jwks(KeySet((revoked,)))))
    try:
        assert await asked(running) == (401, "rbac_access_denied_matched_policy[no-keys]")
    finally:
        await running.changed(jwks=json.dumps(jwks(KeySet((KEY,)))))


async def test_a_day_is_the_longest_life_of_a_token_unless_a_guard_is_told_otherwise(running: Guarded) -> None:
    week = timedelta(days=7)
    key, terms = replace(KEY, life=week), replace(TERMS, life=week)
    value = mint(CLAIM, datetime.now(UTC), key, terms, jti="one").value
    assert (await running.ask(bearer(value)))[0].status == 401
    await running.changed(max_life_s=int(week.total_seconds()))
    assert (await running.ask(bearer(value)))[0].status == 200
