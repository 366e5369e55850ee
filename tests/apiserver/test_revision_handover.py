"""A change of the template while operators die, and others go on: from where it stood, and never back.

Nothing behind the API server makes pods: the one of each new revision is made here as soon as its Deployment is there.
"""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
import pytest
from aiohttp import web

from edgerun.errors import NotFoundError
from edgerun.infra.kubernetes.client import Client
from support import chart
from support.apiserver import ApiServer
from support.edits import edited
from support.fates import Mortal, repeated
from support.faults import Passing
from support.operators import Operator, operator
from support.poll import eventually
from support.scene import Object, Scene, under_load

pytestmark = pytest.mark.envoy
ONE, TWO = "cart-00001", "cart-00002"
NOBODY = "127.0.0.9"  # where nothing listens


@pytest.fixture(autouse=True)
def _installable() -> None:
    chart.needed()


async def changed(scene: Scene, **rollout: Any) -> None:
    """Another template, and how it is rolled out."""

    def change(found: dict[str, Any]) -> None:
        found["spec"]["template"]["metadata"] = {"labels": {"version": "2"}}
        found["spec"]["rollout"] = rollout

    await edited(scene.client, scene.key("OriginService", "cart"), change)


@asynccontextmanager
async def pod_of(scene: Scene, revision: str, address: str = "127.0.0.1") -> AsyncIterator[None]:
    """Made as soon as the revision's Deployment is there."""
    making = asyncio.create_task(_pod(scene, revision, address), name=f"pod of {revision}")
    try:
        yield
        await making
    finally:
        making.cancel()


async def _pod(scene: Scene, revision: str, address: str) -> None:
    async def deployed() -> Object:
        with suppress(NotFoundError):
            return await scene.client.get(scene.key("Deployment", revision))
        return {}

    template = (await eventually(deployed, step_s=0.1, what=f"Deployment {revision}"))["spec"]["template"]
    metadata = {"name": f"{revision}-x", "namespace": scene.place.shop, "labels": template["metadata"]["labels"]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}
    await scene.client.create({**pod, "spec": template["spec"]})
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    await scene.client.apply_status({**pod, "status": {"podIP": address, "conditions": [ready]}})


async def status(scene: Scene) -> Object:
    found: Object = (await scene.client.get(scene.key("OriginService", "cart")))["status"]
    return found


def percent(found: Object, revision: str) -> int:
    return sum(one.get("percent", 0) for one in found.get("traffic", ()) if one["revisionName"] == revision)


async def has(scene: Scene, revision: str, least: int) -> Object:
    """Once it gets at least so much."""

    async def check() -> Object:
        found = await status(scene)
        assert percent(found, revision) >= least, found
        return found

    return await eventually(check, step_s=0.1)


def told(scene: Scene) -> list[Object]:
    """Every status of the service that was stored."""
    mine = (one for one in scene.written if one.path.endswith("/originservices/cart/status") and one.landed)
    return [msgspec.json.decode(one.body)["status"] for one in mine]


def made(scene: Scene) -> list[str]:
    """The revisions that were, in order."""
    paths = (one.path for one in scene.written if "/originrevisions/" in one.path and one.landed)
    return [path.rpartition("/")[2] for path in paths if not path.endswith("/status")]


@asynccontextmanager
async def living(mortal: Mortal) -> AsyncIterator[None]:
    """One life after the other, however long each of them takes."""

    async def lives() -> None:
        while True:
            await mortal.lives()

    life = asyncio.create_task(lives(), name="lives")
    try:
        yield
    finally:
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)


async def test_an_operator_that_is_killed_at_each_write_of_a_change_of_the_template_makes_one_revision(
    server: ApiServer, client: Client, namespace: str
) -> None:
    async with under_load(server, client, namespace) as scene:
        mortal = Mortal(scene.operator)
        scene.operator.api.tamper = mortal.tamper
        await changed(scene)
        async with living(mortal), pod_of(scene, TWO):
            await has(scene, TWO, 100)
        assert mortal.deaths >= 2  # writes that are under way together are one
        revisions = await client.list_("OriginRevision", namespace=scene.place.shop)
        assert [one["metadata"]["name"] for one in revisions] == [ONE, TWO]
        assert made(scene) == [ONE, TWO]
        assert not repeated(scene.written)
        shares = [percent(one, TWO) for one in told(scene)]
        assert shares == sorted(shares)
        assert (await status(scene))["latestReadyRevisionName"] == TWO


async def ended(one: Operator, number: signal.Signals) -> None:
    one.signal(number)
    await one.ended()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "told to end"])
async def test_who_leads_next_takes_a_rollout_on_from_where_it_stood(
    server: ApiServer, client: Client, namespace: str, number: signal.Signals
) -> None:
    async with (
        under_load(server, client, namespace) as scene,
        operator(scene.place, scene.folder, scene.operator.ports, name="edgerun-1", pod_ip="10.1.2.5") as second,
    ):
        scene.others.append(second)
        await second.start()
        await changed(scene, duration="30s")
        async with pod_of(scene, TWO):
            before = percent(await has(scene, TWO, 10), TWO)
            assert before < 100
            await ended(scene.operator, number)
        written = len(told(scene))
        await has(scene, TWO, 100)
        shares = [percent(one, TWO) for one in told(scene)]
        assert shares == sorted(shares)
        assert shares[written] < 100, "from where it stood, and not all at once"
        assert made(scene) == [ONE, TWO]
        assert (await status(scene))["rollout"]["previous"] == ONE


async def test_a_rollback_that_nobody_wrote_down_is_decided_again_and_one_that_was_stays(
    server: ApiServer, client: Client, namespace: str
) -> None:
    async with under_load(server, client, namespace) as scene:
        broken = scene.loads.pop()  # whoever is led to the second revision gets nothing
        deaths = 0

        async def fatal(request: web.Request, passing: Passing) -> web.Response:
            """The first decision is not stored, the second one is and nobody hears of it."""
            nonlocal deaths
            if b'"rejected"' not in await request.read() or deaths >= 2:
                return await passing()
            answer = await passing() if deaths else web.Response(status=503)
            deaths += 1
            scene.operator.signal(signal.SIGKILL)
            return answer

        scene.operator.api.tamper = fatal
        await changed(scene, duration="2m", maxErrorPercent=1)
        async with pod_of(scene, TWO, NOBODY):
            for _ in range(2):
                await eventually(lambda: not scene.operator.alive, step_s=0.1)
                await scene.operator.start()
        assert deaths == 2

        async def settled() -> bool:
            found = await status(scene)
            assert found["traffic"] == [{"revisionName": ONE, "percent": 100}], found
            assert [one["revisionName"] for one in found["rollout"]["rejected"]] == [TWO]
            return True

        await eventually(settled, step_s=0.1)
        await scene.quiet(3)
        failed = broken.failed
        assert failed, "somebody was led there"
        answered = broken.answered
        await eventually(lambda: broken.answered > answered + 500)
        assert broken.failed == failed
        rejected = next(number for number, one in enumerate(told(scene)) if "rejected" in one.get("rollout", {}))
        assert not any(percent(one, TWO) for one in told(scene)[rejected:])
        assert made(scene) == [ONE, TWO]
