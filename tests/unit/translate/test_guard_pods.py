"""Golden files of what an origin consists of, and what holds for the guard in every pod."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgerun.api import API_VERSION, schema
from edgerun.api.admission import admit
from edgerun.api.meta import object_key
from edgerun.api.originservice import GUARD_CONTAINER, GUARD_PORT, GUARD_PROBES_PORT, KIND, Ingress, OriginService
from edgerun.sources.workloads import made_by
from edgerun.translate.bootstrap import GUARD_HEAP_BYTES
from edgerun.translate.guard_pods import PREFIX, RESOURCES, sidecar
from edgerun.translate.identities import edge_prefix
from edgerun.translate.labels import edge_labels, origin_labels
from edgerun.translate.manifests import manifests
from edgerun.translate.phases import OriginPhase
from edgerun.translate.quantities import amount
from edgerun.translate.running import running
from edgerun.translate.workloads import origin_deployment
from edgerun.translate.world import Endpoint, Installation, OriginObservation, Trust
from support.golden import cases, check
from support.objects import PLACE, origin_service, run, world
from support.schemas import values

GOLDEN = Path(__file__).parents[2] / "golden" / "origins"
CASES = cases(GOLDEN)
ENVOY = Path(sys.executable).with_name("envoy")
DRAIN_BYTES = 60 << 20  # what `edgerun drain` takes; 52 MB were measured
OPERATORS_PODS = {  # as the chart labels them
    "app.kubernetes.io/name": "edgerun",
    "app.kubernetes.io/instance": "any",
    "app.kubernetes.io/component": "operator",
}
SPEC = schema.strict(schema.kinds()[KIND].schema["properties"]["spec"])


def admitted(case: str) -> OriginService:
    admission = admit(yaml.safe_load((GOLDEN / f"{case}.in.yaml").read_text()))
    assert isinstance(admission.object, OriginService), admission.problems
    return admission.object


def made(service: OriginService, *endpoints: Endpoint, place: Installation = PLACE) -> dict[str, Any]:
    observed = {service.key: OriginObservation(OriginPhase.READY, endpoints)}
    there = world(service, installation=place, trust=Trust(trust_domain="shops.example"), observations=observed)
    runs = tuple(running(service, there))
    return {manifest["kind"]: manifest for manifest in manifests(there, [service], runs)}


def pod(found: Mapping[str, Any]) -> Any:
    return found["Deployment"]["spec"]["template"]["spec"]


def guard(found: Mapping[str, Any]) -> Any:
    return pod(found)["initContainers"][0]


def with_spec(service: OriginService, **changed: Any) -> OriginService:
    return msgspec.structs.replace(service, spec=msgspec.structs.replace(service.spec, **changed))


def to_zero(service: OriginService) -> OriginService:
    return with_spec(service, scaling=msgspec.structs.replace(service.spec.scaling, min_scale=0))


def disabled(service: OriginService) -> OriginService:
    return with_spec(service, guard="Disabled")


def ports(found: Mapping[str, Any]) -> list[int]:
    """Where the edge is let in, and nobody else."""
    (rule,) = found["NetworkPolicy"]["spec"]["ingress"]
    return let_in(rule)


def let_in(rule: Mapping[str, Any]) -> list[int]:
    assert rule["from"], "everybody"
    return [port["port"] for port in rule["ports"]]


def doors(service: OriginService) -> list[int]:
    """Where the operator is let in, beside the edge."""
    _, *rules = made(service)["NetworkPolicy"]["spec"]["ingress"]
    return [port for rule in rules for port in let_in(rule)]


def readable(found: Mapping[str, Any]) -> Any:
    """As a reviewer wants to read it: of Envoy's configuration only what is not in other golden files."""
    copy = deepcopy(found)
    for container in pod(copy).get("initContainers", ()):
        if container["name"] == GUARD_CONTAINER:
            config = json.loads(container["args"][1])
            container["args"][1] = {"node": config["node"], "static_resources": sorted(config["static_resources"])}
    if "ConfigMap" in copy:
        copy["ConfigMap"]["data"] = sorted(copy["ConfigMap"]["data"])
    return list(copy.values())


