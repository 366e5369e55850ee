"""What a guard makes of credentials: the bad ones are refused with a line that says why, the good ones pass.

Each is brought twice, because Envoy remembers what it has verified. One Envoy serves all of them.
"""

import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import grpc
import pytest
import pytest_asyncio

from edgerun.translate.guard_answers import FORBIDDEN, UNAUTHENTICATED
from edgerun.translate.guard_policy import AHEAD_S, Invokers
from guard.bad_credentials import BAD
from guard.guarded import AUDIENCE, CALLER, LEEWAY_S, Guarded, Headers, bearer, claims, guard, guarded, head, token
from guard.making import Case, Keys
from support.origins import Origin, origin
from support.poll import eventually
from support.standalone import Answer, fetch
from support.tokens import compact

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]
DEPLOYER = "spiffe://example.test/ci/deploy"
CALLERS = Invokers(accounts=("till/clerk",), namespaces=("shop", "big-shop"), subjects=(DEPLOYER,))
CHALLENGES = {401: 'Bearer error="invalid_token"', 403: 'Bearer error="insufficient_scope"'}
BODIES = {401: UNAUTHENTICATED, 403: FORBIDDEN}
KEYS = Keys()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def app() -> AsyncIterator[Origin]:
    async with origin("app") as app:
        yield app


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(app: Origin) -> AsyncIterator[Guarded]:
    async with guarded(guard(KEYS.good, jwks=KEYS.jwks(), invokers=CALLERS, app_port=app.port)) as running:
        yield running


@pytest.mark.parametrize("case", BAD, ids=str)
async def test_a_bad_credential_is_refused(case: Case, running: Guarded, app: Origin) -> None:
    before = len(app.requests)
    headers = case.make(KEYS)
    for _ in range(2):
        answer, entry = await running.ask(headers)
        assert (answer.status, answer.body) == (case.status, BODIES[case.status]), entry
        assert answer.header("www-authenticate") == CHALLENGES[case.status]
        assert case.why in entry["details"]
        assert not tells(answer, entry, headers)
    assert len(app.requests) == before, "the app has seen it"


def tells(answer: Answer, entry: Mapping[str, Any], headers: Headers) -> list[str]:
    """The pieces of the credential that are in the answer or in the log, where nobody may find them."""
    said = f"{json.dumps(entry)} {answer.headers} {answer.body}"
    pieces = {piece for _, value in headers for piece in value.replace(" ", ".").split(".")}
    return [piece for piece in pieces if len(piece) > 8 and piece in said]


Make = Callable[[], str]
GOOD: dict[str, Make] = {
    "as the issuer makes them": lambda: token(KEYS.good),
    "of the next key": lambda: token(KEYS.next),
    "of one of the twins": lambda: token(KEYS.twins[0]),
    "of the other twin": lambda: token(KEYS.twins[1]),
    "with the typ of an access token": lambda: compact(head(KEYS.good, typ="at+jwt"), claims(), KEYS.good.sign),
    "with claims that nobody asks for": lambda: token(KEYS.good, rev=3, groups=["a"], email="x@example.test"),
    "without jti": lambda: token(KEYS.good, jti=""),
    "for a day": lambda: token(KEYS.good, exp=int(time.time()) + 86_390),
    "expired a second less than the leeway ago": lambda: token(KEYS.good, exp=int(time.time()) - LEEWAY_S + 1),
    "valid in a second less than the leeway": lambda: token(KEYS.good, nbf=int(time.time()) + LEEWAY_S - 1),
    "issued in less than a minute": lambda: token(KEYS.good, iat=int(time.time()) + AHEAD_S - 1),
    # Other bytes that say the same: no list of refused tokens could go by them.
    "with the other signature that anybody can make": lambda: compact(head(KEYS.good), claims(), KEYS.good.malleated),
    "with an exp that has a fraction": lambda: token(KEYS.good, exp=time.time() + 300.5),
    "with spaces in its JSON": lambda: compact(json.dumps(head(KEYS.good), indent=2), claims(), KEYS.good.sign),
}


@pytest.mark.parametrize("name", GOOD)
async def test_a_good_credential_passes(name: str, running: Guarded) -> None:
    async def in_time() -> tuple[Headers, list[tuple[Answer, Mapping[str, Any]]]]:
        second, headers = int(time.time()), bearer(GOOD[name]())
        answers = [await running.ask(headers) for _ in range(2)]
        assert int(time.time()) == second, "what took longer may rightly be refused"
        return headers, answers

    headers, answers = await eventually(in_time)
    for answer, entry in answers:
        assert answer.status == 200, entry
        assert dict(json.loads(answer.body)["headers"])["x-edgerun-caller"] == CALLER == entry["caller"]
        assert not tells(answer, entry, headers)


async def test_what_was_verified_once_is_not_believed_for_longer_than_it_is_valid(running: Guarded) -> None:
    async def believed() -> Headers:
        headers = bearer(token(KEYS.good, exp=int(time.time()) - LEEWAY_S + 3))
        assert (await running.ask(headers))[0].status == 200
        return headers

    headers = await eventually(believed)

    async def expired() -> bool:
        answer, entry = await running.ask(headers)
        assert (answer.status, "{Jwt_is_expired}" in entry["details"]) in ((200, False), (401, True))
        return answer.status == 401

    await eventually(expired, step_s=0.1)


