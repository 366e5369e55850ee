"""The whole standalone mode with guards: what an app gets, who gets through to it, and what nobody notices."""

import asyncio
import json
import os
import signal
import ssl
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edgerun.infra.local.instance import instances
from edgerun.translate.guard_answers import BUSY, FORBIDDEN
from edgerun.translate.world import Endpoint
from local.harness import marked
from support.load import load
from support.poll import eventually, eventually_sync
from support.ports import free_port
from support.standalone import Answer, Standalone, standalone

pytestmark = pytest.mark.envoy

ECHO = Path(__file__).parents[1] / "support" / "origins.py"
CALLER = "system:serviceaccount:shop:default"

# Answers with how many requests it had at once, itself included.
COUNTING = """
import os, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
busy, lock = 0, threading.Lock()
class Counting(BaseHTTPRequestHandler):
    def do_GET(self):
        global busy
        with lock: busy += 1
        time.sleep(0.02)
        with lock: most, busy = busy, busy - 1
        self.send_response(200)
        self.send_header("content-length", str(len(str(most))))
        self.end_headers()
        self.wfile.write(str(most).encode())
    def log_message(self, *arguments): pass
ThreadingHTTPServer.request_queue_size = 128
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Counting).serve_forever()
"""


def files(*, spec: str = "", template: str = "", command: list[str] | None = None, version: int = 0) -> str:
    words = json.dumps(command or ["python3", str(ECHO)])
    return f"""
apiVersion: edgerun.dev/v1alpha1
kind: OriginService
metadata: {{name: cart, namespace: shop}}
spec:
  {spec or "guard: Enabled"}
  template:
    spec:
      {template or "dnsPolicy: Default"}
      containers:
      - command: {words}
        env: [{{name: VERSION, value: "{version}"}}]
---
apiVersion: edgerun.dev/v1alpha1
kind: EdgeRoute
metadata: {{name: cart, namespace: shop}}
spec: {{rules: [{{origins: [{{service: {{name: cart}}}}]}}]}}
"""


async def ready(here: Standalone, *, generation: int = 1) -> Endpoint:
    """Where the edge asks the newest revision of shop/cart that is ready."""
    await here.until("cart", kind="OriginService", namespace="shop", generation=generation)
    await here.until("cart", namespace="shop")
    observations = here.runtime.controller.store.observations
    (endpoint,) = observations[max(key for key, seen in observations.items() if seen.endpoints)].endpoints
    return endpoint


def envoys(instance_id: str) -> set[int]:
    return {pid for pid in marked(instance_id) if os.path.basename(os.readlink(f"/proc/{pid}/exe")) == "envoy"}


def guards(here: Standalone) -> set[int]:
    assert here.runtime.edge
    return envoys(here.instance_id) - {here.runtime.edge.pid}


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Standalone]:
    async with standalone(tmp_path, files()) as here:
        await ready(here)
        yield here


async def headers_seen(here: Standalone, *given: tuple[str, str]) -> list[tuple[str, str]]:
    answer = await here.get("/", headers=given)
    assert answer.status == 200, answer
    return [(name.lower(), value) for name, value in json.loads(answer.body)["headers"]]


async def test_an_app_is_told_who_calls_and_gets_no_credential(here: Standalone) -> None:
    seen = dict(await headers_seen(here))
    assert seen["x-edgerun-caller"] == CALLER
    assert "x-edgerun-authorization" not in seen
    assert "authorization" not in seen


async def test_nothing_that_a_client_says_in_our_name_arrives(here: Standalone) -> None:
    said = [
        *(("x-edgerun-caller", "root"), ("X-Edgerun-Caller", "root")),
        *(("x-edgerun-authorization", "Bearer a.b.c"), ("x-edgerun-anything", "root"), ("authorization", "Basic x")),
    ]
    seen = await headers_seen(here, *said)
    assert [one for one in seen if "edgerun" in one[0]] == [("x-edgerun-caller", CALLER)]
    assert dict(seen)["authorization"] == "Basic x", "what is the client's own is left alone"


async def test_a_guard_is_reached_by_the_edge_alone(here: Standalone) -> None:
    guard = await ready(here)
    assert guard.guarded
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await fetched(guard.port, None)
    anybody = ssl.create_default_context()
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
        await fetched(guard.port, anybody)


async def fetched(port: int, tls: ssl.SSLContext | None) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    try:
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        return await reader.readexactly(1)
    finally:
        writer.close()


async def test_who_may_call_changes_at_once_and_restarts_nothing(here: Standalone) -> None:
    before = marked(here.instance_id)
    here.write(files(spec="access: {invokers: []}"))
    refused = await eventually(lambda: answered(here, 403))
    assert (refused.body, refused.header("www-authenticate")) == (FORBIDDEN, 'Bearer error="insufficient_scope"')
    here.write(files(spec="access: {invokers: [{namespace: shop, serviceAccountName: default}]}"))
    await eventually(lambda: answered(here, 200))
    assert marked(here.instance_id) == before


