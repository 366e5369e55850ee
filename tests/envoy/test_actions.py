"""What rules do with a request, asked of a real Envoy and a real origin."""

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import pytest_asyncio

from support.origins import Origin, origin
from support.poll import eventually
from support.standalone import Answer, Standalone, standalone

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]


def routes(port: int) -> str:
    here = f'{{url: "http://127.0.0.1:{port}"}}'
    return f"""
apiVersion: edgerun.dev/v1alpha1
kind: EdgeRoute
metadata: {{name: web}}
spec:
  rules:
  - {{origins: [{here}]}}
  - {{matches: [{{path: {{value: /respond}}}}], respond: {{status: 418, body: "tea\\n"}},
     responseHeaders: {{set: {{content-type: application/tea, x-kind: green}}}}}}
  - {{matches: [{{path: {{value: /empty}}}}], respond: {{status: 204}}}}
  - {{matches: [{{path: {{value: /foo}}}}], origins: [{here}], rewrite: {{path: {{replacePrefix: /xyz}}}}}}
  - {{matches: [{{path: {{value: /slash/}}}}], origins: [{here}], rewrite: {{path: {{replacePrefix: /xyz/}}}}}}
  - {{matches: [{{path: {{value: /strip}}}}], origins: [{here}], rewrite: {{path: {{replacePrefix: /}}}}}}
  - {{matches: [{{path: {{value: /full}}}}], origins: [{here}], rewrite: {{path: {{replaceFullPath: /a/b}}}}}}
  - {{matches: [{{path: {{value: /host}}}}], origins: [{here}], rewrite: {{hostname: cart.internal}}}}
  - matches: [{{path: {{value: /headers}}}}]
    origins: [{here}]
    requestHeaders: {{set: {{x-set: "100%", x-b: "%REQ(authorization)%"}}, add: {{x-add: more}}, remove: [x-remove]}}
    responseHeaders: {{set: {{x-origin: hidden}}, add: {{x-extra: "1"}}, remove: [content-type]}}
  - {{matches: [{{path: {{value: /timeout}}}}], origins: [{here}], timeouts: {{request: 200ms}}}}
  - {{matches: [{{path: {{value: /never}}}}], origins: [{here}], timeouts: {{request: 0s}}}}
  - {{matches: [{{path: {{value: /gone}}}}], origins: [{{service: {{name: gone}}}}]}}
  - {{matches: [{{path: {{value: /share}}}}], origins: [{here}, {{service: {{name: gone}}}}]}}
  - {{matches: [{{path: {{value: /down}}}}], origins: [{{url: "http://127.0.0.1:1"}}]}}
  - {{matches: [{{path: {{value: /nowhere}}}}], origins: [{{url: "http://nowhere.invalid"}}]}}
  - {{matches: [{{path: {{value: /two}}}}], origins: [{here}, {here}]}}
  - {{matches: [{{path: {{value: /two-hosts}}}}], origins: [{here}, {here}], rewrite: {{hostname: cart.internal}}}}
---
apiVersion: edgerun.dev/v1alpha1
kind: EdgeRoute
metadata: {{name: redirects}}
spec:
  hostnames: [redirect.test]
  rules:
  - {{matches: [{{path: {{value: /old}}}}], redirect: {{path: {{replacePrefix: /new}}, statusCode: 301}}}}
  - {{matches: [{{path: {{value: /strip}}}}], redirect: {{path: {{replacePrefix: /}}}}}}
  - {{matches: [{{path: {{value: /full}}}}], redirect: {{path: {{replaceFullPath: /landing}}, statusCode: 303}}}}
  - {{matches: [{{path: {{value: /host}}}}], redirect: {{hostname: www.test, statusCode: 307}}}}
  - {{matches: [{{path: {{value: /secure}}}}], redirect: {{scheme: https, statusCode: 308}}}}
  - {{matches: [{{path: {{value: /port}}}}], redirect: {{port: 8443, scheme: https}}}}
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def echo() -> AsyncIterator[Origin]:
    async with origin("echo") as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def edge(tmp_path_factory: pytest.TempPathFactory, echo: Origin) -> AsyncIterator[Standalone]:
    async with standalone(tmp_path_factory.mktemp("actions"), routes(echo.port)) as here:
        await here.until("web", type="Programmed")
        await here.until("redirects")
        yield here


def seen(answer: Answer) -> dict[str, Any]:
    """What the origin saw."""
    assert answer.status == 200, answer
    found: dict[str, Any] = json.loads(answer.body)
    return found


def headers(answer: Answer) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in seen(answer)["headers"]:
        found.setdefault(name.lower(), []).append(value)
    return found


async def test_the_edge_answers_by_itself(edge: Standalone) -> None:
    answer = await edge.get("/respond/x")
    assert (answer.status, answer.body, answer.header("content-type")) == (418, "tea\n", "application/tea")
    assert answer.header("x-kind") == "green"
    empty = await edge.get("/empty")
    assert (empty.status, empty.body) == (204, "")


@pytest.mark.parametrize(
    ("path", "want"),
    [
        ("/foo/bar", "/xyz/bar"),
        ("/foo", "/xyz"),
        ("/foo/", "/xyz/"),
        ("/foo?q=1", "/xyz?q=1"),
        ("/slash/bar", "/xyz/bar"),
        ("/slash", "/xyz"),
        ("/strip/bar", "/bar"),
        ("/strip/", "/"),
        ("/strip", "/"),
        ("/strip?q=1", "/?q=1"),
        ("/full/anything?q=1", "/a/b?q=1"),
        ("/untouched/x?q=%20", "/untouched/x?q=%20"),
    ],
)
async def test_rewrites_follow_gateway_apis_table(edge: Standalone, path: str, want: str) -> None:
    assert seen(await edge.get(path))["path"] == want


@pytest.mark.parametrize(
    ("path", "status", "location"),
    [
        ("/old/x?q=1", 301, "http://redirect.test:{port}/new/x?q=1"),
        ("/old", 301, "http://redirect.test:{port}/new"),
        ("/strip/x", 302, "http://redirect.test:{port}/x"),
        ("/strip", 302, "http://redirect.test:{port}/"),
        ("/full/x", 303, "http://redirect.test:{port}/landing"),
        ("/host/x", 307, "http://www.test:{port}/host/x"),
        ("/secure/x", 308, "https://redirect.test:443/secure/x"),
        ("/port/x", 302, "https://redirect.test:8443/port/x"),
    ],
)
async def test_redirects(edge: Standalone, path: str, status: int, location: str) -> None:
    answer = await edge.get(path, host=f"redirect.test:{edge.port}")
    assert (answer.status, answer.header("location")) == (status, location.format(port=edge.port))


async def test_an_origin_elsewhere_is_called_by_its_own_name(edge: Standalone, echo: Origin) -> None:
    found = headers(await edge.get("/x", host="shop.test", headers=[("x-forwarded-host", "spoofed.test")]))
    assert found["host"] == [f"127.0.0.1:{echo.port}"]
    assert found["x-forwarded-host"] == ["shop.test"]


async def test_the_host_can_be_rewritten(edge: Standalone) -> None:
    found = headers(await edge.get("/host", host="shop.test"))
    assert (found["host"], found["x-forwarded-host"]) == (["cart.internal"], ["shop.test"])


@pytest.mark.parametrize(("path", "host"), [("/two", None), ("/two-hosts", "cart.internal")])
async def test_a_split_knows_the_host_that_was_asked_for(
    edge: Standalone, echo: Origin, path: str, host: str | None
) -> None:
    answer = await edge.get(path, host="shop.test", headers=[("x-forwarded-host", "spoofed.test")])
    found = headers(answer)
    assert found["host"] == [host or f"127.0.0.1:{echo.port}"]
    assert found["x-forwarded-host"] == ["shop.test"]
    assert (await logged(edge, answer))["authority"] == "shop.test"


async def test_what_only_the_edge_may_say_is_taken_from_the_client(edge: Standalone) -> None:
    found = headers(await edge.get("/x", headers=[("X-Edgerun-User", "root"), ("x-edgerunner", "fine")]))
    assert "x-edgerun-user" not in found
    assert found["x-edgerunner"] == ["fine"]


async def test_header_changes_are_literal_and_in_order(edge: Standalone) -> None:
    sent = [("x-set", "client"), ("x-add", "client"), ("x-remove", "client"), ("authorization", "secret")]
    answer = await edge.get("/headers", headers=sent)
    found = headers(answer)
    assert found["x-set"] == ["100%"]
    assert found["x-b"] == ["%REQ(authorization)%"]
    assert found["x-add"] == ["client", "more"]
    assert "x-remove" not in found
    assert (answer.header("x-extra"), answer.header("content-type")) == ("1", None)


async def test_a_client_cannot_steer_the_edge_with_its_own_headers(edge: Standalone) -> None:
    found = headers(
        await edge.get("/x", headers=[("x-envoy-upstream-rq-timeout-ms", "1"), ("x-envoy-retry-on", "5xx")])
    )
    own = {"x-envoy-external-address", "x-envoy-expected-rq-timeout-ms", "x-envoy-original-host"}
    assert {name for name in found if name.startswith("x-envoy")} <= own
    assert "1" not in found.get("x-envoy-expected-rq-timeout-ms", [])


async def test_a_request_that_takes_too_long_is_answered_504(edge: Standalone) -> None:
    assert (await edge.get("/timeout?delay=2s")).status == 504
    assert (await edge.get("/never?delay=400ms")).status == 200


async def test_an_origin_that_does_not_exist_is_answered_500_and_the_condition_says_why(edge: Standalone) -> None:
    answer = await edge.get("/gone")
    assert answer.status == 500
    assert "ResolvedRefs" in answer.body
    condition = await edge.until("web", "False", "ResolvedRefs")
    assert condition.reason == "OriginNotFound"
    assert 'spec.rules[11].origins[0].service.name: OriginService "gone" not found' in condition.message


async def test_only_the_share_of_an_origin_that_does_not_exist_is_answered_500(edge: Standalone) -> None:
    statuses = {(await edge.get("/share")).status for _ in range(40)}
    assert statuses == {200, 500}


async def test_an_origin_that_cannot_be_reached_is_answered_503(edge: Standalone) -> None:
    assert (await edge.get("/down")).status == 503
    assert (await edge.get("/nowhere")).status == 503


async def test_the_access_log_tells_who_answered(edge: Standalone, echo: Origin) -> None:
    entry = await logged(edge, await edge.get("/foo/bar?token=secret", host="shop.test"))
    assert entry["rule"] == "default/web/3"
    assert entry["cluster"] == f"url/http://127.0.0.1:{echo.port}@default/default"
    assert entry["authority"] == "shop.test"
    assert entry["path"] == "/foo/bar"
    assert "secret" not in str(entry)


async def logged(edge: Standalone, answer: Answer) -> Mapping[str, Any]:
    """The access log entry of a request."""
    request_id = answer.header("x-request-id")
    found = await eventually(
        lambda: [one for one in edge.audience.requests if one["request_id"] == request_id], what="an access log entry"
    )
    return found[0]
