"""The golden files of Deployments at an API server: it keeps what users write, and takes what is made of it."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from edgerun.api.admission import admit
from edgerun.api.meta import ObjectKey
from edgerun.api.originservice import OriginService
from edgerun.api.resources import RESOURCES
from edgerun.errors import ApiError, InvalidError
from edgerun.infra.kubernetes.applying import view
from edgerun.infra.kubernetes.client import Client
from edgerun.translate.guard_pods import sidecar
from edgerun.translate.manifests import manifests
from edgerun.translate.running import running
from edgerun.translate.workloads import origin_deployment
from edgerun.translate.world import Installation, World
from support.golden import cases
from support.objects import origin_service, run

ORIGINS = Path(__file__).parents[1] / "golden" / "origins"
GOLDEN = Path(__file__).parents[1] / "golden" / "workloads"


async def judge(client: Client, manifest: dict[str, Any], namespace: str) -> Any:
    """The object as the server would store it."""
    placed = manifest | {"metadata": manifest["metadata"] | {"namespace": namespace}}
    query = {"fieldValidation": "Strict", "dryRun": "All"}
    path = RESOURCES[manifest["kind"]].path(namespace)
    return await client._call("POST", path, query=query, body=placed, timeout_s=10)


@pytest.mark.parametrize("case", cases(GOLDEN))
async def test_the_server_keeps_every_field_and_fills_in_what_we_fill_in(
    client: Client, namespace: str, case: str
) -> None:
    raw = yaml.safe_load((GOLDEN / f"{case}.in.yaml").read_text())
    stored, ours = admit(await judge(client, raw, namespace)).object, admit(raw).object
    assert isinstance(stored, OriginService)
    assert isinstance(ours, OriginService)
    assert stored.spec == ours.spec


@pytest.mark.parametrize("case", cases(GOLDEN))
async def test_the_server_takes_the_deployment_as_it_is(client: Client, namespace: str, case: str) -> None:
    manifest = yaml.safe_load((GOLDEN / f"{case}.out.yaml").read_text())
    made = await judge(client, manifest, namespace)
    first = made["spec"]["template"]["spec"]["containers"][0]
    assert [variable["name"] for variable in first["env"]][:2] == ["PORT", "K_SERVICE"]


@pytest.mark.parametrize("case", cases(ORIGINS))
async def test_the_server_takes_all_that_an_origin_consists_of(client: Client, namespace: str, case: str) -> None:
    service = admit(yaml.safe_load((ORIGINS / f"{case}.in.yaml").read_text())).object
    assert isinstance(service, OriginService)
    place = Installation(namespace="edge-system", image="edgerun:1")
    there = World(installation=place)
    for manifest in manifests(there, [service], tuple(running(service, there))):
        made = await judge(client, dict(manifest), namespace)
        assert view(manifest["spec"], made["spec"]) == manifest["spec"] if "spec" in manifest else made["data"]


async def test_a_guard_is_what_pod_security_calls_restricted(client: Client, namespace: str) -> None:
    """A pod is as restricted as its least restricted container: those of the user are here, too."""
    labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
    there = await client.get(ObjectKey("Namespace", "", namespace))
    await client.replace({**there, "metadata": {**there["metadata"], "labels": labels}})
    account = {"name": "default", "namespace": namespace}  # who makes it elsewhere does not run here
    await client.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
    rights = {"securityContext": {"runAsNonRoot": True}}
    service = origin_service("cart", namespace=namespace, image="cart:1", **rights)
    guarded = origin_deployment(
        run(service), sidecar=sidecar(service, Installation(namespace="edge-system", image="i"), "t")
    )
    template = deepcopy(guarded["spec"]["template"])
    metadata = {**template["metadata"], "name": "cart-1", "namespace": namespace}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
    made = await judge(client, pod, namespace)
    assert made["spec"]["initContainers"][0]["restartPolicy"] == "Always"
    pod["spec"]["initContainers"][0]["securityContext"]["runAsNonRoot"] = False
    with pytest.raises(ApiError, match="violates PodSecurity"):
        await judge(client, pod, namespace)


async def test_the_server_names_what_is_misspelt_deep_down(client: Client, namespace: str) -> None:
    manifest = yaml.safe_load((GOLDEN / "sidecars.out.yaml").read_text())
    manifest["spec"]["template"]["spec"]["volumes"] = [{"name": "data", "emptyDirectory": {}}]
    with pytest.raises(InvalidError, match=r'unknown field "spec\.template\.spec\.volumes\[0\]\.emptyDirectory"'):
        await judge(client, manifest, namespace)
