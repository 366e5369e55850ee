"""Every match and the whole order of precedence, asked of a real Envoy."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from support.standalone import Standalone, standalone

pytestmark = pytest.mark.envoy

ROUTES = """
apiVersion: edgerun.dev/v1alpha1
kind: EdgeRoute
metadata: {name: order}
spec:
  hostnames: [order.test]
  rules:
  - {respond: {body: everything}}
  - {matches: [{path: {value: /a}}], respond: {body: prefix}}
  - {matches: [{path: {value: /a}, queryParams: [{name: q, value: "1"}]}], respond: {body: one query}}
  - matches: [{path: {value: /a}, queryParams: [{name: q, value: "1"}, {name: r, value: "2"}]}]
    respond: {body: two queries}
  - {matches: [{path: {value: /a}, headers: [{name: X-A, value: "1"}]}], respond: {body: one header}}
  - matches: [{path: {value: /a}, headers: [{name: X-A, value: "1"}, {name: x-b, value: "2"}]}]
    respond: {body: two headers}
  - {matches: [{path: {value: /a}, method: POST}], respond: {body: method}}
  - {matches: [{path: {value: /a/b/}}], respond: {body: longer prefix}}
  - {matches: [{path: {type: RegularExpression, value: "/a/[0-9]+"}}], respond: {body: expression}}
  - {matches: [{path: {type: Exact, value: /a/7}}], respond: {body: exact}}
---
apiVersion: edgerun.dev/v1alpha1
kind: EdgeRoute
metadata: {name: kinds}
spec:
  hostnames: [kinds.test]
  rules:
  - {matches: [{headers: [{name: x-id, type: RegularExpression, value: "[0-9]+"}]}], respond: {body: header expression}}
  - matches: [{queryParams: [{name: v, type: RegularExpression, value: "[0-9]+"}]}]
    respond: {body: query expression}
  - {matches: [{method: DELETE}, {path: {type: Exact, value: /either}}], respond: {body: either}}
---
apiVersion: edgerun.dev/v1alpha1
kind: EdgeRoute
metadata: {name: exact-host}
spec:
  hostnames: [a.wild.test]
  rules: [{matches: [{path: {value: /only}}], respond: {body: exact host}}]
---
apiVersion: edgerun.dev/v1alpha1
kind: EdgeRoute
metadata: {name: wild-host}
spec:
  hostnames: ["*.wild.test"]
  rules: [{respond: {body: wild host}}]
---
apiVersion: edgerun.dev/v1alpha1
kind: EdgeRoute
metadata: {name: wilder-host}
spec:
  hostnames: ["*.b.wild.test"]
  rules: [{matches: [{path: {value: /b}}], respond: {body: longer wild host}}]
---
apiVersion: edgerun.dev/v1alpha1
kind: EdgeRoute
metadata: {name: any-host}
spec:
  rules: [{respond: {body: any host}}]
"""

PRECEDENCE = [
    ("GET", "/", (), "everything"),
    ("GET", "/b", (), "everything"),
    ("GET", "/a", (), "prefix"),
    ("GET", "/a/", (), "prefix"),
    ("GET", "/a/x", (), "prefix"),
    ("GET", "/ab", (), "everything"),
    ("GET", "/A", (), "everything"),
    ("GET", "/a?q=1", (), "one query"),
    ("GET", "/a?q=2", (), "prefix"),
    ("GET", "/a?Q=1", (), "prefix"),
    ("GET", "/a?q=1&q=2", (), "one query"),
    ("GET", "/a?r=2&q=1", (), "two queries"),
    ("GET", "/a?r=2&q=1", (("x-a", "1"),), "one header"),
    ("GET", "/a", (("X-a", "1"),), "one header"),
    ("GET", "/a", (("x-a", "1x"),), "prefix"),
    ("GET", "/a", (("x-a", "1"), ("x-b", "2")), "two headers"),
    ("POST", "/a?q=1&r=2", (("x-a", "1"), ("x-b", "2")), "method"),
    ("GET", "/a/b", (), "longer prefix"),
    ("GET", "/a/b/c", (), "longer prefix"),
    ("POST", "/a/b", (("x-a", "1"), ("x-b", "2")), "longer prefix"),
    ("GET", "/a/6", (), "expression"),
    ("GET", "/a/6/7", (), "prefix"),
    ("POST", "/a/6", (), "expression"),
    ("GET", "/a/7", (), "exact"),
    ("GET", "/a/7?q=1", (), "exact"),
    ("GET", "/x/../a/7", (), "exact"),
    ("GET", "//a//7", (), "exact"),
    ("GET", "/%61/7", (), "exact"),
]

KINDS = [
    ("GET", "/", (("x-id", "12"),), 200, "header expression"),
    ("GET", "/", (("x-id", "12a"),), 404, ""),
    ("GET", "/?v=3", (), 200, "query expression"),
    ("GET", "/?v=3a", (), 404, ""),
    ("DELETE", "/x", (), 200, "either"),
    ("GET", "/either", (), 200, "either"),
    ("GET", "/either/", (), 404, ""),
]

HOSTS = [
    ("a.wild.test", "/only", "exact host"),
    ("a.wild.test", "/other", "wild host"),
    ("A.Wild.TEST", "/only", "exact host"),
    ("a.wild.test:1234", "/only", "exact host"),
    ("a.wild.test.", "/only", "exact host"),
    ("x.y.wild.test", "/", "wild host"),
    ("x.b.wild.test", "/b", "longer wild host"),
    ("x.b.wild.test", "/c", "wild host"),
    ("wild.test", "/", "any host"),
    ("127.0.0.1", "/", "any host"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def edge(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Standalone]:
    directory: Path = tmp_path_factory.mktemp("routes")
    async with standalone(directory, ROUTES) as here:
        for name in ("order", "kinds", "exact-host", "wild-host", "wilder-host", "any-host"):
            await here.until(name)
        yield here


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("method", "path", "headers", "want"), PRECEDENCE)
async def test_the_most_specific_match_answers(
    edge: Standalone, method: str, path: str, headers: tuple[tuple[str, str], ...], want: str
) -> None:
    answer = await edge.get(path, host="order.test", method=method, headers=headers)
    assert (answer.status, answer.body) == (200, want)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("method", "path", "headers", "status", "want"), KINDS)
async def test_each_kind_of_match_holds_for_the_whole_value(
    edge: Standalone, method: str, path: str, headers: tuple[tuple[str, str], ...], status: int, want: str
) -> None:
    answer = await edge.get(path, host="kinds.test", method=method, headers=headers)
    assert (answer.status, answer.body) == (status, want)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("host", "path", "want"), HOSTS)
async def test_the_most_specific_hostname_answers_first(edge: Standalone, host: str, path: str, want: str) -> None:
    answer = await edge.get(path, host=host)
    assert (answer.status, answer.body) == (200, want)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_header_with_an_underscore_is_refused_as_the_edge_cannot_tell_it_from_a_dash(edge: Standalone) -> None:
    assert (await edge.get("/a", host="order.test", headers=[("x_a", "1")])).status == 400


@pytest.mark.asyncio(loop_scope="module")
async def test_every_answer_carries_a_request_id_and_no_word_about_the_edge(edge: Standalone) -> None:
    answer = await edge.get("/a", host="order.test")
    assert answer.header("x-request-id")
    assert not [name for name, value in answer.headers if name.startswith("x-envoy") or "envoy" in value.lower()]
