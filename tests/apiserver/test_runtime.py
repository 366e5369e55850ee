"""The whole control plane of a cluster against a real API server, with the rights that the chart grants it.

Nothing behind the API server makes pods or collects what has no owner any more: what is seen here was done by the
operator itself.
"""

import asyncio
import contextlib
import os
import signal
import sys
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml

from edgerun.api.meta import ObjectKey, object_key
from edgerun.api.originservice import GUARD_PORT
from edgerun.errors import NotFoundError
from edgerun.infra.kubernetes.client import Client
from edgerun.runtime.cluster import ClusterRuntime
from edgerun.translate import edges
from support import chart
from support.apiserver import ApiServer, edge_route
from support.edits import edited, respecified
from support.faults import FaultyApi
from support.installation import (
    POD_IP,
    Installation,
    edge_pod,
    edge_proxy,
    install,
    operating,
    origin_service,
    ready_pod,
)
from support.poll import PATIENCE_S, eventually
from support.ports import free_port

WITHIN_S = PATIENCE_S
FLEET_KINDS = ("ServiceAccount", "ConfigMap", "Service", "PodDisruptionBudget", "Deployment")

Object = Mapping[str, Any]


@pytest.fixture
async def place(server: ApiServer, client: Client, namespace: str, tmp_path: Path) -> AsyncIterator[Installation]:
    chart.needed()
    shop = f"{namespace}-shop"
    await client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": shop}})
    yield install(server, namespace, shop, tmp_path)
    for proxy in await client.list_("EdgeProxy"):
        await client.delete(ObjectKey("EdgeProxy", "", proxy["metadata"]["name"]), proxy["metadata"]["uid"])


@pytest.fixture
def folder() -> Iterator[Path]:
    with TemporaryDirectory() as directory:  # tmp_path is too long a name for a socket
        yield Path(directory)


def routed(place: Installation, name: str = "web", **others: Any) -> dict[str, Any]:
    route = edge_route(place.shop, name, host=f"{name}.example")
    return {**route, "spec": {**route["spec"], **others}}


async def there(client: Client, key: ObjectKey) -> Object:
    async def found() -> Object:
        try:
            return await client.get(key)
        except NotFoundError:
            return {}

    return await eventually(found, within_s=WITHIN_S, step_s=0.1, what=str(key))


async def gone(client: Client, key: ObjectKey) -> None:
    async def check() -> bool:
        try:
            await client.get(key)
        except NotFoundError:
            return True
        return False

    await eventually(check, within_s=WITHIN_S, step_s=0.1, what=f"{key} is gone")


async def becomes(client: Client, key: ObjectKey, right: Callable[[Object], bool], what: str) -> Object:
    async def check() -> Object:
        raw = await client.get(key)
        assert right(raw), yaml.safe_dump(raw.get("status") or raw.get("spec"))
        return raw

    return await eventually(check, within_s=WITHIN_S, step_s=0.1, what=what)


def condition(raw: Object, type_: str) -> Object:
    parts = raw.get("status", {}).get("conditions", ())
    return next((part for part in parts if part["type"] == type_), {})


def with_spec(raw: Object, **changed: Any) -> dict[str, Any]:
    return {**raw, "spec": {**raw["spec"], **changed}}


def port_of(policy: Object) -> int:
    ((port,),) = (rule["ports"] for rule in policy["spec"]["ingress"])
    return int(port["port"])


def route_key(place: Installation, name: str = "web") -> ObjectKey:
    return ObjectKey("EdgeRoute", place.shop, name)


