"""The whole operator as a process on a real API server, with a real Envoy under load, while everything goes wrong.

What was served before and did not change never fails: each scene ends by looking at every single request.
"""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from typing import Any

import pytest
from aiohttp import web

from edgerun.api.meta import ObjectKey
from edgerun.infra.kubernetes.client import Client
from support import chart, hurried
from support.apiserver import ApiServer, edge_route
from support.edits import edited, respecified
from support.fates import Mortal, outcome, repeated
from support.faults import Passing, error
from support.installation import origin_service
from support.operators import Operator, operator
from support.poll import eventually
from support.scene import Scene, premises, to_origin, under_load

pytestmark = pytest.mark.envoy
WATCHES = 11  # three kinds of ours, five of workloads, and three beside the operator; Secrets are beside these
OUTAGE_S = hurried.TIMING.lease_s + 5
SERVED = (("EdgeRoute", "web"), ("EdgeRoute", "cart"), ("OriginService", "cart"), ("EdgeProxy", "default"))


@pytest.fixture(autouse=True)
def _installable() -> None:
    chart.needed()


async def test_an_operator_that_is_killed_at_each_of_its_first_writes_makes_a_whole_fleet(
    server: ApiServer, client: Client, namespace: str
) -> None:
    async def ask_for_all(scene: Scene) -> None:
        await client.create(edge_route(scene.place.shop, "web", host="web.example"))
        await client.create(origin_service(scene.place.shop, "cart"))
        await client.create(to_origin(scene.place.shop, "cart"))

    async with premises(server, client, namespace) as scene:
        await ask_for_all(scene)
        await scene.operator.start()
        await scene.says("EdgeRoute", "web", "Accepted", "True")
        await scene.quiet(3)
        undisturbed = await outcome(scene)
        assert not repeated(scene.written)
    async with premises(server, client, f"{namespace}-killed") as scene:
        await ask_for_all(scene)
        mortal = Mortal(scene.operator)
        scene.operator.api.tamper = mortal.tamper
        await mortal.lives()
        assert mortal.deaths >= 5  # writes that are under way together are one
        assert await outcome(scene) == undisturbed
        assert not repeated(scene.written)


async def test_an_operator_that_is_killed_at_each_write_of_a_change_comes_to_the_same_end(
    server: ApiServer, client: Client, namespace: str
) -> None:
    async with under_load(server, client, namespace) as scene:
        await before_the_change(scene)
        await change(scene)
        await scene.says("EdgeRoute", "new", "Programmed", "True")
        await scene.quiet(3)
        undisturbed = await outcome(scene, but=["cart", "cart-00001"])
        assert not repeated(scene.written)
    async with under_load(server, client, f"{namespace}-killed") as scene:
        await before_the_change(scene)
        mortal = Mortal(scene.operator)
        scene.operator.api.tamper = mortal.tamper
        await change(scene)
        await mortal.lives()
        assert mortal.deaths >= 5
        await scene.says("EdgeRoute", "new", "Programmed", "True")
        assert await outcome(scene, but=["cart", "cart-00001"]) == undisturbed
        assert not repeated(scene.written)
        assert await scene.answers("changing.example") == 404


async def before_the_change(scene: Scene) -> None:
    for name in ("old", "changing"):
        await scene.client.create(origin_service(scene.place.shop, name))
        await scene.client.create(to_origin(scene.place.shop, name))
        await scene.says("EdgeRoute", name, "Programmed", "True")
    await scene.quiet()


async def change(scene: Scene) -> None:
    """An origin and its route come, others go, and others change."""
    client = scene.client
    for kind in ("EdgeRoute", "OriginService"):
        await scene.delete(kind, "old")
    await respecified(client, scene.key("EdgeRoute", "changing"), hostnames=["changed.example"])
    await respecified(client, scene.key("OriginService", "changing"), scaling={"minScale": 2})
    await client.create(origin_service(scene.place.shop, "new"))
    await client.create(to_origin(scene.place.shop, "new"))


@contextmanager
def refuses(scene: Scene) -> Iterator[None]:
    scene.operator.api.down = True
    scene.operator.api.cut()
    yield
    scene.operator.api.down = False


@contextmanager
def hangs(scene: Scene) -> Iterator[None]:
    with scene.place.server.frozen():
        yield


