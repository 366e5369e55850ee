"""`edgerun rollout` against a real API server: what it reads, what it writes, and beside others who write."""

import functools
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from edgerun.api import API_VERSION
from edgerun.api.meta import ObjectKey
from edgerun.errors import NotFoundError
from edgerun.infra.kubernetes.client import Client, Object
from edgerun.translate.revisions.wishes import ORDER
from support import chart
from support.apiserver import ApiServer
from support.commands import InCluster, Said, until
from support.edits import edited
from support.faults import FaultyApi, Passing
from support.poll import eventually
from support.scene import WITHIN_S, Scene, under_load

ONE, TWO = "cart-00001", "cart-00002"
NOW = "2026-01-01T00:00:00Z"
TEMPLATE = {"spec": {"containers": [{"image": "cart:1"}]}}
READY = {"type": "Ready", "status": "True", "reason": "Ready", "message": "", "observedGeneration": 1}


@pytest.fixture
def rollout(server: ApiServer, namespace: str, capsys: pytest.CaptureFixture[str]) -> InCluster:
    return InCluster("rollout", server.kubeconfig, namespace, capsys, "cart")


async def written(client: Client, kind: str, namespace: str, name: str, *, spec: Object, status: Object) -> None:
    labels = {"edgerun.dev/origin-service": "cart"} if kind == "OriginRevision" else {}
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    made = {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata}
    await client.create({**made, "spec": spec})
    await client.apply_status({**made, "status": status})


@pytest.fixture
async def rolling(client: Client, namespace: str) -> ObjectKey:
    """An OriginService of which the second revision has a part of the requests; an operator would write the same."""
    for number, name in enumerate((ONE, TWO), start=1):
        status = {
            "replicas": {"desired": 2, "ready": number},
            "proven": True,
            "conditions": [{**READY, "lastTransitionTime": NOW}],
        }
        spec = {"template": TEMPLATE, "number": number}
        await written(client, "OriginRevision", namespace, name, spec=spec, status=status)
    shares = [{"revisionName": ONE, "percent": 88}, {"revisionName": TWO, "percent": 12}]
    status = {
        "observedGeneration": 1,
        "latestCreatedRevisionName": TWO,
        "latestReadyRevisionName": TWO,
        "revisionNumber": 2,
        "traffic": [*shares, {"revisionName": ONE, "tag": "old"}],
        "rollout": {"goal": TWO, "shares": shares, "begun": NOW, "stepPercent": 12},
        "conditions": [],
    }
    traffic = [{"latestRevision": True, "percent": 100}, {"revisionName": ONE, "tag": "old", "percent": 0}]
    spec = {"template": TEMPLATE, "traffic": traffic}
    await written(client, "OriginService", namespace, "cart", spec=spec, status=status)
    return ObjectKey("OriginService", namespace, "cart")


async def test_the_status_is_read_from_the_service_and_its_revisions(rollout: InCluster, rolling: ObjectKey) -> None:
    said = await rollout("status")
    assert said.code == 0, said.err
    _, newest, oldest = said.out.splitlines()[:3]
    assert newest.split()[:5] == [TWO, "12", "%", "-", "2/2"]
    assert oldest.split()[:5] == [ONE, "88", "%", "old", "1/2"]
    assert f"{TWO} has 12 of 100 %, until every proxy serves that" in said.out


@pytest.mark.parametrize("verb", ["undo", "promote"])
async def test_an_order_is_an_annotation_beside_those_of_others(
    rollout: InCluster, rolling: ObjectKey, client: Client, verb: str
) -> None:
    await edited(client, rolling, lambda found: found["metadata"].update(annotations={"team": "blue"}))
    before = await client.get(rolling)
    said = await rollout(verb)
    assert said.code == 0, said.err
    assert said.out.startswith(f"{TWO} is to get ")
    after = await client.get(rolling)
    assert after["metadata"]["annotations"] == {"team": "blue", ORDER: f"{verb}/{TWO}"}
    assert after["spec"] == before["spec"]
    assert after["metadata"]["generation"] == before["metadata"]["generation"]


async def test_all_requests_are_led_to_a_revision_by_one_edit_and_tags_stay(
    rollout: InCluster, rolling: ObjectKey, client: Client
) -> None:
    said = await rollout("undo", "--to", ONE)
    assert said.code == 0, said.err
    assert f"spec.traffic of {rolling.namespace}/cart leads all requests to {ONE} now" in said.out
    assert (await client.get(rolling))["spec"]["traffic"] == [
        {"revisionName": ONE, "percent": 100},
        {"revisionName": ONE, "tag": "old", "percent": 0},
    ]