async def test_no_letter_of_it_can_be_another(running: Guarded) -> None:
    text = token(KEYS.good)
    taken = [at for at in range(len(text)) if (await running.ask(bearer(other_letter(text, at))))[0].status == 200]
    assert taken == [], [text[at - 3 : at + 3] for at in taken]


def other_letter(text: str, at: int) -> str:
    other = "B" if text[at] == "A" else "A"
    return text[:at] + other + text[at + 1 :]


@pytest.mark.parametrize("sub", ["system:serviceaccount:till:clerk", "system:serviceaccount:big-shop:a.b-c", DEPLOYER])
async def test_whoever_may_call_passes_and_the_app_hears_who_it_is(sub: str, running: Guarded) -> None:
    answer, entry = await running.ask(bearer(token(KEYS.good, sub=sub, jti="j-7")))
    assert answer.status == 200
    assert dict(json.loads(answer.body)["headers"])["x-edgerun-caller"] == sub
    assert (entry["caller"], entry["credential"], entry["key"]) == (sub, "j-7", "k1")


async def test_a_valid_caller_who_may_not_is_named_in_the_log(running: Guarded) -> None:
    _, entry = await running.ask(bearer(token(KEYS.good, sub="system:serviceaccount:till:thief", jti="j-8")))
    assert (entry["caller"], entry["credential"]) == ("system:serviceaccount:till:thief", "j-8")


async def test_a_caller_who_is_not_proven_is_not_named(running: Guarded) -> None:
    _, entry = await running.ask(bearer(token(KEYS.stranger)))
    assert (entry["caller"], entry["credential"], entry["key"]) == (None, None, None)


@pytest.mark.parametrize("name", ["access_token", "token", "jwt", "x-edgerun-authorization", "authorization"])
async def test_a_token_in_the_query_is_none_and_is_not_logged(name: str, running: Guarded) -> None:
    text = token(KEYS.good)
    answer, entry = await running.ask(path=f"/a?{name}={text}")
    assert (answer.status, entry["details"]) == (401, "jwt_authn_access_denied{Jwt_is_missing}")
    assert entry["path"] == "/a"
    assert not tells(answer, entry, bearer(text))


UNREADABLE: dict[str, tuple[int, str, Callable[[str], str]]] = {
    "too long": (431, "headers_too_large", lambda text: text + "A" * 70_000),
    "with a NUL": (400, "http1.invalid_characters", lambda text: text + "\0"),
}


@pytest.mark.parametrize("name", UNREADABLE)
async def test_what_is_no_http_is_refused_before_anything_looks_at_it(name: str, running: Guarded) -> None:
    status, why, change = UNREADABLE[name]
    before = len(running.raw)
    headers = bearer(change(token(KEYS.good)))
    answer = await fetch(running.guard.listen_port, "/", headers=headers)
    line = await eventually(lambda: "".join(running.raw[before:]), what="a line about it")
    assert answer.status == status
    assert why in line
    assert not tells(answer, {"line": line}, headers)


FORGED = "eyJhbGciOiJFUzI1NiIsImtpZCI6ImsxIiwidHlwIjoiSldUIn0.e30." + "A" * 86
TARGETS = ["OPTIONS *", "CONNECT app:80", "GET http://app/x", "HEAD /", "OPTIONS /", "TRACE /", "POST /", "PATCH /"]


@pytest.mark.parametrize("credential", [[], bearer(FORGED)], ids=["none", "forged"])
@pytest.mark.parametrize("target", TARGETS)
async def test_no_kind_of_request_passes_without(
    target: str, credential: Headers, running: Guarded, app: Origin
) -> None:
    before = len(app.requests)
    method, _, path = target.partition(" ")
    answer = await fetch(running.guard.listen_port, path, method=method, headers=credential)
    assert answer.status in (401, 404, 405), answer  # 404 is for what has no path
    assert len(app.requests) == before


@pytest.mark.parametrize(
    ("sub", "code"), [("system:serviceaccount:other:web", "PERMISSION_DENIED"), ("", "UNAUTHENTICATED")]
)
async def test_a_client_of_grpc_is_told_in_its_own_words_and_no_more(sub: str, code: str, running: Guarded) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{running.guard.listen_port}") as channel:
        call = channel.unary_unary("/shop.Cart/Get")(b"", metadata=bearer(token(KEYS.good, sub=sub)), timeout=60)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
    assert caught.value.code() is grpc.StatusCode[code]
    assert caught.value.details() in (FORBIDDEN, UNAUTHENTICATED)


async def test_keys_are_asked_for_each_request_of_a_connection_of_http2(running: Guarded) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{running.guard.listen_port}") as channel:
        for key, code in [(KEYS.good, "UNIMPLEMENTED"), (KEYS.stranger, "UNAUTHENTICATED")] * 2:
            call = channel.unary_unary("/x?status=404")(b"", metadata=bearer(token(key)), timeout=60)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
            assert caught.value.code() is grpc.StatusCode[code], "the app, which speaks no gRPC, has answered 404"


async def test_an_answer_does_not_repeat_what_the_request_said(running: Guarded) -> None:
    answer = await fetch(running.guard.listen_port, "/evil-path", host="evil.test")
    assert "evil" not in f"{answer.headers}{answer.body}"


async def test_the_audience_is_told_to_nobody(running: Guarded) -> None:
    answer, entry = await running.ask(bearer(token(KEYS.good, aud="https://else.test")))
    assert AUDIENCE not in f"{answer.headers}{answer.body}"
    assert answer.status == 401, entry
