"""Keys and policies change while callers keep their connections: what is good is never refused, what is not at once."""

from collections.abc import AsyncIterator, Callable

import pytest
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.extensions.filters.http.jwt_authn.v3.config_pb2 import JwtAuthentication

from edgerun.translate.guard_answers import NOT_READY
from edgerun.translate.guard_policy import VERIFICATION, Invokers
from edgerun.translate.plan import Resource, resource, serialised
from guard.callers import CLIENTS, calling
from guard.guarded import Guarded, bearer, claims, guard, guarded, head, token, told_nothing
from guard.making import Keys
from support.origins import Origin, origin
from support.poll import eventually
from support.proxies import listening
from support.standalone import fetch
from support.tokens import Key, Signer, compact, hs256, jwks, rs256

pytestmark = pytest.mark.envoy
ROTATIONS = 10
KEY, NEXT = Key("k1"), Key("k2")


@pytest.fixture
async def app() -> AsyncIterator[Origin]:
    async with origin("app") as app:
        yield app


@pytest.fixture
async def running(app: Origin) -> AsyncIterator[Guarded]:
    async with guarded(guard(KEY, app_port=app.port)) as running:
        yield running


@pytest.mark.load
async def test_keys_rotate_under_load_and_no_request_is_refused(running: Guarded) -> None:
    signing = [KEY]
    async with calling(running.guard.listen_port, lambda: token(signing[-1])) as callers:
        for number in range(ROTATIONS):
            new = Key(f"new-{number}")
            await running.changed(jwks=jwks(signing[-1], new))  # published, and acknowledged
            await callers.more()
            signing.append(new)
            await callers.more()
            await running.changed(jwks=jwks(new))
            await callers.more()
    assert set(callers.answers) == {200}
    assert len(callers.answers) >= 3 * ROTATIONS * 100
    await unmoved(running)
    answer, _ = await running.ask(bearer(token(signing[-2])))
    assert answer.status == 401


@pytest.mark.load
async def test_to_sign_before_the_key_is_published_would_cost_requests(running: Guarded) -> None:
    """The order matters: without it the test above could not fail."""
    signing = [KEY]
    async with calling(running.guard.listen_port, lambda: token(signing[-1])) as callers:
        await callers.more()
        signing.append(NEXT)
        await callers.more()
        await running.changed(jwks=jwks(NEXT))
        await callers.all_say(200)
    assert 401 in callers.answers


@pytest.mark.load
async def test_a_revoked_key_is_refused_on_connections_that_are_open(running: Guarded) -> None:
    known = token(KEY)
    async with calling(running.guard.listen_port, lambda: known) as callers:
        await callers.all_say(200)
        await running.changed(jwks=jwks(NEXT))
        await callers.all_say(401)
        known = token(NEXT)
        await callers.all_say(200)
    assert callers.connections == CLIENTS
    await unmoved(running)


@pytest.mark.load
async def test_without_any_key_nobody_is_let_in_and_with_one_again_they_are(running: Guarded) -> None:
    async with calling(running.guard.listen_port, lambda: token(KEY)) as callers:
        for _ in range(3):
            await callers.all_say(200)
            running.change(jwks=jwks())
            await callers.all_say(401)
            running.change(jwks=jwks(KEY))
        await callers.all_say(200)
    running.change(jwks=jwks())
    await eventually(lambda: refused_for_want_of_keys(running))


async def refused_for_want_of_keys(running: Guarded) -> bool:
    answer, entry = await running.ask(bearer(token(KEY)))
    return answer.status == 401 and "matched_policy[no-keys]" in entry["details"]


@pytest.mark.load
async def test_who_may_call_changes_on_connections_that_are_open(running: Guarded) -> None:
    async with calling(running.guard.listen_port, lambda: token(KEY)) as callers:
        for may, status in (
            (Invokers(namespaces=("other",)), 403),
            (Invokers(accounts=("shop/web",)), 200),
            (Invokers(), 403),
            (Invokers(subjects=("system:serviceaccount:shop:web",)), 200),
        ):
            running.change(invokers=may)
            await callers.all_say(status)
    await unmoved(running)


