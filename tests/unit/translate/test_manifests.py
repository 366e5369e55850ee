"""Golden files of what a fleet consists of, and what holds for every one.

The configuration that Envoy is started with is one long argument, and files are strings; in the golden files all of it
stands as what it is.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from edgerun.api.admission import admit
from edgerun.api.edgeproxy import EdgeProxy
from edgerun.translate.edge_pods import GRACE_S, HEAP_SHARE
from edgerun.translate.labels import object_name
from edgerun.translate.manifests import fleet_manifests, manifests
from edgerun.translate.quantities import amount
from edgerun.translate.world import Installation, World
from support.golden import cases, check
from support.objects import PLACE, origin_service, run

GOLDEN = Path(__file__).parents[2] / "golden" / "manifests"
CASES = cases(GOLDEN)
ENVOY = Path(sys.executable).with_name("envoy")


def proxy(case: str) -> EdgeProxy:
    admission = admit(yaml.safe_load((GOLDEN / f"{case}.in.yaml").read_text()))
    assert isinstance(admission.object, EdgeProxy), admission.problems
    return admission.object


def made(case: str, place: Installation = PLACE) -> dict[str, Any]:
    return {manifest["kind"]: manifest for manifest in fleet_manifests(proxy(case), place)}


def container(deployment: Mapping[str, Any]) -> Any:
    (one,) = deployment["spec"]["template"]["spec"]["containers"]
    return one


def option(deployment: Mapping[str, Any], name: str) -> str:
    arguments = container(deployment)["args"]
    return str(arguments[arguments.index(name) + 1])


def readable(found: Mapping[str, Any]) -> Any:
    """As a reviewer wants to read it: Envoy's configuration as YAML in the YAML."""
    copy = deepcopy(list(found.values()))
    for config_map in (one for one in copy if one["kind"] == "ConfigMap"):
        data = config_map["data"]
        config_map["data"] = {name: json.loads(text) if name.endswith(".json") else text for name, text in data.items()}
    for deployment in (one for one in copy if one["kind"] == "Deployment"):
        arguments = container(deployment)["args"]
        at = arguments.index("--config-yaml") + 1
        arguments[at] = json.loads(arguments[at])
    return copy


@pytest.mark.parametrize("case", CASES)
def test_the_objects_of_a_fleet_are_what_the_golden_file_says(case: str, update_golden: bool) -> None:
    check(GOLDEN / f"{case}.out.yaml", readable(made(case)), update=update_golden)


def test_every_golden_file_has_its_input() -> None:
    assert {path.name.removesuffix(".out.yaml") for path in GOLDEN.glob("*.out.yaml")} == set(CASES)


@pytest.mark.envoy
@pytest.mark.parametrize("case", CASES)
def test_envoy_takes_the_arguments_of_the_pod_as_they_are(case: str, tmp_path: Path) -> None:
    found = made(case)
    arguments = [one.replace("$(POD_NAME)", "pod-1") for one in container(found["Deployment"])["args"]]
    here = [
        one.replace("/etc/edgerun", str(tmp_path)).replace("/var/run/secrets/edgerun", str(tmp_path))
        for one in arguments
    ]
    for name, text in found["ConfigMap"]["data"].items():
        moved = text.replace("/etc/edgerun", str(tmp_path)).replace("/var/run/secrets/edgerun", str(tmp_path))
        (tmp_path / name).write_text(moved)
    (tmp_path / "token").write_text("token")
    run = subprocess.run([ENVOY, "--mode", "validate", *here], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]


@pytest.mark.parametrize("case", CASES)
def test_they_are_json_and_equal_each_time(case: str) -> None:
    found = made(case)
    assert msgspec.json.decode(msgspec.json.encode(found)) == found
    assert made(case) == found


@pytest.mark.parametrize("case", CASES)
def test_every_object_has_the_name_the_owner_and_the_labels_of_its_fleet(case: str) -> None:
    name = proxy(case).metadata.name
    for manifest in made(case).values():
        metadata = manifest["metadata"]
        assert (metadata["name"], metadata["namespace"]) == (object_name(name), "edge-system")
        assert metadata["labels"]["edgerun.dev/edge-proxy"] == name
        assert [owner["uid"] for owner in metadata["ownerReferences"]] == ["0a1b"]


@pytest.mark.parametrize("case", CASES)
def test_whatever_selects_pods_selects_those_of_the_fleet(case: str) -> None:
    found = made(case)
    labels = found["Deployment"]["spec"]["template"]["metadata"]["labels"].items()
    for selector in (
        found["Deployment"]["spec"]["selector"]["matchLabels"],
        found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        found["Service"]["spec"]["selector"],
    ):
        assert selector.items() <= labels


def test_outside_of_a_deployment_nobody_owns_them() -> None:
    for manifest in made("default", Installation(namespace="n")).values():
        assert "ownerReferences" not in manifest["metadata"]


@pytest.mark.parametrize("case", CASES)
def test_a_pod_has_time_to_drain_and_envoy_stays_within_its_memory(case: str) -> None:
    deployment = made(case)["Deployment"]
    drain_s = int(option(deployment, "--drain-time-s"))
    assert deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == drain_s + GRACE_S
    assert f"--timeout={drain_s}" in container(deployment)["lifecycle"]["preStop"]["exec"]["command"]
    limit = container(deployment)["resources"].get("limits", {}).get("memory")
    heap = json.loads(option(deployment, "--config-yaml"))["overload_manager"]["resource_monitors"][0]["typed_config"]
    assert limit is None or heap["max_heap_size_bytes"] <= amount(limit) * HEAP_SHARE


def test_a_new_trust_bundle_restarts_no_pod() -> None:
    renewed = Installation(namespace="edge-system", uid="0a1b", image="edgerun:1.2.3", trust_bundle="another")
    before = Installation(namespace="edge-system", uid="0a1b", image="edgerun:1.2.3", trust_bundle="one")
    assert made("default", renewed)["Deployment"] == made("default", before)["Deployment"]
    assert made("default", renewed)["ConfigMap"] != made("default", before)["ConfigMap"]


def test_a_world_without_an_installation_needs_no_objects() -> None:
    cart = origin_service("cart")
    assert manifests(World(proxies=(proxy("default"),)), [cart], [run(cart)]) == ()


def test_a_world_has_the_objects_of_all_fleets_and_origins_in_one_order() -> None:
    proxies = proxy("default"), proxy("everything")
    world = World(installation=PLACE, proxies=proxies)
    turned = World(installation=PLACE, proxies=proxies[::-1])
    origins, runs = [origin_service("cart")], [run(origin_service("cart"))]
    found = manifests(world, origins, runs)
    assert found == manifests(turned, origins, runs)
    assert [one["metadata"]["name"] for one in found if one["kind"] == "Deployment"] == [
        "edge-default",
        "edge-public",
        "cart-00001",
    ]