@pytest.mark.parametrize("case", CASES)
def test_the_objects_of_an_origin_are_what_the_golden_file_says(case: str, update_golden: bool) -> None:
    check(GOLDEN / f"{case}.out.yaml", readable(made(admitted(case))), update=update_golden)


def test_every_golden_file_has_its_input() -> None:
    assert {path.name.removesuffix(".out.yaml") for path in GOLDEN.glob("*.out.yaml")} == set(CASES)


@pytest.mark.envoy
def test_envoy_takes_the_arguments_of_the_guard_as_they_are(tmp_path: Path) -> None:
    found = made(admitted("guarded"))

    def here(text: str) -> str:
        for folder in ("/etc/edgerun", "/var/run/secrets/edgerun", "/run/edgerun"):
            text = text.replace(folder, str(tmp_path))
        return text.replace("$(POD_NAME)", "cart-1")

    for name, text in found["ConfigMap"]["data"].items():
        (tmp_path / name).write_text(here(text))
    (tmp_path / "token").write_text("token")
    arguments = [here(one) for one in guard(found)["args"]]
    run = subprocess.run([ENVOY, "--mode", "validate", *arguments], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]


def test_kubernetes_puts_nothing_into_the_configuration_of_a_guard() -> None:
    """It would take $(NAME) in an argument for a variable."""
    arguments = guard(made(admitted("guarded")))["args"]
    assert [one for one in arguments if "$(" in one] == ["$(POD_NAME)"]