async def answered(here: Standalone, status: int) -> Answer | None:
    answer = await here.get("/")
    return answer if answer.status == status else None


async def test_who_refused_a_request_and_why_is_in_the_log_of_the_guard(here: Standalone) -> None:
    here.write(files(spec="access: {invokers: []}"))
    await eventually(lambda: answered(here, 403))
    name, entry = await eventually(lambda: next((one for one in here.audience.guards if one[1]["status"] == 403), None))
    assert (name, entry["caller"]) == ("shop/cart-00001", CALLER)
    assert entry["details"] == "rbac_access_denied_matched_policy[none]"
    await eventually(lambda: (entry["request_id"], 403) in edges_half(here))
    assert "eyJ" not in str(here.audience.guards)


def edges_half(here: Standalone) -> list[tuple[str, int]]:
    return [(entry["request_id"], entry["status"]) for entry in here.audience.requests]


async def test_an_app_gets_no_more_requests_at_once_than_it_can_take(tmp_path: Path) -> None:
    counting = [sys.executable, "-I", "-c", COUNTING]
    one_by_one = "containerConcurrency: 1"
    async with standalone(tmp_path, files(template=one_by_one, command=counting)) as here:
        before = await ready(here)
        answers = await burst(here)
        here.write(files(template=one_by_one, command=counting, version=1))
        replaced = asyncio.create_task(ready(here, generation=2))
        while not replaced.done():
            answers += await burst(here)
        answers += await burst(here)
        assert replaced.result() != before
    served = [answer for answer in answers if answer.status == 200]
    assert {answer.body for answer in served} == {"1"}
    busy = {(answer.status, answer.body, answer.header("retry-after")) for answer in answers if answer.status != 200}
    assert busy <= {(503, BUSY, "1")}, "what does not fit into the queue is turned away, and nothing else"
    assert len(served) >= len(answers) / 2


async def burst(here: Standalone) -> list[Answer]:
    return list(await asyncio.gather(*(here.get("/") for _ in range(20))))


async def test_a_change_of_the_program_costs_no_request(here: Standalone) -> None:
    async with load(here.port, connections=3) as result:
        for number in range(1, 5):
            here.write(files(version=number, command=["python3", *(["-u"] if number % 2 else []), str(ECHO)]))
            await ready(here, generation=1 + number)
        await eventually(lambda: len(guards(here)) == 1)
    assert result.answered > 10
    assert result.failed == 0, result


async def test_a_guard_that_is_switched_off_and_on_costs_no_request(here: Standalone) -> None:
    async with load(here.port, connections=3) as result:
        for number, guard in enumerate(("Disabled", "Enabled"), start=2):
            here.write(files(spec=f"guard: {guard}"))
            endpoint = await ready(here, generation=number)
            assert endpoint.guarded is (guard == "Enabled")
            await eventually(lambda count=int(endpoint.guarded): len(guards(here)) == count)
    assert result.answered > 10
    assert result.failed == 0, result


async def test_a_guard_that_is_killed_under_load_is_replaced_and_all_is_well_again(here: Standalone) -> None:
    async with load(here.port, connections=3) as meanwhile:
        (guard,) = guards(here)
        os.kill(guard, signal.SIGKILL)
        await here.until("cart", "Unknown", kind="OriginService", namespace="shop")
        await ready(here)
    async with load(here.port, connections=3) as afterwards:
        await eventually(lambda: afterwards.answered > 50)
    assert set(meanwhile.statuses) <= {200, 503}, meanwhile
    assert afterwards.failed == 0, afterwards
    assert guard not in guards(here)


async def test_without_a_guard_there_is_none(tmp_path: Path) -> None:
    async with standalone(tmp_path, files(spec="guard: Disabled")) as here:
        endpoint = await ready(here)
        assert not endpoint.guarded
        assert not guards(here)
        assert json.loads((await here.get("/")).body)["name"] == "origin"
        assert not here.audience.guards


def test_a_killed_instance_leaves_no_guard_behind(tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text(files())
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="er-") as runtime:
        command = [Path(sys.executable).with_name("edgerun"), "local", str(tmp_path), "--port", str(free_port())]
        process = subprocess.Popen(command, env={**os.environ, "XDG_RUNTIME_DIR": runtime}, stdout=subprocess.PIPE)
        try:
            assert process.stdout
            assert any(b"edge on http" in line for line in process.stdout)
            (instance,) = instances(tmp_path, environ={"XDG_RUNTIME_DIR": runtime})
            assert len(envoys(instance.id)) == 2
            process.kill()
            eventually_sync(lambda: not marked(instance.id))
            eventually_sync(lambda: not instance.directory.exists())
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
