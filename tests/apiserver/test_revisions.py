"""What an API server does with OriginServices and OriginRevisions by itself, as their CRDs say it."""

import re
from typing import Any

import pytest

from edgerun.api import API_VERSION
from edgerun.api.meta import ObjectKey
from edgerun.api.resources import RESOURCES
from edgerun.errors import InvalidError
from edgerun.infra.kubernetes.client import Client
from support.apiserver import ApiServer
from support.chart import ask, kubectl
from support.valid import valid

Object = dict[str, Any]


def template(name: str = "", image: str = "cart:1") -> Object:
    named = {"metadata": {"name": name}} if name else {}
    return {**named, "spec": {"containers": [{"image": image}]}}


def service(namespace: str, **spec: Any) -> Object:
    metadata = {"name": "cart", "namespace": namespace}
    spec = {"template": template(), **spec}
    return {"apiVersion": API_VERSION, "kind": "OriginService", "metadata": metadata, "spec": spec}


def revision(namespace: str, **spec: Any) -> Object:
    labels = {"edgerun.dev/origin-service": "cart"}
    metadata = {"name": "cart-00001", "namespace": namespace, "labels": labels}
    spec = {"template": template(), "number": 1, **spec}
    return {"apiVersion": API_VERSION, "kind": "OriginRevision", "metadata": metadata, "spec": spec}


@pytest.mark.parametrize("raw", valid().values(), ids=valid())
async def test_the_server_takes_a_good_object(client: Client, namespace: str, raw: Object) -> None:
    await client.create({**raw, "metadata": {**raw["metadata"], "namespace": namespace}})


@pytest.mark.parametrize("scaling", [{}, {"scaling": {"window": "10s"}}, {"scaling": {"minScale": 2}}], ids=str)
async def test_kubectl_scale_sets_the_smallest_number_of_replicas(
    server: ApiServer, client: Client, namespace: str, scaling: Object
) -> None:
    before = await client.create(service(namespace, **scaling))
    kubectl(server, "-n", namespace, "scale", "originservice", "cart", "--replicas=3")
    after = await client.get(ObjectKey("OriginService", namespace, "cart"))
    assert after["spec"] == {**before["spec"], "scaling": {**before["spec"]["scaling"], "minScale": 3}}
    assert after["metadata"]["generation"] == before["metadata"]["generation"] + 1


async def test_the_scale_tells_how_many_replicas_are_ready(client: Client, namespace: str) -> None:
    made = await client.create(service(namespace))
    path = RESOURCES["OriginService"].path(namespace, "cart", subresource="scale")
    scale = await client._call("GET", path, timeout_s=10)
    assert (scale["spec"], scale["status"]) == ({"replicas": 1}, {"replicas": 0})
    bare = {name: made[name] for name in ("apiVersion", "kind")}
    status = {"observedGeneration": 1, "replicas": {"desired": 4, "ready": 2}}
    await client.apply_status({**bare, "metadata": {"name": "cart", "namespace": namespace}, "status": status})
    assert (await client._call("GET", path, timeout_s=10))["status"] == {"replicas": 2}


async def test_kubectl_scale_to_zero_lets_none_run(server: ApiServer, client: Client, namespace: str) -> None:
    await client.create(service(namespace))
    kubectl(server, "-n", namespace, "scale", "originservice", "cart", "--replicas=0")
    after = await client.get(ObjectKey("OriginService", namespace, "cart"))
    assert after["spec"]["scaling"]["minScale"] == 0


async def test_kubectl_scale_beyond_the_most_is_refused_as_an_edit_is(
    server: ApiServer, client: Client, namespace: str
) -> None:
    await client.create(service(namespace, scaling={"maxScale": 2}))
    done = ask(server, "kubectl", "-n", namespace, "scale", "originservice", "cart", "--replicas=3")
    assert done.returncode != 0
    assert "minScale must not be greater than maxScale" in done.stderr


async def test_an_apply_that_says_nothing_of_it_leaves_what_was_scaled(
    server: ApiServer, client: Client, namespace: str
) -> None:
    await client.apply(service(namespace))
    kubectl(server, "-n", namespace, "scale", "originservice", "cart", "--replicas=3")
    after = await client.apply(service(namespace, template=template(image="cart:2")))
    assert after["spec"]["scaling"]["minScale"] == 3


async def test_a_template_does_not_change_under_the_name_that_it_was_given(client: Client, namespace: str) -> None:
    await client.apply(service(namespace, template=template("cart-blue")))
    with pytest.raises(InvalidError, match=r"spec\.template\.metadata\.name: .*without a name change"):
        await client.apply(service(namespace, template=template("cart-blue", "cart:2")))
    for allowed in (
        {"template": template("cart-blue"), "scaling": {"minScale": 2}},
        {"template": template("cart-green", "cart:2")},
        {"template": template("cart-blue")},
        {"template": template(image="cart:3")},
        {"template": template(image="cart:4")},
        {"template": template("cart-red", "cart:4")},
    ):
        await client.apply(service(namespace, **allowed))


async def test_a_revision_never_changes(client: Client, namespace: str) -> None:
    await client.create(revision(namespace))
    await client.apply(revision(namespace))
    for changed in ({"template": template(image="cart:2")}, {"number": 2}, {"given": True}):
        with pytest.raises(InvalidError, match="a revision never changes"):
            await client.apply(revision(namespace, **changed))


async def test_a_template_is_in_a_revision_what_it_is_in_its_service(client: Client, namespace: str) -> None:
    """With the same defaults: else the operator would see another one than it wrote, and make one more."""
    container = {"image": "cart:1", "ports": [{"containerPort": 80}], "readinessProbe": {"httpGet": {}}}
    given = {"spec": {"containers": [container], "affinity": {"nodeAffinity": {}}}}
    made = await client.create(service(namespace, template=given))
    copied = await client.create(revision(namespace, template=made["spec"]["template"]))
    assert copied["spec"]["template"] == made["spec"]["template"]


async def test_a_list_of_revisions_tells_whose_they_are(server: ApiServer, client: Client, namespace: str) -> None:
    made = revision(namespace)
    await client.create(made)
    ready = {"type": "Ready", "status": "True", "reason": "Ready", "message": "", "observedGeneration": 1}
    status = {
        "replicas": {"desired": 2, "ready": 1},
        "proven": True,
        "lastActive": "2026-01-01T00:00:00Z",
        "conditions": [{**ready, "lastTransitionTime": "2026-01-01T00:00:00Z"}],
    }
    del made["spec"]
    await client.apply_status({**made, "status": status})
    head, row = kubectl(server, "-n", namespace, "get", "orev").splitlines()
    assert head.split() == ["NAME", "SERVICE", "READY", "REPLICAS", "REASON", "AGE"]
    assert re.fullmatch(r"cart-00001 +cart +True +1 +Ready +\S+", row.strip())
