"""Golden files of Deployments, and what holds for every one."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgerun.api import API_VERSION, schema
from edgerun.api.admission import admit
from edgerun.api.originservice import KIND, OriginService
from edgerun.translate.workloads import origin_deployment, revision
from support.golden import cases, check
from support.objects import origin_service
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
    check(GOLDEN / f"{case}.out.yaml", origin_deployment(service), update=update_golden)


def test_every_golden_file_has_its_input() -> None:
    assert {path.name.removesuffix(".out.yaml") for path in GOLDEN.glob("*.out.yaml")} == set(CASES)


@given(st.data())
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_the_schema_takes_becomes_a_deployment_that_is_json(data: st.DataObject) -> None:
    """Garbage in what is passed on is for the API server to refuse, not for us to stumble over."""
    spec = data.draw(values(SPEC))
    raw = {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": "cart"}, "spec": spec}
    service = msgspec.convert(schema.completed(schema.kinds()[KIND].root, raw), OriginService)
    made = origin_deployment(service)
    assert msgspec.json.decode(msgspec.json.encode(made)) == made
    assert origin_deployment(service) == made


@given(st.data())
@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_is_passed_on_arrives(data: st.DataObject) -> None:
    pod = data.draw(values(SPEC["properties"]["template"]["properties"]["spec"]))
    raw = {"metadata": {"name": "cart"}, "spec": {"template": {"spec": pod}}}
    made = origin_deployment(msgspec.convert(raw, OriginService))["spec"]["template"]["spec"]
    for field in ("volumes", "affinity", "tolerations", "dnsConfig", "hostNetwork", "nodeSelector"):
        assert made.get(field, []) == pod.get(field, []) or not pod[field]


def test_the_selector_finds_the_pods_and_never_changes() -> None:
    made = origin_deployment(origin_service("cart"))["spec"]
    selector = made["selector"]["matchLabels"]
    assert selector == {"app.kubernetes.io/name": "origin", "edgerun.dev/origin-service": "cart"}
    assert selector.items() <= made["template"]["metadata"]["labels"].items()


def test_a_change_of_scale_is_no_new_version() -> None:
    one = origin_service("cart")
    spec = msgspec.structs.replace(one.spec, scaling=msgspec.structs.replace(one.spec.scaling, min_scale=5))
    other = msgspec.structs.replace(one, spec=spec)
    assert origin_deployment(one)["spec"]["template"] == origin_deployment(other)["spec"]["template"]
    assert origin_deployment(other)["spec"]["replicas"] == 5


def test_every_change_of_the_template_is_a_new_version_and_the_way_back_is_the_old_one() -> None:
    first, second, third = (revision(origin_service("cart", image=image)) for image in ("a", "b", "a"))
    assert first != second
    assert first == third
    assert first.startswith("cart-")


@pytest.mark.parametrize("capabilities", [5, "ALL", ["ALL"], {"add": 5}, {"add": [{}]}, None])
def test_rights_that_are_no_rights_are_left_to_the_api_server(capabilities: Any) -> None:
    service = origin_service("cart", securityContext={"capabilities": capabilities})
    (container,) = origin_deployment(service)["spec"]["template"]["spec"]["containers"]
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": capabilities}
