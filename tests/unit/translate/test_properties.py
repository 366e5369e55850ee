"""What holds for every World: order does not matter, nothing dangles, names do not depend on positions."""

from typing import Any

import msgspec
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.route.v3 import route_pb2
from hypothesis import given
from hypothesis import strategies as st

from edgerun.api.edgeroute import EdgeRoute
from edgerun.translate.matches import identity
from edgerun.translate.names import MISSING_CLUSTER
from edgerun.translate.plan import CLUSTER, ENDPOINTS, ROUTES, Plan
from edgerun.translate.translator import translate
from edgerun.translate.world import World
from support.objects import edge_route, origin_service, ready, world

NAMES = st.sampled_from(["a", "b", "c", "d"])
HOSTS = st.sampled_from(["x.com", "a.x.com", "b.a.x.com", "*.x.com", "*.a.x.com"])
PATHS = st.sampled_from(["/", "/a", "/a/", "/a/b", "/b"])
NAMED = st.fixed_dictionaries({"name": st.sampled_from(["h", "H", "i"]), "value": st.sampled_from(["1", "2"])})
NAMES_ONCE = st.lists(NAMED, max_size=2, unique_by=lambda match: match["name"].lower())
MATCHES = st.fixed_dictionaries(
    {"path": st.fixed_dictionaries({"type": st.sampled_from(["Exact", "PathPrefix"]), "value": PATHS})},
    optional={
        "method": st.sampled_from(["GET", "POST"]),
        "headers": NAMES_ONCE,
        "queryParams": NAMES_ONCE,
    },
)
ORIGINS = st.one_of(
    st.fixed_dictionaries({"service": st.fixed_dictionaries({"name": NAMES}), "weight": st.integers(0, 3)}),
    st.fixed_dictionaries({"url": st.sampled_from(["http://10.0.0.1", "https://l.net"]), "weight": st.integers(1, 3)}),
)
ANSWERS = st.one_of(
    st.fixed_dictionaries({"origins": st.lists(ORIGINS, min_size=1, max_size=3)}),
    st.just({"respond": {"status": 204}}),
    st.just({"redirect": {"scheme": "https"}}),
)
SOME_MATCHES = st.lists(MATCHES, min_size=1, max_size=3)
RULES = st.builds(lambda matches, answer: {"matches": matches} | answer, SOME_MATCHES, ANSWERS)
TIMES = st.sampled_from(["", "2026-01-01T00:00:00Z"])
SPECS = st.fixed_dictionaries(
    {"rules": st.lists(RULES, min_size=1, max_size=4), "hostnames": st.lists(HOSTS, unique=True, max_size=3)}
)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    keys = st.tuples(NAMES, st.sampled_from(["shop", "team"]))
    routes = [
        edge_route(name, namespace=namespace, created=draw(TIMES), **draw(SPECS))
        for name, namespace in draw(st.lists(keys, unique=True, max_size=4))
    ]
    services = [origin_service(name, namespace=place) for name, place in draw(st.lists(keys, unique=True, max_size=4))]
    observed = {service.key: ready() for service in services if draw(st.booleans())}
    return world(*routes, *services, observations=observed)


def route_configuration(plan: Plan) -> Any:
    (resource,) = plan.fleets["default"][ROUTES].values()
    return route_pb2.RouteConfiguration.FromString(resource.body)


def routed(plan: Plan) -> list[Any]:
    return [route for host in route_configuration(plan).virtual_hosts for route in host.routes]


def clusters_named(plan: Plan) -> set[str]:
    actions = [route.route for route in routed(plan) if route.HasField("route")]
    split = {part.name for action in actions for part in action.weighted_clusters.clusters}
    return ({action.cluster for action in actions} | split) - {"", MISSING_CLUSTER}


@given(worlds(), st.randoms(use_true_random=False))
def test_the_order_of_objects_does_not_matter(found: World, random: Any) -> None:
    routes, origins = list(found.routes), list(found.origins)
    random.shuffle(routes)
    random.shuffle(origins)
    shuffled = World(routes=tuple(routes), origins=tuple(origins), observations=found.observations)
    assert translate(shuffled) == translate(found)


@given(worlds())
def test_every_cluster_that_a_route_names_is_delivered(found: World) -> None:
    plan = translate(found)
    assert clusters_named(plan) <= plan.fleets["default"][CLUSTER].keys()


@given(worlds())
def test_every_eds_cluster_has_its_endpoints_and_no_endpoints_lack_a_cluster(found: World) -> None:
    plan = translate(found)
    clusters = [cluster_pb2.Cluster.FromString(item.body) for item in plan.fleets["default"][CLUSTER].values()]
    assignments = [
        endpoint_pb2.ClusterLoadAssignment.FromString(item.body) for item in plan.fleets["default"][ENDPOINTS].values()
    ]
    discovered = {cluster.name for cluster in clusters if cluster.type == cluster_pb2.Cluster.EDS}
    assert discovered == {assignment.cluster_name for assignment in assignments}


@given(worlds(), st.randoms(use_true_random=False))
def test_reordering_rules_renames_no_cluster(found: World, random: Any) -> None:
    def reordered(route: EdgeRoute) -> EdgeRoute:
        rules = list(route.spec.rules)
        random.shuffle(rules)
        spec = msgspec.structs.replace(route.spec, rules=tuple(rules))
        return msgspec.structs.replace(route, spec=spec)

    moved = World(
        routes=tuple(reordered(route) for route in found.routes),
        origins=found.origins,
        observations=found.observations,
    )
    assert translate(moved).fleets["default"][CLUSTER] == translate(found).fleets["default"][CLUSTER]


@given(worlds())
def test_no_domain_is_named_twice_and_no_match_is_dead(found: World) -> None:
    hosts = route_configuration(translate(found)).virtual_hosts
    domains = [domain for host in hosts for domain in host.domains]
    assert len(domains) == len(set(domains))
    for host in hosts:
        matches = [route.match.SerializeToString(deterministic=True) for route in host.routes]
        assert len(matches) == len(set(matches))


@given(worlds())
def test_a_match_that_is_reported_as_shadowed_loses_to_an_equal_one(found: World) -> None:
    verdicts = translate(found).verdicts.items()
    said = {key for key, verdict in verdicts if any(part.type == "Shadowed" for part in verdict.conditions)}
    lost = set()
    for hostname in {name for route in found.routes for name in route.spec.hostnames or ("*",)}:
        winners: dict[Any, Any] = {}
        for route in sorted(found.routes, key=lambda route: (route.metadata.creation_timestamp, route.key[1:])):
            if hostname in (route.spec.hostnames or ("*",)):
                matches = {identity(match) for rule in route.spec.rules for match in rule.matches}
                lost |= {route.key for match in matches if winners.setdefault(match, route.key) != route.key}
    assert lost <= said


@given(worlds())
def test_the_listener_is_the_same_whatever_the_objects_are(found: World) -> None:
    listener = "type.googleapis.com/envoy.config.listener.v3.Listener"
    assert translate(found).fleets["default"][listener] == translate(World()).fleets["default"][listener]
