"""Admission: good objects come out whole, with defaults; bad ones with everything that is wrong."""

import copy
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgerun.api import API_VERSION, edgeroute, originservice, schema, templates
from edgerun.api.admission import Admission, admit
from edgerun.api.edgeroute import EdgeRoute, PathMatch, PathMatchType, RouteMatch, ServiceReference
from edgerun.api.originservice import Access, Ingress, Invoker, OriginService, Scaling, SecretRotation
from support.schemas import values

SHAPES = {edgeroute.KIND: EdgeRoute, originservice.KIND: OriginService}
SPECS = {kind: schema.strict(schema.kinds()[kind].schema["properties"]["spec"]) for kind in SHAPES}


def route(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": API_VERSION, "kind": "EdgeRoute", "metadata": {"name": "web"}, "spec": spec}


def service(**container: Any) -> dict[str, Any]:
    spec = {"template": {"spec": {"containers": [container]}}}
    return {"apiVersion": API_VERSION, "kind": "OriginService", "metadata": {"name": "cart"}, "spec": spec}


def said(admission: Admission) -> list[str]:
    assert admission.object is None
    return [str(problem) for problem in admission.problems]


def test_a_good_route_comes_out_with_its_defaults() -> None:
    found = admit(route(rules=[{"origins": [{"service": {"name": "cart"}}]}])).object
    assert isinstance(found, EdgeRoute)
    assert found.metadata.namespace == "default"
    assert found.spec.rules[0].matches == (RouteMatch(path=PathMatch(type=PathMatchType.PATH_PREFIX, value="/")),)
    assert found.spec.rules[0].origins[0].weight == 1


def test_a_good_service_comes_out_with_its_defaults() -> None:
    found = admit(service(image="cart:1", readinessProbe={"httpGet": {}})).object
    assert isinstance(found, OriginService)
    assert (found.container.name, found.container.port) == ("app", 8080)
    assert found.container.readiness_probe.http_get == templates.HTTPGetAction(path="/")


def test_what_was_given_is_not_changed() -> None:
    raw = route(
        hostnames=None,
        rules=[{"matches": [{"method": "GET"}], "respond": {}}],
    )
    before = copy.deepcopy(raw)
    assert admit(raw).object
    assert raw == before


def test_a_null_stands_for_nothing_given() -> None:
    assert admit(route(hostnames=None, rules=[{"name": None, "matches": None, "respond": {"status": None}}])) == admit(
        route(rules=[{"respond": {}}])
    )


def test_the_status_of_a_file_is_not_looked_at() -> None:
    raw = route(rules=[{"respond": {}}])
    assert admit(raw | {"status": "nonsense"}) == admit(raw)


def test_what_a_server_writes_into_metadata_is_taken() -> None:
    written = {
        "name": "web",
        "namespace": "shop",
        "uid": "1",
        "resourceVersion": "2",
        "generation": 3,
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}],
        "finalizers": ["a/b"],
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
    }
    found = admit(route(rules=[{"respond": {}}]) | {"metadata": written}).object
    assert found is not None
    assert (found.metadata.generation, found.metadata.creation_timestamp) == (3, "2026-01-01T00:00:00Z")


def test_all_problems_come_at_once_and_in_order() -> None:
    raw = route(
        hostnames=["A"],
        rules=[{"respond": {"status": 1}}, {"matches": [{"path": {"value": "a"}}], "origins": [{}]}, {"nam": "x"}],
    )
    fields = [problem.field for problem in admit(raw | {"apiVersion": "edgerun.dev/v2", "extra": 1}).problems]
    assert fields == [
        "apiVersion",
        "extra",
        "spec.hostnames[0]",
        "spec.rules[0].respond.status",
        "spec.rules[1].matches[0].path.value",
        "spec.rules[1].origins[0]",
        "spec.rules[2].nam",
    ]


def test_a_rule_is_not_asked_about_a_value_that_has_the_wrong_shape() -> None:
    """It could not answer, and the shape is the problem: `origns` is no missing `origins`."""
    (problem,) = said(admit(route(rules=[{"origns": [{"service": {"name": "cart"}}]}])))
    assert "did you mean" in problem