async def test_a_route_alone_brings_the_default_fleet_with_all_that_belongs_to_it(
    place: Installation, client: Client
) -> None:
    await client.create(routed(place))
    async with operating(place.settings()):
        deployed = await client.get(place.key("Deployment", "edgerun"))
        for kind in FLEET_KINDS:
            made = (await there(client, place.key(kind, "edge-default")))["metadata"]
            assert [one["uid"] for one in made["ownerReferences"]] == [deployed["metadata"]["uid"]]
            assert made["labels"]["app.kubernetes.io/managed-by"] == "edgerun"
            assert made["labels"]["edgerun.dev/edge-proxy"] == "default"
        endpoint = await there(client, place.key("EndpointSlice", "edgerun-xds-leader"))
        assert endpoint["endpoints"][0]["addresses"] == [POD_IP]
        service = await client.get(place.key("Service", "edgerun-xds"))
        assert {port["name"] for port in service["spec"]["ports"]} == {port["name"] for port in endpoint["ports"]}
        says = "no proxy of edge default is connected"
        route = await becomes(
            client, route_key(place), lambda raw: condition(raw, "Programmed").get("message") == says, "not programmed"
        )
        assert route["status"]["observedGeneration"] == 1
        assert condition(route, "Accepted")["status"] == "True"
        managers = {one["manager"]: one for one in route["metadata"]["managedFields"] if one.get("subresource")}
        assert managers["edgerun"]["operation"] == "Apply"
        fleet = await becomes(
            client,
            ObjectKey("EdgeProxy", "", "default"),
            lambda raw: bool(raw.get("status", {}).get("addresses")),
            "it has an address",
        )
        assert condition(fleet, "Ready")["status"] != "True"
        assert (fleet["spec"]["serviceType"], fleet["spec"]["replicas"]) == ("ClusterIP", 1)


async def test_without_a_list_all_namespaces_count(
    server: ApiServer, client: Client, place: Installation, tmp_path: Path
) -> None:
    everywhere = install(server, place.namespace, "", tmp_path)
    await client.create(routed(place))
    await client.create(origin_service(place.shop, "cart"))
    async with operating(everywhere.settings()):
        await there(client, ObjectKey("Deployment", place.shop, "cart-00001"))
        await there(client, place.key("Deployment", "edge-default"))
        await becomes(client, route_key(place), lambda raw: bool(condition(raw, "Accepted")), "it is accepted")


async def test_an_origin_is_a_deployment_that_is_put_right_when_somebody_changes_it(
    place: Installation, client: Client
) -> None:
    await client.create(origin_service(place.shop, "cart"))
    key = ObjectKey("Deployment", place.shop, "cart-00001")
    async with operating(place.settings()):
        made = await there(client, key)
        (owner,) = made["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"], owner["controller"]) == ("OriginService", "cart", True)
        await client.replace(with_spec(made, progressDeadlineSeconds=7))
        await becomes(client, key, lambda raw: raw["spec"]["progressDeadlineSeconds"] == 600, "it is as it was")


async def test_who_scales_a_revision_by_hand_is_told_of_and_not_fought_within_its_bounds(
    place: Installation, client: Client
) -> None:
    service = origin_service(place.shop, "cart")
    await client.create(with_spec(service, scaling={"maxScale": 10}))
    key = ObjectKey("Deployment", place.shop, "cart-00001")
    async with operating(place.settings()):
        await there(client, key)
        await asyncio.to_thread(scale, place, 7)

        def taken_over(raw: Object) -> bool:
            ours = [one for one in raw["metadata"]["managedFields"] if one["manager"] == "edgerun"]
            return raw["spec"]["replicas"] == 7 and any("f:replicas" in one["fieldsV1"]["f:spec"] for one in ours)

        await becomes(client, key, taken_over, "as many as somebody said, and ours")
        await asyncio.to_thread(scale, place, 50)
        await becomes(client, key, lambda raw: raw["spec"]["replicas"] == 10, "as many as there may be")

        async def told() -> list[str]:
            events = await client.list_("Event", namespace=place.shop)
            found = [event for event in events if event["reason"] == "ScaledByHand"]
            assert all(event["regarding"]["name"] == "cart" for event in found)
            return sorted(event["note"].partition(";")[0] for event in found)

        await eventually(told, within_s=WITHIN_S, step_s=0.2)


def scale(place: Installation, replicas: int) -> None:
    chart.kubectl(place.server, "-n", place.shop, "scale", "deployment", "cart-00001", f"--replicas={replicas}")