@pytest.mark.parametrize("away", [refuses, hangs])
async def test_an_api_server_that_is_gone_for_longer_than_the_lease_is_no_matter_to_clients(
    server: ApiServer, client: Client, namespace: str, away: Callable[[Scene], AbstractContextManager[None]]
) -> None:
    async with under_load(server, client, namespace) as scene:
        await client.create(edge_route(scene.place.shop, "leaving", host="leaving.example"))
        await scene.ready("EdgeRoute", "leaving")
        await scene.quiet()
        began = time.monotonic()
        before = [await client.get(scene.key(*one)) for one in SERVED]
        with away(scene):
            await eventually(lambda: "no longer leading" in scene.operator.log)
            await asyncio.sleep(began + OUTAGE_S - time.monotonic())
            assert scene.operator.alive
        await scene.delete("EdgeRoute", "leaving")
        await client.create(edge_route(scene.place.shop, "coming", host="coming.example"))
        await scene.ready("EdgeRoute", "coming")
        assert await scene.answers("leaving.example") == 404
        await scene.quiet()
        said = {name: scene.said(kind, name, since=began) for kind, name in SERVED}
        assert not any(said.values()), said
        assert [await client.get(scene.key(*one)) for one in SERVED] == before


async def test_whatever_watches_do_not_tell_reaches_envoy_by_a_sweep(
    server: ApiServer, client: Client, namespace: str
) -> None:
    async with under_load(server, client, namespace) as scene:
        api, shop = scene.operator.api, scene.place.shop
        await client.create(edge_route(shop, "ghost", host="ghost.example"))
        await scene.ready("EdgeRoute", "ghost")
        began, watches = time.monotonic(), api.watches

        api.swallowed = "DELETED"
        await scene.delete("EdgeRoute", "ghost")
        await eventually(lambda: gone(scene, "ghost.example"), step_s=0.2)
        api.swallowed = ""

        async def told(name: str) -> None:
            await client.create(edge_route(shop, name, host=f"{name}.example"))
            await scene.ready("EdgeRoute", name)
            assert await scene.answers(f"{name}.example") == 200

        api.expired = watches
        api.cut()
        await told("expired")
        await api.inject({"type": "ERROR", "object": error(500)})
        await told("broken")
        await eventually(lambda: api.watches == watches)
        api.deafen()
        await told("silent")
        assert all(not scene.said(kind, name, since=began) for kind, name in SERVED)


async def gone(scene: Scene, host: str) -> bool:
    return await scene.answers(host) == 404


@pytest.mark.parametrize("status", [409, 422, 429])
async def test_writes_that_the_server_refuses_at_first_are_made_good(
    server: ApiServer, client: Client, namespace: str, status: int
) -> None:
    seen: set[str] = set()

    async def first_refused(request: web.Request, passing: Passing) -> web.Response:
        if request.path in seen:
            return await passing()
        seen.add(request.path)
        headers = {"Retry-After": "1"} if status == 429 else {}
        return web.json_response(error(status), status=status, headers=headers)

    async with under_load(server, client, namespace) as scene:
        scene.operator.api.tamper = first_refused
        await client.create(origin_service(scene.place.shop, "late"))
        await client.create(to_origin(scene.place.shop, "late"))
        await scene.says("EdgeRoute", "late", "Programmed", "True")
        await eventually(lambda: deployed(client, scene, "late"), step_s=0.1)
        await scene.says("OriginService", "late", "ContainerHealthy", "Unknown")
        await scene.quiet()
        waits = [write for write in scene.written if write.status == status]
        assert len(waits) >= 3
        if status == 429:
            for refused in waits:
                later = (one for one in scene.written if one.landed and one.began > refused.ended)
                after = next(one for one in later if one.path == refused.path)
                assert after.began - refused.ended >= 1, after


async def deployed(client: Client, scene: Scene, name: str) -> Any:
    return await client.get(ObjectKey("Deployment", scene.place.shop, f"{name}-00001"))


async def test_somebody_who_edits_what_the_operator_makes_at_the_same_time_loses(
    server: ApiServer, client: Client, namespace: str
) -> None:
    async with under_load(server, client, namespace) as scene:
        key = ObjectKey("Deployment", scene.place.shop, "cart-00001")
        for seconds in range(2, 22):
            route = await client.get(scene.key("EdgeRoute", "web"))
            route["status"]["conditions"] = []
            await client.apply_status({name: value for name, value in stripped(route).items() if name != "spec"})
            found = await client.get(key)
            await client.apply(stripped({**found, "spec": {**found["spec"], "progressDeadlineSeconds": seconds}}))
            await asyncio.sleep(0.05)

        async def ours() -> bool:
            return bool((await client.get(key))["spec"]["progressDeadlineSeconds"] == 600)

        await eventually(ours)
        await scene.ready("EdgeRoute", "web")
        await scene.quiet()


def stripped(raw: Any) -> dict[str, Any]:
    metadata = {name: raw["metadata"][name] for name in ("name", "namespace", "labels") if name in raw["metadata"]}
    return {**raw, "metadata": metadata}