async def test_what_somebody_else_writes_meanwhile_is_not_lost(
    rollout: InCluster, rolling: ObjectKey, client: Client, faulty: FaultyApi, tmp_path: Path
) -> None:
    through = rollout.at(faulty.address, tmp_path)
    writes = 0

    async def labelled_first(request: web.Request, passing: Passing) -> web.Response:
        nonlocal writes
        writes += request.method == "PUT"
        if request.method == "PUT" and writes == 1:
            before = await client.get(rolling)
            await client.replace({**before, "metadata": {**before["metadata"], "labels": {"team": "blue"}}})
        return await passing()

    faulty.tamper = labelled_first
    assert (await through("undo")).code == 0
    metadata = (await client.get(rolling))["metadata"]
    assert (writes, metadata["labels"], metadata["annotations"][ORDER]) == (2, {"team": "blue"}, f"undo/{TWO}")


async def test_what_there_is_not_is_told_with_what_there_is(rollout: InCluster, rolling: ObjectKey) -> None:
    said = await replace(rollout, name="card")("status")
    assert said.code == 2
    assert f"there is no OriginService {rolling.namespace}/card; in that namespace there are: cart." in said.err
    said = await rollout("promote", "--revision", "cart-00009")
    assert said.code == 2
    assert f"{rolling.namespace}/cart has no revision 'cart-00009'; there are: {TWO}, {ONE}" in said.err


async def test_an_unreachable_cluster_is_told_with_the_way_out(rollout: InCluster, tmp_path: Path) -> None:
    said = await rollout.at("http://127.0.0.1:1", tmp_path)("status")
    assert said.code == 2
    assert "see what `kubectl cluster-info` says, or choose another cluster with --kubeconfig FILE" in said.err


@pytest.mark.parametrize(
    ("user", "way"),
    [
        ({"token": "made up"}, "log in to the cluster, or choose another one"),
        ({}, "kubectl create rolebinding NAME --namespace {} --clusterrole=edit --user=USER"),
    ],
    ids=["unknown", "without rights"],
)
async def test_who_may_not_is_told_who_can_change_that(
    rollout: InCluster, tmp_path: Path, user: dict[str, str], way: str
) -> None:
    said = await (await rollout.by(user, tmp_path))("undo")
    assert said.code == 2
    assert way.format(rollout.namespace) in said.err


@pytest.mark.envoy
async def test_an_operator_does_what_is_ordered_and_no_request_is_lost(
    server: ApiServer, client: Client, namespace: str, rollout: InCluster
) -> None:
    chart.needed()
    async with under_load(server, client, namespace) as scene:
        rollout = replace(rollout, namespace=scene.place.shop)
        await changed(scene)
        await pod(scene, TWO)
        await told(rollout, f"{TWO} has 1 of 100 %")
        assert (await rollout("undo")).code == 0
        said = await told(rollout, f"! {TWO} was rolled back: it was undone by hand; {ONE} serves instead")
        assert said.code == 1
        assert (await rollout("promote", "--revision", TWO)).code == 0
        said = await told(rollout, f"{TWO} has all requests")
        assert said.code == 0
        assert (await rollout("undo", "--to", ONE)).code == 0
        await told(rollout, f"{TWO} is ready and gets nothing, for spec.traffic leads elsewhere: {ONE} 100 %")


async def told(rollout: InCluster, text: str) -> Said:
    """The status, as soon as it says that."""
    return await until(functools.partial(rollout, "status"), text, within_s=WITHIN_S, step_s=0.2)


async def changed(scene: Scene) -> None:
    """Another template, which is to get requests little by little."""

    def change(found: dict[str, Any]) -> None:
        found["spec"]["template"]["metadata"] = {"labels": {"version": "2"}}
        found["spec"]["rollout"] = {"duration": "30m"}

    await edited(scene.client, scene.key("OriginService", "cart"), change)


async def pod(scene: Scene, name: str) -> None:
    """One that the Deployment of a revision has made, and that is ready."""

    async def deployed() -> Object:
        with suppress(NotFoundError):
            return await scene.client.get(scene.key("Deployment", name))
        return {}

    template = (await eventually(deployed, within_s=WITHIN_S, step_s=0.1, what=name))["spec"]["template"]
    metadata = {"name": name, "namespace": scene.place.shop, "labels": template["metadata"]["labels"]}
    made = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}
    await scene.client.create({**made, "spec": template["spec"]})
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": NOW}
    await scene.client.apply_status({**made, "status": {"podIP": "127.0.0.1", "conditions": [ready]}})