async def test_a_guard_has_its_configuration_and_its_closed_door_for_as_long_as_it_is_there(
    place: Installation, client: Client
) -> None:
    key = ObjectKey("OriginService", place.shop, "cart")
    config, policy = (
        ObjectKey("ConfigMap", place.shop, "cart-guard"),
        ObjectKey("NetworkPolicy", place.shop, "edgerun-cart"),
    )
    await client.create(origin_service(place.shop, "cart"))
    mine = {"name": "cart", "namespace": place.shop, "labels": {"app": "cart"}}
    await client.create(
        {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": mine, "spec": {"podSelector": {}}}
    )
    async with operating(place.settings()):
        made = await there(client, config)
        assert "BEGIN CERTIFICATE" in made["data"]["ca.crt"]
        await client.replace({**made, "data": {**made["data"], "ca.crt": "mine"}})
        await becomes(client, config, lambda raw: raw["data"] == made["data"], "it is as it was")
        closed = await there(client, policy)
        await client.delete(policy, closed["metadata"]["uid"])
        assert (await there(client, policy))["spec"] == closed["spec"]

        await respecified(client, key, guard="Disabled")
        await gone(client, config)
        await becomes(client, policy, lambda raw: port_of(raw) == 8080, "the edge goes to the app itself")
        await respecified(client, key, guard="Enabled", access={"ingress": "All"})
        await gone(client, policy)
        await there(client, config)
        await respecified(client, key, access={"ingress": "Edge"})
        await there(client, policy)
        await becomes(client, policy, lambda raw: port_of(raw) == GUARD_PORT, "only the guard is asked")

        await client.delete(key, (await client.get(key))["metadata"]["uid"])
        for one in (config, policy, ObjectKey("Deployment", place.shop, "cart-00001")):
            await gone(client, one)
        await client.get(ObjectKey("NetworkPolicy", place.shop, "cart"))


async def test_a_network_policy_of_somebody_else_is_left_alone(place: Installation, client: Client) -> None:
    metadata = {"name": "edgerun-cart", "namespace": place.shop}
    foreign = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata}
    taken = await client.create({**foreign, "spec": {"podSelector": {}}})
    await client.create(origin_service(place.shop, "cart"))
    key = ObjectKey("OriginService", place.shop, "cart")
    async with operating(place.settings()):
        service = await becomes(
            client, key, lambda raw: condition(raw, "ContainerHealthy").get("reason") == "NameTaken", "NameTaken"
        )
        said = condition(service, "ContainerHealthy")["message"]
        assert f"NetworkPolicy {place.shop}/edgerun-cart is there already and not made by Edgerun" in said
        now = await client.get(object_key(taken))
        assert now["metadata"]["resourceVersion"] == taken["metadata"]["resourceVersion"]


async def test_an_origin_that_somebody_deletes_comes_back_also_when_its_end_takes_time(
    place: Installation, client: Client
) -> None:
    await client.create(origin_service(place.shop, "cart"))
    key = ObjectKey("Deployment", place.shop, "cart-00001")
    async with operating(place.settings()):
        first = await there(client, key)
        await client.replace({**first, "metadata": {**first["metadata"], "finalizers": ["example.com/slow"]}})
        await client.delete(key, first["metadata"]["uid"])
        await asyncio.sleep(1)  # meanwhile it must not be taken for right
        ending = await client.get(key)
        await client.replace({**ending, "metadata": {**ending["metadata"], "finalizers": []}})
        uid = first["metadata"]["uid"]

        async def anew() -> bool:
            return bool((await there(client, key))["metadata"]["uid"] != uid)

        await eventually(anew, within_s=WITHIN_S, step_s=0.1)


async def test_what_belongs_to_a_fleet_goes_with_it(place: Installation, client: Client) -> None:
    proxy = await client.create(edge_proxy("blue"))
    labels = {"app.kubernetes.io/managed-by": "edgerun"}
    foreign = {"name": "mine", "namespace": place.namespace, "labels": labels}
    await client.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": foreign})
    async with operating(place.settings()):
        for kind in FLEET_KINDS:
            await there(client, place.key(kind, "edge-blue"))
        await client.delete(ObjectKey("EdgeProxy", "", "blue"), proxy["metadata"]["uid"])
        for kind in FLEET_KINDS:
            await gone(client, place.key(kind, "edge-blue"))
        await client.get(place.key("ConfigMap", "mine"))