@given(st.data())
@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_guard_changes_nothing_of_what_is_in_the_pod(data: st.DataObject) -> None:
    raw = {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": "cart"}, "spec": data.draw(values(SPEC))}
    service = msgspec.convert(schema.completed(schema.kinds()[KIND].root, raw), OriginService)
    guarded = origin_deployment(run(service), sidecar=sidecar(service, PLACE, "cluster.local"))
    assert msgspec.json.decode(msgspec.json.encode(guarded)) == guarded
    spec = guarded["spec"]["template"]["spec"]
    assert spec["initContainers"].pop(0)["name"] == GUARD_CONTAINER
    for _ in range(3):
        assert spec["volumes"].pop()["name"].startswith(PREFIX)
    bare = origin_deployment(run(service))
    plain = bare["spec"]["template"]["spec"]
    if plain.get("hostNetwork"):
        assert spec.pop("dnsPolicy") == plain.pop("dnsPolicy", "ClusterFirstWithHostNet")
    assert guarded == {**bare, "spec": guarded["spec"]}
    assert spec == {**plain, "initContainers": plain.get("initContainers", []), "volumes": plain.get("volumes", [])}


def test_the_guard_is_a_sidecar_that_comes_before_all_others_and_ends_after_them() -> None:
    found = made(admitted("guarded"))
    assert [one["name"] for one in pod(found)["initContainers"]] == [GUARD_CONTAINER, "migrate", "logs"]
    assert guard(found)["restartPolicy"] == "Always"


def test_nothing_waits_for_the_guard_but_the_readiness_of_the_pod() -> None:
    """Kubernetes starts the next container when a sidecar's startup probe has succeeded, or at once without one."""
    one = guard(made(admitted("guarded")))
    assert "startupProbe" not in one
    assert "livenessProbe" not in one
    named = {port["name"]: port["containerPort"] for port in one["ports"]}
    assert named[one["readinessProbe"]["httpGet"]["port"]] == GUARD_PROBES_PORT
    assert all(len(name) <= 15 for name in named)


@pytest.mark.parametrize(("grace_s", "wanted"), [(None, 30), (0, 1), (7, 7), (3600, 3600)])
def test_a_guard_drains_for_as_long_as_its_pod_may_take_to_end(grace_s: int | None, wanted: int) -> None:
    service = origin_service("cart")
    template = service.spec.template
    spec = msgspec.structs.replace(template.spec, termination_grace_period_seconds=grace_s)
    one = guard(made(with_spec(service, template=msgspec.structs.replace(template, spec=spec))))
    assert one["args"][one["args"].index("--drain-time-s") + 1] == str(wanted)
    assert f"--timeout={wanted}" in one["lifecycle"]["preStop"]["exec"]["command"]


def test_envoy_and_its_drain_stay_within_the_memory_of_the_container() -> None:
    assert amount(RESOURCES["limits"]["memory"]) >= GUARD_HEAP_BYTES + DRAIN_BYTES


def test_the_guard_listens_where_the_edge_asks_and_asks_the_app_where_it_listens() -> None:
    found = made(origin_service("cart", ports=[{"containerPort": 9000}]))
    static = json.loads(guard(found)["args"][1])["static_resources"]
    listening = [one["address"]["socket_address"]["port_value"] for one in static["listeners"]]
    assert listening == [GUARD_PORT, GUARD_PROBES_PORT]
    (app,) = (one for one in static["clusters"] if one["name"] == "origin/shop/cart")
    (endpoint,) = app["load_assignment"]["endpoints"][0]["lb_endpoints"]
    assert endpoint["endpoint"]["address"]["socket_address"] == {"address": "127.0.0.1", "port_value": 9000}
    assert edge_prefix("shops.example") in json.dumps(static)


def test_secrets_by_which_the_image_is_pulled_are_not_named_where_they_do_not_exist() -> None:
    assert "imagePullSecrets" not in pod(made(origin_service("cart")))


IDS = st.sampled_from([None, 0, 1000, 65532])


@given(pod_user=IDS, app_user=IDS, fs_group=IDS, privileged=st.booleans())
@settings(deadline=None)
def test_envoy_may_read_its_token_whoever_else_runs_in_the_pod(
    pod_user: int | None, app_user: int | None, fs_group: int | None, privileged: bool
) -> None:
    """The mode is the kubelet's to choose; its rule is repeated here, for one of its files is for one user only."""
    given_to_pod = {"runAsUser": pod_user, "fsGroup": fs_group}
    app: dict[str, Any] = {"name": "app", "securityContext": {"runAsUser": app_user, "privileged": privileged}}
    raw = {
        "metadata": {"name": "cart", "namespace": "shop"},
        "spec": {
            "template": {
                "spec": {"containers": [_without_none(app)], "securityContext": _without_none(given_to_pod)},
            },
        },
    }
    found = pod(made(msgspec.convert(raw, OriginService)))
    containers = [*found["initContainers"], *found["containers"]]
    owner, group, mode = token_file(found.get("securityContext", {}), [one["securityContext"] for one in containers])
    ours = containers[0]["securityContext"]
    if ours["runAsUser"] == owner:
        assert mode & 0o400
    elif group is not None and group == found["securityContext"].get("fsGroup"):  # every container is in it
        assert mode & 0o040
    else:
        assert mode & 0o004


def token_file(of_pod: Mapping[str, Any], containers: Sequence[Mapping[str, Any]]) -> tuple[int, int | None, int]:
    """Owner, group and mode of a projected token: Kubernetes 1.34, pkg/volume/projected and volume/util.FsUserFrom."""
    users = {one.get("runAsUser", of_pod.get("runAsUser")) for one in containers}
    user = users.pop() if len(users) == 1 else None
    group = of_pod.get("fsGroup")
    mode = 0o644 if user is None and group is None else 0o600
    return user or 0, group, mode | (0o440 if group is not None else 0)


def _without_none(part: Any) -> Any:
    if isinstance(part, dict):
        return {name: _without_none(value) for name, value in part.items() if value is not None}
    return part


def test_only_pods_of_the_edge_are_let_in_and_only_at_the_guard() -> None:
    found = made(origin_service("cart"))
    spec = found["NetworkPolicy"]["spec"]
    assert spec["policyTypes"] == ["Ingress"]
    assert spec["podSelector"]["matchLabels"].items() <= origin_labels("cart").items()
    (peer,) = spec["ingress"][0]["from"]
    assert peer["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": "edge-system"}}
    assert peer["podSelector"]["matchLabels"].items() <= edge_labels("blue").items()
    assert not peer["podSelector"]["matchLabels"].items() <= origin_labels("cart").items()
    assert ports(found) == [GUARD_PORT]