@asynccontextmanager
async def stopped_in_the_midst(first: Operator) -> AsyncIterator[None]:
    """What follows from the body makes it write; it is stopped with all that it writes at once under way, and each of
    it whole: what the system sends when it wakes, no look at a Lease can keep back."""
    came, asleep, as_it_is = list[str](), asyncio.Event(), first.api.tamper

    async def held(request: web.Request, passing: Passing) -> web.Response:
        await request.read()
        came.append(request.path)
        await asleep.wait()
        return await passing()

    first.api.tamper = held
    yield
    await all_are_there(came)
    first.signal(signal.SIGSTOP)
    first.api.tamper = as_it_is
    asleep.set()


async def all_are_there(found: Sequence[object]) -> None:
    """Some are, and no other one has come for half a second."""
    counts = [0]

    def no_more() -> bool:
        counts.append(len(found))
        return 0 < counts[-1] == counts[-2]

    await eventually(no_more, step_s=0.5)


async def test_a_leader_that_is_stopped_past_its_lease_never_writes_beside_the_next_one(
    server: ApiServer, client: Client, namespace: str
) -> None:
    async with (
        under_load(server, client, namespace) as scene,
        operator(scene.place, scene.folder, scene.operator.ports, name="edgerun-1", pod_ip="10.1.2.5") as second,
    ):
        first, shop, began = scene.operator, scene.place.shop, time.monotonic()
        scene.others.append(second)
        await second.start()
        await eventually(lambda: second.api.watches >= WATCHES)

        async with stopped_in_the_midst(first):
            for name in ("a", "b"):
                await client.create(origin_service(shop, name))
                await client.create(to_origin(shop, name))
        await client.create(origin_service(shop, "c"))
        await client.create(to_origin(shop, "c"))
        for name in ("a", "b", "c"):
            await scene.says("EdgeRoute", name, "Programmed", "True")
        first.signal(signal.SIGCONT)
        await eventually(lambda: "no longer leading" in first.log)
        await client.create(edge_route(shop, "later", host="later.example"))
        await scene.ready("EdgeRoute", "later")
        await scene.quiet()
        reign = [write for write in second.api.written if write.landed]
        beside = [
            write for write in first.api.written if reign[0].began < write.ended and write.began < reign[-1].ended
        ]
        assert not beside, beside

        await second.kill()
        await client.create(edge_route(shop, "last", host="last.example"))
        await scene.ready("EdgeRoute", "last")
        served = [said for kind, name in SERVED for said in scene.said(kind, name, since=began)]
        assert not served, served


async def test_what_nobody_can_apply_disturbs_no_other_and_what_it_was_before_goes_on(
    server: ApiServer, client: Client, namespace: str
) -> None:
    async with under_load(server, client, namespace) as scene:
        began = time.monotonic()
        volumes = [{"name": "data", "emptyDirectory": {}}]
        key = scene.key("OriginService", "cart")
        await edited(client, key, lambda found: found["spec"]["template"]["spec"].update(volumes=volumes))
        await scene.says("OriginService", "cart", "ContainerHealthy", "NotApplied")
        await scene.operator.kill()
        await scene.operator.start()
        await client.create(origin_service(scene.place.shop, "good"))
        await client.create(to_origin(scene.place.shop, "good"))
        await scene.says("EdgeRoute", "good", "Programmed", "True")
        await eventually(lambda: deployed(client, scene, "good"), step_s=0.1)
        await scene.quiet()
        assert not scene.said("EdgeRoute", "web", since=began)
        assert await scene.answers("cart.example") == 200


async def test_a_version_that_may_not_serve_leaves_the_one_before_in_its_place_across_a_restart(
    server: ApiServer, client: Client, namespace: str
) -> None:
    async with under_load(server, client, namespace) as scene:
        for name in ("web", "cart"):
            route = await client.get(scene.key("EdgeRoute", name))
            (rule,) = route["spec"]["rules"]
            unfit = {"type": "RegularExpression", "value": "/a(?!b).*"}  # of Envoy, not of an API server
            await client.replace(
                {**route, "spec": {**route["spec"], "rules": [{**rule, "matches": [{"path": unfit}]}]}}
            )
            await scene.says("EdgeRoute", name, "Accepted", "False")
        for life in range(2):
            await scene.operator.kill()
            await scene.operator.start()
            await client.create(edge_route(scene.place.shop, f"new-{life}", host=f"new-{life}.example"))
            await scene.says("EdgeRoute", f"new-{life}", "Programmed", "True")
        await scene.quiet()
        for name in ("web", "cart"):
            await scene.says("EdgeRoute", name, "Accepted", "False")