async def test_a_deployment_of_somebody_else_is_left_alone(place: Installation, client: Client) -> None:
    foreign = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "cart-00001", "namespace": place.shop},
        "spec": {
            "selector": {"matchLabels": {"app": "cart"}},
            "template": {
                "metadata": {"labels": {"app": "cart"}},
                "spec": {"containers": [{"name": "a", "image": "b"}]},
            },
        },
    }
    taken = await client.create(foreign)
    await client.create(origin_service(place.shop, "cart"))
    key = ObjectKey("OriginService", place.shop, "cart")
    async with operating(place.settings()):
        service = await becomes(
            client, key, lambda raw: condition(raw, "ContainerHealthy").get("reason") == "NameTaken", "NameTaken"
        )
        assert "rename or remove one of the two" in condition(service, "Ready")["message"]
        now = await client.get(ObjectKey("Deployment", place.shop, "cart-00001"))
        assert now["metadata"]["resourceVersion"] == taken["metadata"]["resourceVersion"]
        await client.delete(ObjectKey("Deployment", place.shop, "cart-00001"), taken["metadata"]["uid"])
        await becomes(
            client, key, lambda raw: condition(raw, "ContainerHealthy").get("reason") != "NameTaken", "it is free"
        )


async def test_what_the_server_refuses_is_in_the_condition_in_the_servers_words(
    place: Installation, client: Client
) -> None:
    await client.create(origin_service(place.shop, "cart", volumes=[{"name": "data", "emptyDirectory": {}}]))
    await client.create(origin_service(place.shop, "good"))
    key = ObjectKey("OriginService", place.shop, "cart")
    async with operating(place.settings()):
        service = await becomes(
            client, key, lambda raw: condition(raw, "ContainerHealthy").get("reason") == "NotApplied", "NotApplied"
        )
        said = condition(service, "Ready")["message"]
        assert said.startswith("the API server does not take Deployment "), said
        assert '.volumes[name="data"].emptyDirectory: field not declared in schema' in said
        await there(client, ObjectKey("Deployment", place.shop, "good-00001"))
        volumes = [{"name": "data", "emptyDir": {}}]
        await edited(client, key, lambda found: found["spec"]["template"]["spec"].update(volumes=volumes))
        await there(client, ObjectKey("Deployment", place.shop, "cart-00002"))
        await becomes(
            client,
            key,
            lambda raw: condition(raw, "ContainerHealthy").get("reason") not in ("", "NotApplied"),
            "it is well",
        )


async def test_an_object_of_which_no_version_may_serve_says_why(place: Installation, client: Client) -> None:
    matches = [{"path": {"type": "RegularExpression", "value": "/(?=a)"}}]
    await client.create(routed(place, rules=[{"matches": matches, "respond": {}}]))
    await client.create(routed(place, "good"))
    async with operating(place.settings()):
        route = await becomes(
            client, route_key(place), lambda raw: condition(raw, "Accepted").get("status") == "False", "it is refused"
        )
        assert "spec.rules[0].matches[0].path.value" in condition(route, "Ready")["message"]
        await becomes(client, route_key(place, "good"), lambda raw: bool(condition(raw, "Accepted")), "it is accepted")


async def test_one_that_was_deleted_and_made_anew_is_judged_anew(place: Installation, client: Client) -> None:
    first = await client.create(routed(place))
    async with operating(place.settings()):
        await becomes(client, route_key(place), lambda raw: bool(condition(raw, "Accepted")), "it is accepted")
        await client.delete(route_key(place), first["metadata"]["uid"])
        await client.create(routed(place, rules=[{"origins": [{"service": {"name": "none"}}]}]))
        route = await becomes(
            client, route_key(place), lambda raw: condition(raw, "ResolvedRefs").get("status") == "False", "judged"
        )
        assert condition(route, "ResolvedRefs")["reason"] == "OriginNotFound"


def scaled_by(proxy: dict[str, Any], **how: Any) -> None:
    """By that alone."""
    kept = {name: value for name, value in proxy["spec"].items() if name not in ("autoscaling", "replicas")}
    proxy["spec"] = {**kept, **how}


async def test_an_autoscaler_finds_as_many_replicas_as_there_were(place: Installation, client: Client) -> None:
    await client.create(edge_proxy("blue", replicas=5))
    blue = ObjectKey("EdgeProxy", "", "blue")
    key, scaler = place.key("Deployment", "edge-blue"), place.key("HorizontalPodAutoscaler", "edge-blue")
    async with operating(place.settings()):
        await there(client, key)
        await edited(client, blue, partial(scaled_by, autoscaling={"minReplicas": 2, "maxReplicas": 10}))
        await there(client, scaler)
        assert (await client.get(key))["spec"]["replicas"] == 5, "traffic is not to be served by one alone meanwhile"
        await edited(client, blue, partial(scaled_by, replicas=3))
        await gone(client, scaler)
        await becomes(client, key, lambda raw: raw["spec"]["replicas"] == 3, "they are ours again")


