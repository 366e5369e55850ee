"""Golden files of Deployments, and what holds for every one."""

import dataclasses
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgerun.api import API_VERSION, schema
from edgerun.api.admission import admit
from edgerun.api.originrevision import OriginRevision
from edgerun.api.originservice import KIND, OriginService
from edgerun.translate.revisions.revision import same
from edgerun.translate.running import outcome
from edgerun.translate.workloads import origin_deployment, origin_revision
from support.golden import cases, check
from support.objects import origin_service, run, world
from support.schemas import values

GOLDEN = Path(__file__).parents[2] / "golden" / "workloads"
CASES = cases(GOLDEN)
SPEC = schema.strict(schema.kinds()[KIND].schema["properties"]["spec"])


def admitted(raw: dict[str, Any]) -> OriginService:
    admission = admit(raw)
    assert isinstance(admission.object, OriginService), admission.problems
    return admission.object


@pytest.mark.parametrize("case", CASES)
def test_the_deployment_is_what_the_golden_file_says(case: str, update_golden: bool) -> None:
    service = admitted(yaml.safe_load((GOLDEN / f"{case}.in.yaml").read_text()))
    check(GOLDEN / f"{case}.out.yaml", origin_deployment(run(service)), update=update_golden)


def test_every_golden_file_has_its_input() -> None:
    assert {path.name.removesuffix(".out.yaml") for path in GOLDEN.glob("*.out.yaml")} == set(CASES)


@given(st.data())
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_the_schema_takes_becomes_a_deployment_that_is_json(data: st.DataObject) -> None:
    """Garbage in what is passed on is for the API server to refuse, not for us to stumble over."""
    spec = data.draw(values(SPEC))
    raw = {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": "cart"}, "spec": spec}
    service = msgspec.convert(schema.completed(schema.kinds()[KIND].root, raw), OriginService)
    made = origin_deployment(run(service))
    assert msgspec.json.decode(msgspec.json.encode(made)) == made
    assert origin_deployment(run(service)) == made


@given(st.data())
@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_is_passed_on_arrives(data: st.DataObject) -> None:
    pod = data.draw(values(SPEC["properties"]["template"]["properties"]["spec"]))
    raw = {"metadata": {"name": "cart"}, "spec": {"template": {"spec": pod}}}
    made = origin_deployment(run(msgspec.convert(raw, OriginService)))["spec"]["template"]["spec"]
    for field in ("volumes", "affinity", "tolerations", "dnsConfig", "hostNetwork", "nodeSelector"):
        assert made.get(field, []) == pod.get(field, []) or not pod[field]


def test_the_selector_finds_the_pods_and_never_changes() -> None:
    made = origin_deployment(run(origin_service("cart"), 4))["spec"]
    selector = made["selector"]["matchLabels"]
    assert selector == {
        "app.kubernetes.io/name": "origin",
        "edgerun.dev/origin-service": "cart",
        "edgerun.dev/revision": "cart-00004",
    }
    assert selector.items() <= made["template"]["metadata"]["labels"].items()


def test_a_change_of_scale_is_no_new_version() -> None:
    one = origin_service("cart")
    spec = msgspec.structs.replace(one.spec, scaling=msgspec.structs.replace(one.spec.scaling, min_scale=5))
    other = msgspec.structs.replace(one, spec=spec)
    assert origin_deployment(run(one))["spec"]["template"] == origin_deployment(run(other))["spec"]["template"]
    assert origin_deployment(run(other))["spec"]["replicas"] == 5


def test_a_deployment_and_what_runs_of_it_are_called_after_their_revision() -> None:
    made = origin_deployment(run(origin_service("cart"), 4, replicas=0))
    assert (made["metadata"]["name"], made["spec"]["replicas"]) == ("cart-00004", 0)
    (container,) = made["spec"]["template"]["spec"]["containers"]
    variables = {one["name"]: one["value"] for one in container["env"]}
    assert variables["K_REVISION"] == "cart-00004"
    assert (variables["K_SERVICE"], variables["K_CONFIGURATION"]) == ("cart", "cart")


@given(st.data())
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_revision_that_was_written_is_read_as_it_was_and_written_in_the_same_way_again(data: st.DataObject) -> None:
    raw = {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": "cart"}, "spec": data.draw(values(SPEC))}
    service = msgspec.convert(schema.completed(schema.kinds()[KIND].root, raw), OriginService)
    for revision in outcome(service, world(service)).present:
        made = origin_revision(service, revision)
        read = msgspec.convert(msgspec.json.decode(msgspec.json.encode(made)), OriginRevision)
        assert same(read.spec.template, revision.template)
        again = dataclasses.replace(revision, template=read.spec.template)
        assert origin_revision(service, again) == made


def test_what_is_given_and_does_nothing_makes_no_other_pods() -> None:
    plain, probed = origin_service("cart"), origin_service("cart", readinessProbe={})
    assert origin_deployment(run(plain)) == origin_deployment(run(probed))


@pytest.mark.parametrize("capabilities", [5, "ALL", ["ALL"], {"add": 5}, {"add": [{}]}, None])
def test_rights_that_are_no_rights_are_left_to_the_api_server(capabilities: Any) -> None:
    service = origin_service("cart", securityContext={"capabilities": capabilities})
    (container,) = origin_deployment(run(service))["spec"]["template"]["spec"]["containers"]
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": capabilities}