@pytest.mark.load
async def test_while_the_control_plane_is_gone_all_goes_on(running: Guarded) -> None:
    async with calling(running.guard.listen_port, lambda: token(KEY)) as callers:
        await callers.more()
        await running.lose_control_plane()
        assert set(await callers.more(1000)) == {200}
        assert (await running.ask(bearer(token(NEXT))))[0].status == 401
        await running.find_control_plane()
        running.change()
        await eventually(lambda: bool(running.server.proxies()))
        assert set(await callers.more(500)) == {200}
        running.change(jwks=jwks(NEXT))
        await callers.all_say(401)


async def test_keys_that_no_envoy_can_read_leave_the_old_ones_in_place(running: Guarded) -> None:
    running.publish(*(broken(one) if one.name == VERIFICATION else one for one in running.guard.policies))
    await eventually(lambda: running.witness.refusals)
    assert (await running.ask(bearer(token(KEY))))[0].status == 200
    assert (await running.ask(bearer(token(NEXT))))[0].status == 401


# Only some signatures are as long as ours.
FOREIGN: dict[str, tuple[str, str, Callable[[Keys], Signer]]] = {
    "HS256": ("oct", "credential-form", lambda keys: hs256(keys.secret)),
    "RS256": ("rsa", "credential-form", lambda keys: rs256(keys.rsa2048)),
    "ES384": ("p384", "credential-form", lambda keys: keys.es384),
    "EdDSA": ("ed", "token-alg", lambda keys: keys.okp.sign),
}


async def test_another_algorithm_is_refused_even_with_a_key_that_is_believed(running: Guarded) -> None:
    keys = Keys()
    running.publish(*(believing(one, keys.jwks()) for one in running.guard.policies))
    await eventually(lambda: accepted(running, keys.good))
    for alg, (kid, why, sign) in FOREIGN.items():
        answer, entry = await running.ask(bearer(compact(head(KEY, alg=alg, kid=kid), claims(), sign(keys))))
        assert answer.status == 401
        assert f"matched_policy[{why}]" in entry["details"]


async def accepted(running: Guarded, key: Key) -> bool:
    return (await running.ask(bearer(token(key))))[0].status == 200


def believing(one: Resource, keys: str) -> Resource:
    """The verification, with keys as nobody has sorted them out."""
    if one.name != VERIFICATION:
        return one
    extension = TypedExtensionConfig.FromString(one.body)
    config = JwtAuthentication.FromString(extension.typed_config.value)
    config.providers["edgerun"].local_jwks.inline_string = keys
    extension.typed_config.Pack(config, deterministic=True)
    return resource(one.name, extension)


def broken(one: Resource) -> Resource:
    return serialised(one.type_url, one.name, one.body.replace(b'"kty":"EC"', b'"kty":"EX"'))


@pytest.mark.parametrize("missing", ["verification", "hygiene", "invokers"])
async def test_each_part_of_its_policy_that_is_taken_away_closes_it(missing: str, running: Guarded) -> None:
    running.publish(*(one for one in running.guard.policies if one.name != missing))
    await eventually(lambda: closed(running))
    await running.changed()
    assert (await running.ask(bearer(token(KEY))))[0].status == 200


async def closed(running: Guarded) -> bool:
    answer, entry = await running.ask(bearer(token(KEY)))
    said = answer.status, answer.body, answer.header("retry-after"), entry["details"]
    return said == (503, NOT_READY, "1", "rbac_access_denied_matched_policy[unconfigured]")


async def test_it_does_not_listen_before_its_policy_has_come(app: Origin) -> None:
    async with told_nothing(guard(KEY, app_port=app.port)) as running:
        _, *others = running.guard.policies
        running.publish(*others)

        async def told() -> bool:
            return await running.envoy.stat("control_plane.connected_state") == 1

        await eventually(told)
        for port in (running.guard.listen_port, running.guard.probes_port):
            with pytest.raises(OSError, match="Connect call failed"):
                await fetch(port, "/ready")
        await running.changed()
        await listening(running.guard.listen_port)
        assert (await running.ask(bearer(token(KEY))))[0].status == 200


async def unmoved(running: Guarded) -> None:
    """No listener was replaced or drained."""
    assert await running.envoy.stats(r"^listener_manager\.(listener_modified|total_listeners_draining)$") == {
        "listener_manager.listener_modified": 0,
        "listener_manager.total_listeners_draining": 0,
    }