async def test_two_fleets_have_their_own_objects_and_their_own_routes(place: Installation, client: Client) -> None:
    for name in ("blue", "green"):
        await client.create(edge_proxy(name))
    await client.create(routed(place, "b", edge="blue"))
    await client.create(routed(place, "g", edge="green"))
    await client.create(routed(place, "lost", edge="grey"))
    async with operating(place.settings()):
        for name in ("blue", "green"):
            await there(client, place.key("Deployment", f"edge-{name}"))
        for name, fleet in (("b", "blue"), ("g", "green")):
            says = f"no proxy of edge {fleet} is connected"
            await becomes(client, route_key(place, name), partial(programmed_says, says), says)
        lost = await becomes(
            client, route_key(place, "lost"), lambda raw: bool(condition(raw, "ResolvedRefs")), "it is said"
        )
        assert condition(lost, "ResolvedRefs")["reason"] == "EdgeNotFound"
        assert "EdgeProxies there: blue; green" in condition(lost, "ResolvedRefs")["message"]


def programmed_says(words: str, raw: Object) -> bool:
    return bool(condition(raw, "Programmed").get("message") == words)


async def test_a_pods_envoy_is_let_in_and_serves(
    place: Installation, client: Client, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, probes_port = free_port(), free_port()
    monkeypatch.setattr(edges, "POD_PORT", port)  # a pod has them for itself, a machine has not
    monkeypatch.setattr(edges, "PROBES_PORT", probes_port)
    await client.create(edge_proxy("default"))
    await client.create(routed(place))
    settings = place.settings()
    async with operating(settings):
        await there(client, place.key("Deployment", "edge-default"))
        await ready_pod(client, place, "default", "edge-default-1")
        await becomes(
            client,
            route_key(place),
            lambda raw: "0 of 1 proxies" in condition(raw, "Programmed").get("message", ""),
            "the pod is heard of, and not yet from",
        )
        async with edge_pod(client, place, "default", "edge-default-1", settings.xds_port, folder):
            route = await becomes(
                client, route_key(place), lambda raw: condition(raw, "Programmed").get("status") == "True", "programmed"
            )
            assert condition(route, "Ready")["status"] == "True"
            assert await asyncio.to_thread(answer, port, "web.example") == b"web"
            assert await asyncio.to_thread(answer, probes_port, "", "/ready") == b""
            fleet = await becomes(
                client,
                ObjectKey("EdgeProxy", "", "default"),
                lambda raw: condition(raw, "Ready").get("status") == "True",
                "the fleet is ready",
            )
            assert fleet["status"]["readyReplicas"] == 1


def answer(port: int, host: str, path: str = "/") -> bytes:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"host": host or "x"})
    with urllib.request.urlopen(request, timeout=5) as response:
        return bytes(response.read())


async def test_an_operator_that_starts_anew_writes_nothing_and_no_status_flaps(
    place: Installation, client: Client, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edges, "POD_PORT", free_port())
    monkeypatch.setattr(edges, "PROBES_PORT", free_port())
    await client.create(edge_proxy("default"))
    await client.create(origin_service(place.shop, "cart"))
    await client.create(routed(place))
    async with FaultyApi.before(place.server.kubeconfig) as api:
        settings = place.settings(kubeconfig=through(api, tmp_path))
        async with operating(settings):
            await there(client, place.key("Deployment", "edge-default"))
            await ready_pod(client, place, "default", "edge-default-1")
            async with edge_pod(client, place, "default", "edge-default-1", settings.xds_port, folder):
                await becomes(
                    client, route_key(place), lambda raw: condition(raw, "Ready").get("status") == "True", "ready"
                )
                await quiet(api)
                before = await client.get(route_key(place))
                api.asked.clear()
                await asyncio.sleep(20)
                assert writes(api) == [], "at rest"
        async with (
            operating(settings) as second,
            edge_pod(client, place, "default", "edge-default-1", settings.xds_port, folder),
        ):
            await eventually(lambda: second.leading.reunited(), within_s=WITHIN_S)
            await asyncio.sleep(3)
            assert await client.get(route_key(place)) == before
            assert writes(api) == []


