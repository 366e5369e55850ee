"""Several fleets: each has what its own routes need, and what is said of one is about its own pods."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun.api.edgeproxy import EdgeProxy
from edgerun.api.edgeroute import EdgeRoute
from edgerun.api.meta import ObjectKey
from edgerun.api.problems import Refusal
from edgerun.translate.edges import POD_PORT, PROBES_PORT
from edgerun.translate.fleets import fleet_observation, fleet_verdict
from edgerun.translate.plan import CLUSTER, LISTENER, ROUTES, Plan
from edgerun.translate.rendering import rendered
from edgerun.translate.translator import translate
from edgerun.translate.world import FleetObservation, Installation, World
from support.objects import edge_route, origin_service, ready, world

PLACE = Installation(namespace="edgerun")
FLEETS = ("blue", "green")


def edge_proxy(name: str, **spec: Any) -> EdgeProxy:
    return msgspec.convert({"metadata": {"name": name, "namespace": ""}, "spec": spec}, EdgeProxy)


def cluster(*routes: EdgeRoute, **others: Any) -> World:
    proxies = tuple(map(edge_proxy, FLEETS))
    origins = tuple(origin_service(name) for name in ("a", "b"))
    observations = {origin.key: ready() for origin in origins}
    settings = {"installation": PLACE, "proxies": proxies, "observations": observations} | others
    return world(*routes, *origins, **settings)


def to(edge: str, name: str, origin: str = "a", **spec: Any) -> EdgeRoute:
    rules = [{"origins": [{"service": {"name": origin}}]}]
    return edge_route(name, **({"edge": edge, "hostnames": [f"{name}.test"], "rules": rules} | spec))


def condition(plan: Plan, key: ObjectKey, type_: str) -> tuple[str, str, str]:
    found = next(part for part in plan.verdicts[key].conditions if part.type == type_)
    return found.status, found.reason, found.message


def test_a_route_is_in_its_own_fleet_and_in_no_other() -> None:
    plan = translate(cluster(to("blue", "one", "a"), to("green", "two", "b")))
    hosts = {name: {host["name"] for host in rendered(plan, name)["routes"][0]["virtual_hosts"]} for name in FLEETS}
    assert "one.test" in hosts["blue"]
    assert "two.test" not in hosts["blue"]
    assert list(plan.fleets["blue"][CLUSTER]) == ["origin/shop/a/a-00001@shop/default"]
    assert list(plan.fleets["green"][CLUSTER]) == ["origin/shop/b/b-00001@shop/default"]


def test_two_fleets_may_serve_the_same_host() -> None:
    same: dict[str, Any] = {"hostnames": ["same.test"]}
    plan = translate(cluster(to("blue", "one", **same), to("green", "two", **same)))
    for name in ("one", "two"):
        verdict = plan.verdicts[ObjectKey("EdgeRoute", "shop", name)]
        assert verdict.waits_for is None
        assert [part.status for part in verdict.conditions] == ["True", "True"]


def test_a_fleet_without_routes_answers_and_listens() -> None:
    plan = translate(cluster())
    listeners = rendered(plan, "blue")["listeners"]
    ports = [one["address"]["socket_address"]["port_value"] for one in listeners]
    assert ports == [POD_PORT, PROBES_PORT]
    assert len(plan.fleets["blue"][ROUTES]) == 1


def test_the_url_of_a_route_is_where_clients_call_the_service() -> None:
    proxies = (edge_proxy("blue", listeners=[{"name": "http", "port": 8000}]), edge_proxy("green"))
    plan = translate(cluster(to("blue", "one"), to("green", "two"), proxies=proxies))
    urls = [plan.verdicts[ObjectKey("EdgeRoute", "shop", name)].url for name in ("one", "two")]
    assert urls == ["http://one.test:8000", "http://two.test"]


def test_a_route_of_a_fleet_that_is_not_there_says_which_are() -> None:
    plan = translate(cluster(to("grey", "one")))
    key = ObjectKey("EdgeRoute", "shop", "one")
    said = 'spec.edge: EdgeProxy "grey" not found (EdgeProxies there: blue; green); no proxy serves the route'
    assert condition(plan, key, "ResolvedRefs") == ("False", "EdgeNotFound", said)
    assert "there is no EdgeProxy" in condition(translate(cluster(to("x", "one"), proxies=())), key, "ResolvedRefs")[2]


SOME = st.lists(
    st.tuples(st.sampled_from(FLEETS), st.sampled_from("abc"), st.sampled_from(["x.test", "*.test"])), max_size=6
)


@given(SOME, SOME)
def test_nothing_of_one_fleet_depends_on_the_routes_of_another(some: Any, others: Any) -> None:
    def routes(found: Any, prefix: str) -> list[EdgeRoute]:
        return [
            to(fleet, f"{prefix}{number}", origin, hostnames=[host])
            for number, (fleet, origin, host) in enumerate(found)
        ]

    blue = [route for route in routes(some, "r") if route.spec.edge == "blue"]
    green = [route for route in routes(others, "s") if route.spec.edge == "green"]
    together = translate(cluster(*blue, *green))
    assert together.fleets["blue"] == translate(cluster(*blue)).fleets["blue"]
    assert together.fleets["green"] == translate(cluster(*green)).fleets["green"]
    assert together.fleets["blue"][LISTENER] == together.fleets["green"][LISTENER]
    assert not {name for name in together.contributors if name[0] == "blue"} & {
        name for name in together.contributors if name[0] == "green"
    }


def pod(name: str, *, is_ready: bool = True, **metadata: Any) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": "True" if is_ready else "False"}]
    return {"metadata": {"name": name, **metadata}, "status": {"phase": "Running", "conditions": conditions}}


def deployment(replicas: int = 2) -> dict[str, Any]:
    return {"metadata": {"generation": 1}, "spec": {"replicas": replicas}, "status": {"observedGeneration": 1}}


def service(type_: str = "ClusterIP", *, port: int = 80, **status: Any) -> dict[str, Any]:
    return {"spec": {"type": type_, "clusterIP": "10.0.0.9", "ports": [{"port": port}]}, "status": status}


def given_out(*ingress: dict[str, Any]) -> dict[str, Any]:
    return {"loadBalancer": {"ingress": list(ingress)}}


def test_pods_that_are_ready_are_counted_and_those_that_leave_are_not() -> None:
    leaving = pod("c", deletionTimestamp="2026-01-01T00:00:00Z")
    found = fleet_observation(deployment(), service(), [pod("b"), pod("a"), leaving, pod("d", is_ready=False)])
    assert (found.replicas, found.ready, found.reason) == (2, ("a", "b"), "")


def test_without_a_deployment_nothing_is_known() -> None:
    assert fleet_observation(None, service(), [pod("a")]) == FleetObservation()


def test_what_keeps_a_pod_from_starting_is_said() -> None:
    scheduled = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}
    stuck = {"metadata": {"name": "a"}, "status": {"phase": "Pending", "conditions": [scheduled]}}
    found = fleet_observation(deployment(), None, [stuck, pod("b")])
    assert (found.reason, found.message) == ("Unschedulable", "0/3 nodes are available")


@pytest.mark.parametrize(
    ("found", "addresses"),
    [
        (service(), ("10.0.0.9",)),
        (service(port=8000), ("10.0.0.9:8000",)),
        (service("NodePort"), ("10.0.0.9",)),
        (service("LoadBalancer"), ()),
        (service("LoadBalancer", **given_out({"ip": "203.0.113.1"})), ("203.0.113.1",)),
        (service("LoadBalancer", **given_out({"hostname": "lb.test", "ip": "203.0.113.1"})), ("lb.test",)),
        (service("LoadBalancer", port=81, **given_out({"ip": "2001:db8::1"})), ("[2001:db8::1]:81",)),
        (service("LoadBalancer", loadBalancer={"ingress": None}), ()),
    ],
)
def test_addresses_are_where_clients_reach_it(found: Any, addresses: tuple[str, ...]) -> None:
    assert fleet_observation(deployment(), found, []).addresses == addresses


def verdict(observed: FleetObservation | None, *, here: Installation | None = PLACE) -> tuple[str, str, str]:
    fleets = {"blue": observed} if observed else {}
    waits = fleet_verdict(edge_proxy("blue"), World(installation=here, fleets=fleets)).waits_for
    return (waits.status, waits.reason, waits.message) if waits else ("True", "", "")


def test_a_fleet_is_ready_when_all_of_its_pods_are() -> None:
    assert verdict(FleetObservation(2, ("a", "b")))[0] == "True"
    assert verdict(FleetObservation(2, ("a",))) == ("Unknown", "Progressing", "1 of 2 proxies take requests")
    assert verdict(FleetObservation(2)) == ("Unknown", "Starting", "no proxy takes requests yet")
    assert verdict(None)[1] == "Starting"
    assert verdict(FleetObservation(2, ("a",), (), "Unschedulable", "why")) == ("False", "Unschedulable", "why")


def test_in_the_standalone_mode_no_fleet_but_the_one_edge_is_served() -> None:
    assert verdict(None, here=None)[:2] == ("False", "NotServed")
    waits = fleet_verdict(edge_proxy("default"), World()).waits_for
    assert waits is None


def test_a_version_that_was_refused_is_said_and_the_one_before_serves_on() -> None:
    proxy = edge_proxy("blue")
    refusal = Refusal(proxy.key, 2, "Invalid", "spec.replicas: bad")
    found = fleet_verdict(proxy, World(installation=PLACE, proxies=(proxy,), refusals={proxy.key: refusal}))
    assert found.generation == 2
    assert found.conditions[0].status == "False"
    assert "generation 1 keeps serving" in found.conditions[0].message
