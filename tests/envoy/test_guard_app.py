"""What the app behind a guard gets to see: who calls, nothing that only looks like it, and no more than it can do."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from edgerun.infra.draining import drain
from edgerun.translate.guard_answers import BUSY, FORBIDDEN, UNAUTHENTICATED
from guard.callers import calling
from guard.counting import Counting, counting
from guard.guarded import CALLER, Guarded, Headers, bearer, guard, guarded, token
from support.origins import Origin, origin
from support.poll import eventually
from support.standalone import Answer, fetch
from support.tokens import Key

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]
KEY = Key("k1")
ME = "x-edgerun-caller"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def app() -> AsyncIterator[Origin]:
    async with origin("app") as app:
        yield app


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(app: Origin) -> AsyncIterator[Guarded]:
    async with guarded(guard(KEY, app_port=app.port)) as running:
        yield running


def seen(answer: Answer) -> list[tuple[str, str]]:
    assert answer.status == 200, answer
    return [(name.lower(), value) for name, value in json.loads(answer.body)["headers"]]


SPOOFED: dict[str, Headers] = {
    "the name of a caller": [(ME, "root")],
    "in capitals": [("X-EDGERUN-CALLER", "root")],
    "twice": [(ME, "root"), (ME, "admin")],
    "empty": [(ME, "")],
    "with underscores": [("x_edgerun_caller", "root")],
    "with one underscore": [("x-edgerun_caller", "root")],
    "with the other underscore": [("x_edgerun-caller", "root")],
    "in capitals with underscores": [("X_Edgerun_Caller", "root")],
    "another one of ours": [("x-edgerun-user", "root"), ("x-edgerun-fault", "edge")],
    "the beginning alone": [("x-edgerun", "root"), ("x-edgerun-", "root")],
    "a credential with underscores": [("x_edgerun_authorization", "Bearer root")],
    "named by the connection": [(ME, "root"), ("connection", ME)],
    "named by the connection beside nothing": [("connection", f"keep-alive, {ME}")],
}


@pytest.mark.parametrize("case", SPOOFED)
async def test_what_a_caller_says_in_our_name_does_not_reach_the_app(case: str, running: Guarded) -> None:
    answer, _ = await running.ask([*bearer(token(KEY)), *SPOOFED[case]])
    ours = [(name, value) for name, value in seen(answer) if name.replace("_", "-").startswith("x-edgerun")]
    assert ours == [(ME, CALLER)]


KEPT: dict[str, tuple[str, str]] = {
    "the app's own authorization": ("authorization", "Basic eDp5"),
    "who the client of the edge is": ("x-forwarded-for", "203.0.113.7, 10.0.0.1"),
    "how the client came to the edge": ("x-forwarded-proto", "https"),
    "which host it asked for": ("x-forwarded-host", "shop.test"),
    "a cookie": ("cookie", "a=b; access_token=c"),
    "a name that begins otherwise": ("x-edgeruns", "1"),
    "a name with an underscore": ("x_request_source", "1"),
    "where a trace began": ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
}


@pytest.mark.parametrize("case", KEPT)
async def test_all_else_does(case: str, running: Guarded) -> None:
    answer, _ = await running.ask([*bearer(token(KEY)), KEPT[case]])
    assert KEPT[case] in seen(answer)


async def test_the_credential_is_for_the_guard_alone(running: Guarded) -> None:
    text = token(KEY)
    answer, _ = await running.ask(bearer(text))
    assert text not in answer.body
    assert text.split(".")[2] not in answer.body


@pytest.mark.parametrize("header", ["x-envoy-max-retries", "x-envoy-retry-on", "x-envoy-upstream-rq-timeout-ms"])
async def test_a_caller_cannot_steer_the_proxy(header: str, running: Guarded, app: Origin) -> None:
    before = len(app.requests)
    steering = [("x-envoy-retry-on", "5xx"), ("x-envoy-max-retries", "5"), ("x-envoy-upstream-rq-timeout-ms", "1")]
    answer, _ = await running.ask(
        [*bearer(token(KEY)), *steering, ("x-forwarded-for", "10.0.0.1")], "/?status=503&delay=20ms"
    )
    assert answer.status == 503
    assert len(app.requests) == before + 1
    assert header not in [name.lower() for name, _ in app.requests[-1].headers]


@pytest.mark.parametrize("path", ["/", "/a//b", "/a/../b", "/a%2fb", "/a%2Fb?c=%20&d=e", "/%7Ea;x=1"])
async def test_the_app_gets_the_path_that_was_asked_for(path: str, running: Guarded, app: Origin) -> None:
    await running.ask(bearer(token(KEY)), path)
    assert app.requests[-1].target == path


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
async def test_the_apps_own_refusals_keep_their_words(status: int, running: Guarded) -> None:
    answer, entry = await running.ask(bearer(token(KEY)), f"/?status={status}")
    assert (answer.status, entry["details"]) == (status, "via_upstream")
    assert answer.body not in (UNAUTHENTICATED, FORBIDDEN, BUSY)
    assert answer.header("www-authenticate") is None
    assert answer.header("x-origin") == "app"
    assert answer.header("server") is None


async def test_a_connection_is_upgraded_for_a_caller_who_may(running: Guarded) -> None:
    upgrade = [("upgrade", "websocket"), ("connection", "upgrade"), ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")]
    assert (await running.ask(upgrade))[0].status == 401
    reader, writer = await requested(running, [*upgrade, *bearer(token(KEY))])
    head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    assert head.startswith(b"HTTP/1.1 101 ")


async def requested(running: Guarded, headers: Headers) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", running.guard.listen_port)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    writer.write(f"GET / HTTP/1.1\r\nhost: app\r\n{lines}\r\n".encode())
    return reader, writer


async def test_the_kubelet_and_prometheus_need_no_credential_and_learn_nothing_else(running: Guarded) -> None:
    port = running.guard.probes_port
    assert (await fetch(port, "/ready")).status == 200
    metrics = (await fetch(port, "/metrics")).body
    assert 'envoy_http_conn_manager_prefix="guard"' in metrics
    assert 'envoy_cluster_name="origin/shop/cart"' in metrics
    for path in ("/config_dump", "/", "/stats"):
        assert (await fetch(port, path)).status == 404
    assert (await fetch(running.guard.listen_port, "/ready")).status == 401


async def ask(running: Guarded) -> Answer:
    return await fetch(running.guard.listen_port, "/", headers=bearer(token(KEY)))


@pytest.mark.parametrize(("concurrency", "queue"), [(1, 1), (1, 5), (3, 5), (3, 3), (10, 20)])
async def test_concurrency_is_exact_so_many_wait_and_the_rest_is_turned_away(concurrency: int, queue: int) -> None:
    limits = {"concurrency": concurrency, "queue": queue}
    async with counting() as app, guarded(guard(KEY, app_port=app.port, **limits)) as running:
        first = [asyncio.create_task(ask(running)) for _ in range(concurrency)]
        await eventually(lambda: app.held == concurrency, what="the app is full")
        more = [asyncio.create_task(ask(running)) for _ in range(queue + 10)]
        await eventually(lambda: sum(task.done() for task in more) == 10, what="ten are turned away")
        turned_away = [task.result() for task in more if task.done()]
        assert {(one.status, one.body, one.header("retry-after")) for one in turned_away} == {(503, BUSY, "1")}
        assert app.held == app.most == concurrency
        app.release.set()
        await eventually(lambda: all(task.done() for task in (*first, *more)))
        assert [task.result().status for task in (*first, *more)].count(200) == concurrency + queue
        assert (app.most, app.served) == (concurrency, concurrency + queue)


async def test_the_queue_is_never_shorter_than_the_concurrency() -> None:
    async with counting() as app, guarded(guard(KEY, app_port=app.port, concurrency=3, queue=0)) as running:
        tasks = [asyncio.create_task(ask(running)) for _ in range(3)]
        await eventually(lambda: app.held == 3)
        tasks += [asyncio.create_task(ask(running)) for _ in range(4)]
        await eventually(lambda: sum(task.done() for task in tasks) == 1)
        app.release.set()
        assert sorted([(await task).status for task in tasks]) == [200] * 6 + [503]


@pytest.mark.parametrize("concurrency", [1, 3, 80])
async def test_an_app_that_was_idle_gets_all_that_it_has_room_for(concurrency: int) -> None:
    async with counting() as app, guarded(guard(KEY, app_port=app.port, concurrency=concurrency)) as running:
        app.release.set()
        answers = await asyncio.gather(*(ask(running) for _ in range(concurrency)))
        assert [one.status for one in answers] == [200] * concurrency
        assert app.most <= concurrency


async def test_a_burst_never_gets_more_to_the_app_than_it_can_do() -> None:
    async with counting() as app, guarded(guard(KEY, app_port=app.port, concurrency=3, queue=5)) as running:
        answers = await asyncio.gather(*(ask(running) for _ in range(60)), let_go_when_full(app, 3))
        statuses = [one.status for one in answers if one]
        assert app.most == 3
        assert statuses.count(200) >= 3
        assert set(statuses) <= {200, 503}
        assert app.served == statuses.count(200)


async def let_go_when_full(app: Counting, concurrency: int) -> None:
    await eventually(lambda: app.held == concurrency)
    app.release.set()


async def test_a_caller_who_leaves_the_queue_makes_room_in_it() -> None:
    async with counting() as app, guarded(guard(KEY, app_port=app.port, concurrency=1, queue=1)) as running:
        first = asyncio.create_task(ask(running), name="first")
        await eventually(lambda: app.held == 1)
        _, writer = await requested(running, bearer(token(KEY)))
        await eventually(lambda: waiting(running, 1))
        writer.close()
        await eventually(lambda: waiting(running, 0))
        last = asyncio.create_task(ask(running), name="last")
        await eventually(lambda: waiting(running, 1))
        app.release.set()
        assert [(await task).status for task in (first, last)] == [200, 200]
        assert app.served == 2


async def waiting(running: Guarded, count: int) -> bool:
    return await running.envoy.stat("cluster.origin/shop/cart.upstream_rq_pending_active") == count


async def test_without_a_limit_all_come_at_once() -> None:
    async with counting() as app, guarded(guard(KEY, app_port=app.port)) as running:
        answers = await asyncio.gather(*(ask(running) for _ in range(40)), let_go_when_full(app, 40))
        assert {one.status for one in answers if one} == {200}


async def test_strangers_take_no_place_in_the_queue() -> None:
    async with counting() as app, guarded(guard(KEY, app_port=app.port, concurrency=1, queue=1)) as running:
        first = asyncio.create_task(ask(running), name="first")
        await eventually(lambda: app.held == 1)
        for _ in range(10):
            assert (await running.ask(bearer(token(Key("k1")))))[0].status == 401
        assert await waiting(running, 0)
        app.release.set()
        assert (await first).status == 200


async def test_it_leaves_without_losing_a_request(app: Origin) -> None:
    async with guarded(guard(KEY, app_port=app.port)) as running:
        said: list[str] = []
        slow = asyncio.create_task(fetch(running.guard.listen_port, "/?delay=1500ms", headers=bearer(token(KEY))))
        await eventually(lambda: any("delay=1500ms" in request.target for request in app.requests))
        leaving = asyncio.create_task(drain(running.envoy.admin, timeout_s=600, say=said.append, least_s=0.5))
        await eventually(lambda: unready(running))
        assert (await ask(running)).status == 200, "it takes new connections meanwhile"
        await leaving
        assert await running.envoy.stat("http.guard.downstream_rq_active") == 0
        assert (await slow).status == 200
        assert said[0].startswith("no client is connected any more")


async def unready(running: Guarded) -> bool:
    return (await fetch(running.guard.probes_port, "/ready")).status == 503


async def test_an_app_that_is_not_there_is_not_the_callers_fault() -> None:
    async with guarded(guard(KEY, app_port=1)) as running:
        answer, entry = await running.ask(bearer(token(KEY)))
        assert (answer.status, entry["flags"]) == (503, "UF")
        assert (await running.ask())[0].status == 401


async def test_one_that_keeps_its_connection_is_known_anew_with_each_request(running: Guarded) -> None:
    texts = iter([token(KEY, sub="system:serviceaccount:shop:a"), token(Key("k1"))] * 10_000)
    async with calling(running.guard.listen_port, lambda: next(texts)) as callers:
        answers = await callers.more(200)
    assert abs(answers.count(200) - answers.count(401)) < 20