def test_the_operator_is_let_in_where_it_knocks_at_pods_that_a_request_waits_for() -> None:
    found = made(to_zero(origin_service("cart")))
    edge, operator = found["NetworkPolicy"]["spec"]["ingress"]
    assert (let_in(edge), let_in(operator)) == ([GUARD_PORT], [8080, GUARD_PROBES_PORT])
    (peer,) = operator["from"]
    assert peer["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": "edge-system"}}
    assert peer["podSelector"]["matchLabels"].items() <= OPERATORS_PODS.items()
    assert not peer["podSelector"]["matchLabels"].items() <= edge_labels("blue").items()


def test_it_is_let_in_at_the_ports_of_probes_and_where_it_never_knocks_at_none() -> None:
    probe = {"httpGet": {"port": "health"}}
    named = origin_service(
        "cart", ports=[{"containerPort": 80}, {"name": "health", "containerPort": 81}], readinessProbe=probe
    )
    assert doors(to_zero(disabled(named))) == [81]
    assert doors(to_zero(disabled(origin_service("cart", ports=[{"containerPort": 9000}])))) == [9000]
    for unasked in ({"exec": {"command": ["true"]}}, {"grpc": {"port": 8080}}, {"initialDelaySeconds": 3}):
        assert doors(to_zero(origin_service("cart", readinessProbe=unasked))) == []
    assert doors(named) == [], "it keeps a replica"


def test_who_lets_all_in_has_no_policy_and_still_a_guard() -> None:
    service = origin_service("cart")
    access = msgspec.structs.replace(service.spec.access, ingress=Ingress.ALL)
    assert list(made(with_spec(service, access=access))) == ["OriginRevision", "ConfigMap", "Deployment"]


def test_an_origin_without_a_guard_has_nothing_of_it() -> None:
    service = admitted("unguarded")
    found = made(service)
    assert list(found) == ["OriginRevision", "NetworkPolicy", "Deployment"]
    assert found["Deployment"] == origin_deployment(run(service))
    assert ports(found) == [9000]


def test_pods_of_the_version_before_keep_what_they_need_until_they_are_gone() -> None:
    """A guard comes, goes, or the app's port is another one: the old pods serve until the new ones do."""
    guarded = origin_service("cart", ports=[{"containerPort": 9000}])
    with_guard, without = Endpoint("10.0.0.1", GUARD_PORT, guarded=True), Endpoint("10.0.0.2", 9000)
    assert ports(made(guarded, without)) == [9000, GUARD_PORT]
    assert ports(made(guarded, with_guard)) == [GUARD_PORT]
    assert ports(made(disabled(guarded), with_guard)) == [9000, GUARD_PORT]
    assert "ConfigMap" in made(disabled(guarded), with_guard, without), "of a guard that is started anew meanwhile"
    assert "ConfigMap" not in made(disabled(guarded), without)
    moved = disabled(origin_service("cart", ports=[{"containerPort": 9001}]))
    assert ports(made(moved, without)) == [9000, 9001]


def test_a_new_trust_bundle_restarts_no_pod() -> None:
    service = origin_service("cart")
    before, after = made(service), made(service, place=replace(PLACE, trust_bundle="another"))
    assert before["Deployment"] == after["Deployment"]
    assert after["ConfigMap"]["data"]["ca.crt"] == "another"


def test_they_go_with_their_origin_and_say_whose_they_are() -> None:
    for manifest in made(admitted("guarded")).values():
        metadata = manifest["metadata"]
        assert metadata["namespace"] == "shop"
        assert metadata["labels"].items() >= origin_labels("cart").items()
        assert [owner["uid"] for owner in metadata["ownerReferences"]] == ["2f0c5a1e-7d7c-4f0e-9d5e-6d0f3c1b7a10"]
        assert made_by(manifest, PLACE), object_key(manifest)