def test_rules_elsewhere_are_asked_all_the_same() -> None:
    found = said(
        admit(route(rules=[{"respond": {"status": "x"}}, {"matches": [{"path": {"value": "a"}}], "respond": {}}]))
    )
    assert len(found) == 2


@pytest.mark.parametrize("kind", [None, "", 5, [], {}, True])
def test_a_kind_that_is_no_name_is_said_to_be_missing(kind: Any) -> None:
    (problem,) = said(admit({"apiVersion": API_VERSION, "kind": kind}))
    assert problem.startswith("kind: Required value")


@pytest.mark.parametrize("raw", [{}, {"kind": "EdgeRoute"}, {"kind": "EdgeRoute", "metadata": [], "spec": 1}])
def test_next_to_nothing_is_refused_without_a_fuss(raw: dict[str, Any]) -> None:
    assert said(admit(raw))


@pytest.mark.parametrize("version", [5, None, [], {"a": 1}, "v1"])
def test_a_version_that_is_not_ours_is_named_once(version: Any) -> None:
    raw = route(rules=[{"respond": {}}]) | {"apiVersion": version}
    assert [problem.field for problem in admit(raw).problems] == ["apiVersion"]


@pytest.mark.parametrize("name", ["web", "web-1", "a.b", "0"])
def test_a_name_of_kubernetes_is_taken(name: str) -> None:
    assert admit(route(rules=[{"respond": {}}]) | {"metadata": {"name": name}}).object


@pytest.mark.parametrize("duration", ["0s", "15s", "1h30m", "1m30s", "250ms", "1h1m1s1ms"])
def test_durations_of_gep_2257_are_taken(duration: str) -> None:
    assert admit(route(rules=[{"origins": [{"service": {"name": "a"}}], "timeouts": {"request": duration}}])).object


@pytest.mark.parametrize(
    "url", ["http://a", "https://a.example", "http://127.0.0.1:9000", "https://a.example:65535", "http://a-b.example:1"]
)
def test_urls_of_an_origin_are_taken(url: str) -> None:
    assert admit(route(rules=[{"origins": [{"url": url}]}])).object


@pytest.mark.parametrize(
    "url",
    [
        "https://",
        "a.example",
        "https://a.example/",
        "https://a.example?b",
        "https://a.example:0",
        "http://a_b",
        "http://a.",
    ],
)
def test_other_urls_are_refused(url: str) -> None:
    (problem,) = said(admit(route(rules=[{"origins": [{"url": url}]}])))
    assert "should match" in problem


@pytest.mark.parametrize("path", ["/", "/a", "/a/", "/a.b/..c", "/%20", "/a;b=c", "/~me", "/a/...", "/$&'()*+,;=:@!"])
@pytest.mark.parametrize("kind", ["Exact", "PathPrefix"])
def test_paths_are_taken(path: str, kind: str) -> None:
    assert admit(route(rules=[{"matches": [{"path": {"type": kind, "value": path}}], "respond": {}}])).object


def test_a_regular_expression_is_no_path() -> None:
    assert admit(
        route(rules=[{"matches": [{"path": {"type": "RegularExpression", "value": ".*//[?#]."}}], "respond": {}}])
    ).object


@pytest.mark.parametrize("port", [80, "web", None])
def test_a_probe_names_the_container_port_by_number_by_name_or_not(port: Any) -> None:
    ports = [{"containerPort": 80, "name": "web"}]
    for probe in ("httpGet", "tcpSocket"):
        assert admit(service(image="a", ports=ports, readinessProbe={probe: {"port": port}})).object


def test_a_probe_of_a_container_without_ports_may_name_the_default() -> None:
    for ports in ({}, {"ports": []}):
        assert admit(service(image="a", readinessProbe={"tcpSocket": {"port": 8080}}, **ports)).object


