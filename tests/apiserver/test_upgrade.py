"""An operator that knows revisions takes over what one before it made: one Deployment for each OriginService.

Nothing behind the API server makes pods or ends them: those that there are say that they are ready, and lead to origins
of this test.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
import pytest

from edgerun.api.originservice import OriginService
from edgerun.errors import NotFoundError
from edgerun.infra.kubernetes.client import Client
from edgerun.translate.labels import REVISION
from edgerun.translate.workloads import origin_deployment
from support import chart
from support.apiserver import ApiServer
from support.chart import kubectl
from support.installation import edge_pod, edge_proxy, origin_service, ready_pod
from support.load import Result, load
from support.objects import run
from support.operators import leader_found
from support.origins import Origin, origin
from support.poll import eventually
from support.scene import EDGE_POD, WITHIN_S, Object, Scene, at_port, fleet_made, premises, to_origin

pytestmark = pytest.mark.envoy
OLD, NEW = "cart", "cart-00001"


@pytest.fixture(autouse=True)
def _installable() -> None:
    chart.needed()


async def made_before(scene: Scene, port: int, *, replicas: int) -> None:
    """An OriginService, and what an operator of before there were revisions has made of it."""
    raw = await scene.client.create(at_port(origin_service(scene.place.shop, "cart"), port))
    made = origin_deployment(run(msgspec.convert(raw, OriginService), replicas=replicas))
    made["metadata"]["name"] = OLD
    template = made["spec"]["template"]
    for labels in (made["metadata"]["labels"], made["spec"]["selector"]["matchLabels"], template["metadata"]["labels"]):
        del labels[REVISION]
    await scene.client.apply(made)


async def pod(scene: Scene, deployment: str, name: str, address: str) -> None:
    """One that a Deployment has made, and that is ready."""
    template = (await scene.client.get(scene.key("Deployment", deployment)))["spec"]["template"]
    metadata = {"name": name, "namespace": scene.place.shop, "labels": template["metadata"]["labels"]}
    made = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}
    await scene.client.create({**made, "spec": template["spec"]})
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    await scene.client.apply_status({**made, "status": {"podIP": address, "conditions": [ready]}})


async def ended(scene: Scene, name: str) -> None:
    """As the garbage collector and a kubelet end a pod whose Deployment is gone."""
    command = ("delete", "pod", name, "-n", scene.place.shop, "--grace-period=0", "--force")
    await asyncio.to_thread(kubectl, scene.place.server, *command)


async def there(scene: Scene, kind: str, name: str) -> Object:
    async def found() -> Object:
        try:
            return await scene.client.get(scene.key(kind, name))
        except NotFoundError:
            return {}

    return await eventually(found, within_s=WITHIN_S, step_s=0.1, what=f"{kind} {name}")


@asynccontextmanager
async def served(scene: Scene) -> AsyncIterator[Result]:
    """The fleet at work, and its route asked without pause."""
    async with AsyncExitStack() as stack:
        await eventually(lambda: fleet_made(scene), within_s=WITHIN_S, step_s=0.1)
        await ready_pod(scene.client, scene.place, "default", EDGE_POD)
        xds = await stack.enter_async_context(leader_found(scene.client, scene.place))
        edge = edge_pod(scene.client, scene.place, "default", EDGE_POD, xds, scene.folder)
        await stack.enter_async_context(edge)
        await scene.ready("EdgeRoute", "cart")
        asked = load(scene.port, host="cart.example", connections=2, max_seconds=600, timeout_s=5, pause_s=0.005)
        yield await stack.enter_async_context(asked)


async def answered_by(replica: Origin) -> None:
    before = len(replica.requests)
    await eventually(lambda: len(replica.requests) > before + 20, within_s=WITHIN_S)


@pytest.fixture
async def replicas() -> AsyncIterator[tuple[Origin, Origin, Origin]]:
    """One that is there, and two to come, each at an address of its own."""
    async with (
        origin("old") as old,
        origin("new", port=old.port, address="127.0.0.2") as first,
        origin("new", port=old.port, address="127.0.0.3") as second,
    ):
        yield old, first, second


async def test_what_ran_before_there_were_revisions_serves_until_its_heirs_do_and_no_request_is_lost(
    server: ApiServer, client: Client, namespace: str, replicas: tuple[Origin, Origin, Origin]
) -> None:
    old, *heirs = replicas
    async with premises(server, client, namespace) as scene:
        await made_before(scene, old.port, replicas=2)
        await pod(scene, OLD, "cart-old", "127.0.0.1")
        await client.create(edge_proxy("default"))
        await client.create(to_origin(scene.place.shop, "cart"))
        await scene.operator.start()
        assert (await there(scene, "Deployment", NEW))["spec"]["replicas"] == 2, "as many as there were"
        assert (await there(scene, "OriginRevision", NEW))["spec"]["number"] == 1
        async with served(scene) as asked:
            await answered_by(old)
            await pod(scene, NEW, "cart-new-1", "127.0.0.2")
            await answered_by(heirs[0])
            await answered_by(old)
            assert await client.get(scene.key("Deployment", OLD)), "one of two is not enough"
            await pod(scene, NEW, "cart-new-2", "127.0.0.3")
            await scene.gone(scene.key("Deployment", OLD))
            await ended(scene, "cart-old")
            await answered_by(heirs[1])
            before = len(old.requests)
            await answered_by(heirs[0])
            assert len(old.requests) == before
            await scene.quiet()
        assert asked.answered > 100, asked
        assert not asked.failed, asked
        status = (await client.get(scene.key("OriginService", "cart")))["status"]
        assert status["latestReadyRevisionName"] == NEW


async def test_a_deployment_of_before_stays_when_its_heir_does_not_come_up(
    server: ApiServer, client: Client, namespace: str, replicas: tuple[Origin, Origin, Origin]
) -> None:
    async with premises(server, client, namespace) as scene:
        await made_before(scene, replicas[0].port, replicas=1)
        await pod(scene, OLD, "cart-old", "127.0.0.1")
        await client.create(edge_proxy("default"))
        await client.create(to_origin(scene.place.shop, "cart"))
        await scene.operator.start()
        await there(scene, "Deployment", NEW)
        async with served(scene) as asked:
            await answered_by(replicas[0])
            await scene.operator.kill()
            await scene.operator.start()
            await eventually(lambda: scene.operator.log.count(" default connected") >= 2, within_s=WITHIN_S)
            await scene.quiet(5)
            await answered_by(replicas[0])
        assert await client.get(scene.key("Deployment", OLD))
        assert not asked.failed, asked