async def test_what_serves_in_the_place_of_a_refused_version_serves_on_after_a_restart(
    place: Installation, client: Client
) -> None:
    await client.create(routed(place))
    settings = place.settings()
    async with operating(settings) as first:
        await becomes(client, route_key(place), lambda raw: bool(condition(raw, "Accepted")), "taken")
        worse = [{"matches": [{"path": {"type": "RegularExpression", "value": "("}}], "respond": {"status": 200}}]
        await respecified(client, route_key(place), rules=worse)
        refused = await becomes(
            client, route_key(place), lambda raw: condition(raw, "Accepted").get("status") == "False", "refused"
        )
        assert refused["status"]["serving"]["generation"] == 1
        served = _served(first)
    async with operating(settings) as second:
        await eventually(lambda: second.leading.now and second.controller.published, within_s=WITHIN_S)
        assert _served(second) == served
        again = await client.get(route_key(place))
        assert again["status"] == refused["status"]


def _served(runtime: ClusterRuntime) -> list[tuple[int, str]]:
    """Of every route its generation, and what it answers."""
    published = runtime.controller.published
    assert published
    return [
        (route.metadata.generation, rule.respond.body)
        for route in published.world.routes
        for rule in route.spec.rules
        if rule.respond
    ]


def through(api: FaultyApi, folder: Path) -> Path:
    """A kubeconfig that leads to the proxy, which has the administrator's rights."""
    context = {"name": "a", "context": {"cluster": "a", "user": "a"}}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "a",
        "clusters": [{"name": "a", "cluster": {"server": api.address}}],
        "users": [{"name": "a", "user": {}}],
        "contexts": [context],
    }
    path = folder / "faulty.kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path


def writes(api: FaultyApi) -> list[str]:
    """But for the Lease, which is renewed, and reviews, which are questions."""
    aside = ("/leases", "/tokenreviews")
    return [
        f"{method} {path}" for method, path in api.asked if method != "GET" and not any(word in path for word in aside)
    ]


async def quiet(api: FaultyApi) -> None:
    """Returns when nothing was written for two seconds."""
    while True:
        seen = len(writes(api))
        await asyncio.sleep(2)
        if len(writes(api)) == seen:
            return


async def test_who_leads_again_leads_proxies_to_itself(place: Installation, client: Client) -> None:
    """The EndpointSlice is not watched, and another replica has written it meanwhile."""
    await client.create(routed(place))
    key = place.key("EndpointSlice", "edgerun-xds-leader")
    async with operating(place.settings()) as runtime:
        mine = await there(client, key)
        runtime.leading.lost()
        await client.apply({**stripped(mine), "endpoints": [{"addresses": ["10.9.9.9"]}]})
        runtime._gained()
        await becomes(client, key, lambda raw: raw["endpoints"][0]["addresses"] == [POD_IP], "it leads here")


def stripped(raw: Object) -> dict[str, Any]:
    metadata = {name: raw["metadata"][name] for name in ("name", "namespace", "labels")}
    return {**raw, "metadata": metadata}


async def test_the_command_works_until_sigterm_and_gives_the_lease_away(place: Installation, client: Client) -> None:
    await client.create(routed(place))
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("EDGERUN_", "POD_"))},
        "POD_NAMESPACE": place.namespace,
        "POD_NAME": "edgerun-0",
        "POD_IP": POD_IP,
        "EDGERUN_IMAGE": "edgerun:test",
        "EDGERUN_WATCH_NAMESPACE": place.shop,
        "EDGERUN_DEFAULT_EDGE_PROXY": '{"serviceType": "ClusterIP"}',
    }
    program = Path(sys.executable).with_name("edgerun")
    flags = ("--kubeconfig", str(place.kubeconfig), "--xds-port", str(free_port()), "--http-port", str(free_port()))
    process = await asyncio.create_subprocess_exec(
        program, "controller", "--log-format", "json", *flags, env=environment, stderr=asyncio.subprocess.PIPE
    )
    try:
        await there(client, place.key("Deployment", "edge-default"))
        lease = await client.get(place.key("Lease", "edgerun"))
        assert lease["spec"]["holderIdentity"] == "edgerun-0"
    finally:
        with contextlib.suppress(ProcessLookupError):  # then what it said last is below
            process.send_signal(signal.SIGTERM)
        _, errors = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0, errors.decode()
    assert b"Traceback" not in errors, errors.decode()
    lease = await client.get(place.key("Lease", "edgerun"))
    assert not lease["spec"].get("holderIdentity")