@pytest.mark.parametrize("value", ["\n", "a\n", "\x00", "\r"])
def test_a_line_end_hides_nowhere(value: str) -> None:
    """Python's `$` would let a newline at the end pass."""
    for bad in (
        route(hostnames=[f"a{value}"], rules=[{"respond": {}}]),
        route(rules=[{"respond": {}, "responseHeaders": {"set": {"x-a": value}}}]),
        route(rules=[{"respond": {}, "responseHeaders": {"set": {f"x-a{value}": "b"}}}]),
        route(rules=[{"matches": [{"path": {"value": f"/a{value}"}}], "respond": {}}]),
        route(rules=[{"matches": [{"path": {"value": f"/..{value}"}}], "respond": {}}]),
    ):
        assert said(admit(bad))


@pytest.mark.parametrize("kind", sorted(SHAPES))
@given(st.data())
@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_the_schema_takes_parses_and_round_trips(kind: str, data: st.DataObject) -> None:
    spec = data.draw(values(SPECS[kind]))
    raw = {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": "web"}, "spec": spec}
    parsed = msgspec.convert(schema.completed(schema.kinds()[kind].root, raw), SHAPES[kind])
    again = {"apiVersion": API_VERSION, "kind": kind} | msgspec.to_builtins(parsed)
    assert msgspec.convert(schema.completed(schema.kinds()[kind].root, again), SHAPES[kind]) == parsed
    admission = admit(raw)
    assert admission.object in (parsed, None)
    assert not [problem for problem in admission.problems if "in body" in problem.message]
    assert {problem.field for problem in admit(again).problems} == {problem.field for problem in admission.problems}


def anything(schema: Mapping[str, Any], word: str = "a") -> Any:
    """One value with every field of a schema in it, none of them empty or default."""
    if "enum" in schema:
        return next(option for option in schema["enum"] if option != schema.get("default"))
    match schema["type"]:
        case "string":
            return f"/{word}" if schema.get("pattern", "").startswith("^/") else word
        case "integer":
            return schema["minimum"] + 1
        case "boolean":
            return False
        case "array":
            return [anything(schema["items"], word)]
        case "object" if "properties" in schema:
            return {name: anything(child, name.lower()[:15]) for name, child in schema["properties"].items()}
        case "object" if "additionalProperties" in schema:
            return {word: anything(schema["additionalProperties"], word)}
        case "object":
            return {"emptyDir": {}, "items": [{"key": word, "mode": 0, "optional": False, "none": None}]}
        case _:
            return 80


def again(spec: templates.PodSpec) -> Any:
    """The PodSpec as JSON would have it."""
    return msgspec.json.decode(msgspec.json.encode(spec))


def test_a_pod_template_comes_out_as_it_went_in() -> None:
    """Every field, and what is empty, false or null in those that are passed on."""
    schema_of_spec = SPECS[originservice.KIND]["properties"]["template"]["properties"]["spec"]
    pod = anything(schema_of_spec)
    parsed = msgspec.convert(pod, templates.PodSpec)
    assert again(parsed) == pod


def test_what_is_not_given_differs_from_false_and_from_nothing() -> None:
    pod = {"containers": [{"name": "web"}], "hostNetwork": False, "securityContext": {}, "affinity": {}}
    parsed = msgspec.convert(pod, templates.PodSpec)
    assert again(parsed) == pod
    assert parsed != msgspec.convert({"containers": [{"name": "web"}]}, templates.PodSpec)


@given(values(SPECS[originservice.KIND]["properties"]["template"]["properties"]["spec"]))
@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_is_passed_on_is_passed_on_as_it_is(pod: dict[str, Any]) -> None:
    passed = again(msgspec.convert(pod, templates.PodSpec))
    for one, other in ((pod, passed), *zip(pod["containers"], passed["containers"], strict=True)):
        for field in ("volumes", "affinity", "securityContext", "tolerations", "resources", "lifecycle", "envFrom"):
            assert other.get(field) == (one.get(field) if one.get(field) != [] else None)


def test_replicas_are_one_unless_it_is_said() -> None:
    raw = service(image="a")
    assert isinstance(raw["spec"], dict)
    for scaling, expected in ((None, 1), ({}, 1), ({"minScale": 3}, 3)):
        found = admit(raw | {"spec": raw["spec"] | {"scaling": scaling}}).object
        assert isinstance(found, OriginService)
        assert found.spec.scaling.min_scale == expected


def test_the_most_replicas_are_those_of_cloud_run_unless_more_are_asked_for() -> None:
    for scaling, expected in (
        ({}, 100),
        ({"minScale": 3}, 100),
        ({"minScale": 200}, 200),
        ({"initialScale": 300}, 300),
        ({"activationScale": 400}, 400),
        ({"maxScale": 2}, 2),
    ):
        found = admit({**service(image="a"), "spec": {**service(image="a")["spec"], "scaling": scaling}}).object
        assert isinstance(found, OriginService)
        assert found.spec.scaling.most == expected


def test_a_scaling_of_which_nothing_is_said_is_that_of_the_schema() -> None:
    raw = service(image="a")
    silent, empty = (admit({**raw, "spec": {**raw["spec"], **more}}).object for more in ({}, {"scaling": {}}))
    assert isinstance(silent, OriginService)
    assert isinstance(empty, OriginService)
    assert silent.spec == empty.spec
    assert silent.spec.scaling == Scaling()


def test_a_sidecar_may_be_probed_wherever_it_likes() -> None:
    containers = [{"image": "a"}, {"name": "proxy", "image": "b", "readinessProbe": {"httpGet": {"port": 15021}}}]
    raw = service(image="a")
    raw["spec"]["template"]["spec"]["containers"] = containers
    assert admit(raw).object


def test_a_probe_may_ask_another_port_that_is_declared() -> None:
    ports = [{"containerPort": 80}, {"containerPort": 9090, "name": "admin"}]
    for port in (9090, "admin"):
        assert admit(service(image="a", ports=ports, readinessProbe={"httpGet": {"port": port}})).object


def guarded(spec: Mapping[str, Any], **pod: Any) -> dict[str, Any]:
    raw = service(image="cart:1")
    raw["spec"]["template"]["spec"] |= pod
    return raw | {"spec": raw["spec"] | spec}


def test_without_a_word_there_is_a_guard_that_lets_in_the_routes_of_the_namespace() -> None:
    found = admit(service(image="cart:1")).object
    assert isinstance(found, OriginService)
    assert found.guarded
    assert found.spec.access == Access(ingress=Ingress.EDGE, invokers=None)
    assert found.spec.template.spec.container_concurrency == 0
    assert found.spec.secret_rotation is SecretRotation.IGNORE


def test_an_invoker_is_a_namespace_a_service_account_both_or_a_subject() -> None:
    forms = [
        {"namespace": "shop"},
        {"serviceAccountName": "web.front"},
        {"namespace": "shop", "serviceAccountName": "web"},
        {"subject": "https://issuer.example/someone#1"},
    ]
    found = admit(guarded({"access": {"invokers": forms}})).object
    assert isinstance(found, OriginService)
    assert found.spec.access.invokers == (
        Invoker(namespace="shop"),
        Invoker(service_account_name="web.front"),
        Invoker(namespace="shop", service_account_name="web"),
        Invoker(subject="https://issuer.example/someone#1"),
    )


def test_an_empty_list_of_invokers_differs_from_none() -> None:
    found = admit(guarded({"access": {"invokers": []}})).object
    assert isinstance(found, OriginService)
    assert found.spec.access.invokers == ()


def test_without_a_guard_an_origin_may_still_be_kept_to_the_edge() -> None:
    found = admit(guarded({"guard": "Disabled", "access": {"ingress": "Edge"}}, containerConcurrency=0)).object
    assert isinstance(found, OriginService)
    assert not found.guarded


def test_a_volume_is_passed_on_with_all_that_it_says() -> None:
    volume = {"name": "cache-edgerun", "emptyDir": {"sizeLimit": "1Gi", "medium": None}}
    found = admit(guarded({}, volumes=[volume])).object
    assert isinstance(found, OriginService)
    assert found.spec.template.spec.volumes == (volume,)


def test_a_route_calls_in_the_name_of_the_default_service_account_of_its_namespace() -> None:
    found = admit(route(rules=[{"origins": [{"service": {"name": "cart"}}]}])).object
    assert isinstance(found, EdgeRoute)
    assert found.spec.service_account_name == "default"
    assert found.spec.rules[0].origins[0].service == ServiceReference(name="cart", namespace="")
