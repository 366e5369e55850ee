"""A revision that sleeps and wakes at an API server, with a real edge that holds the request meanwhile.

Trap: no kubelet looks at the pods, so what is not knocked at is never ready.
"""

import asyncio
from contextlib import AsyncExitStack

from edgerun.infra.kubernetes.client import Client
from support.apiserver import ApiServer
from support.installation import edge_pod, edge_proxy, origin_service, ready_pod
from support.operators import leader_found
from support.origins import origin
from support.poll import eventually
from support.scene import EDGE_POD, WITHIN_S, at_port, fleet_made, origin_pod, premises, to_origin
from support.standalone import fetch


async def test_the_first_request_goes_on_as_soon_as_the_pod_answers_and_waits_for_no_kubelet(
    server: ApiServer, client: Client, namespace: str
) -> None:
    async with AsyncExitStack() as stack:
        scene = await stack.enter_async_context(premises(server, client, namespace))
        await scene.operator.start()
        await client.create(edge_proxy("default"))
        app = await stack.enter_async_context(origin("cart"))
        service = at_port(origin_service(scene.place.shop, "cart"), app.port)
        scaling = {"minScale": 0, "window": "6s"}
        await client.create({**service, "spec": {**service["spec"], "scaling": scaling}})
        await client.create(to_origin(scene.place.shop, "cart"))
        first = await origin_pod(scene, "cart")
        await eventually(lambda: fleet_made(scene), within_s=WITHIN_S, step_s=0.1)
        await ready_pod(client, scene.place, "default", EDGE_POD)
        xds = await stack.enter_async_context(leader_found(client, scene.place))
        await stack.enter_async_context(edge_pod(client, scene.place, "default", EDGE_POD, xds, scene.folder))
        await scene.ready("EdgeRoute", "cart")

        async def wanted(replicas: int) -> bool:
            deployment = await client.get(scene.key("Deployment", "cart-00001"))
            return bool(deployment["spec"]["replicas"] == replicas)

        await eventually(lambda: wanted(0), within_s=WITHIN_S, step_s=0.1, what="no replica")
        await client.delete(first, (await client.get(first))["metadata"]["uid"])
        await scene.gone(first)
        request = asyncio.create_task(fetch(scene.port, "/", host="cart.example"))
        await eventually(lambda: wanted(1), within_s=WITHIN_S, step_s=0.05, what="a replica")
        assert not request.done()
        await origin_pod(scene, "cart", 2, ready=False)
        assert (await asyncio.wait_for(request, timeout=2)).status == 200
        await scene.ready("OriginService", "cart")
