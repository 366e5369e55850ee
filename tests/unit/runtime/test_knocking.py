"""Pods that a request waits for are knocked at, and take requests as soon as they answer.

The pods are servers on addresses of the loopback interface, which the kubelet never calls ready unless a test says so.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from edgerun.api.meta import ObjectKey
from edgerun.api.originrevision import OriginRevision
from edgerun.api.originservice import GUARD_PORT, GUARD_PROBES_PORT
from edgerun.runtime.knocking import LONGEST_PAUSE_S, PAUSE_S, Knocking, pause_s
from edgerun.runtime.observing import Observing
from edgerun.sources.store import Seen, Store
from edgerun.translate.guard_pods import sidecar
from edgerun.translate.labels import revision_labels
from edgerun.translate.names import revision_key
from edgerun.translate.phases import OriginPhase
from edgerun.translate.workloads import origin_deployment
from edgerun.translate.world import Edge, Endpoint, Epoch, Sleep
from support.objects import PLACE, origin_service, run
from support.poll import eventually
from support.ports import free_port

NETWORK = f"127.77.{os.getpid() % 250}"  # another process' guards listen at the same port
WAKING, AWAKE = Epoch(7, Sleep.WAKING), Epoch(7)


@dataclass(slots=True)
class Listener:
    """Answers every request with `status`; with none it never answers. `heard` are the first bytes of each."""

    address: str
    port: int
    status: str = "200 OK"
    heard: list[bytes] = field(default_factory=list)
    connections: int = 0

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Listener"]:
        server = await asyncio.start_server(self._serve, self.address, self.port)
        async with server:
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            if head := await reader.read(4096):
                self.heard.append(head)
                if self.status:
                    writer.write(f"HTTP/1.1 {self.status}\r\ncontent-length: 0\r\n\r\n".encode())
                else:
                    await reader.read()
        finally:
            writer.close()


class House:
    """A store that observes OriginServices with one revision and one pod each, and who knocks at it."""

    def __init__(self) -> None:
        self.store = Store(Edge(), lambda: datetime(2026, 1, 1, tzinfo=UTC), lambda *, urgent: None)
        self.observing = Observing(self.store)
        self.knocking = Knocking(self.store, self.observing.answers)

    @asynccontextmanager
    async def knocked(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.knocking.run(_always))
        try:
            yield
        finally:
            assert not task.done()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def sleep(self, key: ObjectKey, epoch: Epoch) -> None:
        self.store.sleep(key, epoch)
        self.knocking.wake()

    def endpoints(self, key: ObjectKey) -> tuple[Endpoint, ...]:
        return self.store.observations[key].endpoints


async def _always() -> None:
    pass


class Origin:
    """Of a House."""

    def __init__(self, house: House, name: str, *, guarded: bool = False, **container: Any) -> None:
        self.house, self.name, self._guarded = house, name, guarded
        self.service = origin_service(name, image="cart:1", **container)
        self.revision = f"{name}-00001"
        self.key = revision_key(self.service.key, self.revision)
        self._is_there()

    def _is_there(self) -> None:
        template = msgspec.to_builtins(self.service)["spec"]["template"]
        about = {"apiVersion": "edgerun.dev/v1alpha1", "kind": "OriginService"}
        metadata = {"name": self.name, "namespace": "shop", "uid": "u1"}
        self.house.store.apply(Seen({**about, "metadata": metadata, "spec": {"template": template}}))
        labels = dict(revision_labels(self.name, self.revision))
        raw = {
            "metadata": {"name": self.revision, "namespace": "shop", "uid": "r1", "labels": labels},
            "spec": {"template": template, "number": 1},
        }
        self.house.observing.revise(self.key, msgspec.convert(raw, OriginRevision))
        self.house.observing.see(origin_deployment(run(self.service)))

    def pod(self, address: str, *, ready: bool = False, restarts: int = 0) -> None:
        """It is there, as the kubelet tells of it."""
        guard = sidecar(self.service, PLACE, "shops.example") if self._guarded else None
        template = origin_deployment(run(self.service), sidecar=guard)["spec"]["template"]
        status = {
            "podIP": address,
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "containerStatuses": [{"name": "app", "restartCount": restarts, "state": {"running": {}}}],
        }
        metadata = {"name": f"{self.name}-x", "namespace": "shop", "labels": template["metadata"]["labels"]}
        self.house.observing.see({"kind": "Pod", "metadata": metadata, "spec": template["spec"], "status": status})

    def pod_is_gone(self) -> None:
        self.house.observing.gone(ObjectKey("Pod", "shop", f"{self.name}-x"))

    def sleep(self, epoch: Epoch) -> None:
        self.house.sleep(self.key, epoch)

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        return self.house.endpoints(self.key)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    made = House()
    async with made.knocked():
        yield made


@pytest.fixture
async def servers() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


def cart(house: House, port: int, name: str = "cart", **container: Any) -> Origin:
    return Origin(house, name, ports=[{"containerPort": port}], **container)


async def test_who_answers_takes_requests_before_the_kubelet_says_so(house: House, servers: AsyncExitStack) -> None:
    app = await servers.enter_async_context(Listener(f"{NETWORK}.1", free_port()).serving())
    origin = cart(house, app.port)
    origin.sleep(WAKING)
    origin.pod(app.address)
    assert not origin.endpoints
    await eventually(lambda: origin.endpoints == (Endpoint(app.address, app.port),))
    assert house.store.observations[origin.key].phase is OriginPhase.READY


async def test_who_is_not_there_yet_is_asked_again(house: House, servers: AsyncExitStack) -> None:
    late = Listener(f"{NETWORK}.1", free_port())
    first = await servers.enter_async_context(Listener(f"{NETWORK}.2", late.port).serving())
    origin, other = cart(house, late.port), cart(house, late.port, "other")
    for one, address in ((origin, late.address), (other, first.address)):
        one.sleep(WAKING)
        one.pod(address)
    await eventually(lambda: other.endpoints)
    assert not origin.endpoints
    await servers.enter_async_context(late.serving())
    await eventually(lambda: origin.endpoints)


async def test_nobody_is_asked_for_whom_no_request_waits(house: House, servers: AsyncExitStack) -> None:
    quiet = await servers.enter_async_context(Listener(f"{NETWORK}.1", free_port()).serving())
    asked = await servers.enter_async_context(Listener(f"{NETWORK}.2", free_port()).serving())
    never, closing, waking = cart(house, quiet.port, "a"), cart(house, quiet.port, "b"), cart(house, asked.port, "c")
    closing.sleep(Epoch(7, Sleep.CLOSING, before=6))
    never.pod(quiet.address)
    closing.pod(quiet.address)
    waking.sleep(WAKING)
    waking.pod(asked.address)
    await eventually(lambda: waking.endpoints)
    assert quiet.connections == 0
    assert not never.endpoints


async def test_a_guard_has_to_answer_beside_its_app(house: House, servers: AsyncExitStack) -> None:
    app = await servers.enter_async_context(Listener(f"{NETWORK}.1", free_port()).serving())
    guard = Listener(app.address, GUARD_PROBES_PORT, status="503 Service Unavailable")
    await servers.enter_async_context(guard.serving())
    origin = cart(house, app.port, guarded=True)
    origin.sleep(WAKING)
    origin.pod(app.address)
    await eventually(lambda: len(guard.heard) >= 2)
    assert not origin.endpoints
    guard.status = "200 OK"
    await eventually(lambda: origin.endpoints == (Endpoint(app.address, GUARD_PORT, guarded=True),))
    assert guard.heard[0].startswith(b"GET /ready HTTP/1.1\r\n")


async def test_a_probe_of_http_gets_its_path_and_headers_and_wants_a_good_status(
    house: House, servers: AsyncExitStack
) -> None:
    app = await servers.enter_async_context(Listener(f"{NETWORK}.1", free_port(), status="500 No").serving())
    headers = [{"name": "Host", "value": "cart.example"}]
    origin = cart(house, app.port, readinessProbe={"httpGet": {"path": "/up", "httpHeaders": headers}})
    origin.sleep(WAKING)
    origin.pod(app.address)
    await eventually(lambda: len(app.heard) >= 2)
    assert not origin.endpoints
    app.status = "204 Nothing"
    await eventually(lambda: origin.endpoints)
    assert app.heard[0].startswith(b"GET /up HTTP/1.1\r\n")
    assert b"\r\nHost: cart.example\r\n" in app.heard[0]


async def test_who_never_answers_holds_up_nobody_else(house: House, servers: AsyncExitStack) -> None:
    mute = await servers.enter_async_context(Listener(f"{NETWORK}.1", free_port(), status="").serving())
    app = await servers.enter_async_context(Listener(f"{NETWORK}.2", mute.port).serving())
    get = {"httpGet": {"path": "/"}}
    stuck, origin = (
        cart(house, mute.port, "stuck", readinessProbe=get | {"timeoutSeconds": 600}),
        cart(house, app.port, readinessProbe=get),
    )
    stuck.sleep(WAKING)
    stuck.pod(mute.address)
    await eventually(lambda: mute.heard)
    origin.sleep(WAKING)
    origin.pod(app.address)
    await eventually(lambda: origin.endpoints)
    assert not stuck.endpoints


@pytest.fixture
async def answered(house: House, servers: AsyncExitStack) -> Origin:
    """An origin that is awake by its own word."""
    app = await servers.enter_async_context(Listener(f"{NETWORK}.1", free_port()).serving())
    origin = cart(house, app.port)
    origin.sleep(WAKING)
    origin.pod(app.address)
    await eventually(lambda: origin.endpoints)
    origin.sleep(AWAKE)
    return origin


async def test_its_endpoint_stays_until_the_kubelet_says_the_same_and_then_its_word_counts(answered: Origin) -> None:
    answered.pod(f"{NETWORK}.1")
    assert answered.endpoints, "the kubelet has told of something else"
    answered.pod(f"{NETWORK}.1", ready=True)
    assert answered.endpoints
    answered.pod(f"{NETWORK}.1", ready=False)
    assert not answered.endpoints


async def test_an_answer_ends_with_the_pod(answered: Origin) -> None:
    answered.pod_is_gone()
    assert not answered.endpoints
    answered.pod(f"{NETWORK}.1")
    assert not answered.endpoints, "it is another one"


async def test_an_answer_ends_with_the_life_of_its_containers(answered: Origin) -> None:
    answered.pod(f"{NETWORK}.1", restarts=1)
    assert not answered.endpoints
    answered.pod(f"{NETWORK}.1", restarts=0)
    assert not answered.endpoints


def test_the_longer_somebody_is_waited_for_the_less_often_he_is_asked() -> None:
    assert pause_s(0) == pause_s(1) == PAUSE_S
    assert PAUSE_S < pause_s(10) < pause_s(20) < LONGEST_PAUSE_S == pause_s(1_000)
