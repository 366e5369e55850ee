"""When it is sent: make before break, gated by ACKs, bounded by GATE_S, never starved."""

from typing import Any

import pytest
from envoy.config.core.v3 import extension_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2

from edgerun.translate.plan import CLUSTER, ENDPOINTS, EXTENSION, LISTENER, ROUTES, SECRET, Resource, resource
from edgerun.xds.watch import CHUNK_BYTES, CHUNK_RESOURCES, GATE_S
from support.xds import Script, ack, assignment, cluster, listener, names, resources, route_table, served, subscription

A_MOMENT = 0.001
ALL_TYPES = (CLUSTER, ENDPOINTS, LISTENER, ROUTES)


def booted(*some: Resource, endpoints: tuple[str, ...] = ("a", "b")) -> Script:
    """A client that has everything, as Envoy boots."""
    script = Script(*some)
    for type_url, wanted in ((CLUSTER, ()), (ENDPOINTS, endpoints), (LISTENER, ()), (ROUTES, ("edge",))):
        script.settle(*script.subscribe(type_url, *wanted))
    return script


def kinds(responses: list[Any]) -> list[str]:
    """`+Cluster a,b` for updates, `-Cluster a` for removals."""
    found = []
    for one in responses:
        kind = one.type_url.rpartition(".")[2]
        sign, what = ("-", one.removed_resources) if one.removed_resources else ("+", names(one))
        found.append(f"{sign}{kind} {','.join(what)}")
    return found


def secret(name: str, text: str = "x") -> Resource:
    return resource(name, secret_pb2.Secret(name=name, generic_secret={"secret": {"inline_string": text}}))


def extension(name: str, config: str = "x") -> Resource:
    return resource(name, extension_pb2.TypedExtensionConfig(name=name, typed_config={"type_url": config}))


def test_a_move_to_another_cluster_goes_cluster_then_route_then_removal() -> None:
    script = booted(*served("a"))
    script.publish(*served("b"))
    made = script.hear()
    assert kinds(made) == ["+Cluster b", "+ClusterLoadAssignment b"]
    moved = script.ack(*made)
    assert kinds(moved) == ["+RouteConfiguration edge"]
    broken = script.ack(*moved)
    assert kinds(broken) == ["-Cluster a"]
    last = script.ack(*broken)
    assert kinds(last) == ["-ClusterLoadAssignment a"]
    assert script.ack(*last) == []


def test_routes_wait_for_the_ack_of_clusters_not_for_their_being_sent() -> None:
    script = booted(*served("a"))
    script.publish(*served("a", "b"))
    clusters, endpoints = script.hear()
    assert script.ack(endpoints) == []
    assert script.wait(GATE_S - A_MOMENT) == []
    assert kinds(script.ack(clusters)) == ["+RouteConfiguration edge"]


def test_routes_stop_waiting_for_a_cluster_that_warms_for_ever() -> None:
    script = booted(*served("a"))
    script.publish(*served("a", "b"))
    clusters, endpoints = script.hear()
    script.ack(endpoints)
    assert script.session.deadline() == pytest.approx(script.now + GATE_S)
    assert script.wait(GATE_S - A_MOMENT) == []
    late = script.wait(A_MOMENT)
    assert kinds(late) == ["+RouteConfiguration edge"]
    script.ack(*late)
    assert script.session.acked_serial == 1
    script.ack(clusters)
    assert script.session.acked_serial == 2, "a late ACK is still one"


def test_a_cluster_that_warms_for_ever_holds_a_later_change_of_routes_no_second_time() -> None:
    script = booted(*served("a"))
    script.publish(*served("a", "b"))
    script.hear()
    script.ack(*script.wait(GATE_S))
    script.publish(*served("a", "b")[:-1], route_table("edge", "b", "a"))
    assert kinds(script.hear()) == ["+RouteConfiguration edge"]


def test_a_client_that_answers_nothing_gets_everything_one_gate_after_the_other() -> None:
    script = Script(*served("a"))
    for type_url in ALL_TYPES[:-1]:
        script.say(_first(type_url))
    script.say(_first(ROUTES, "edge"))
    heard = kinds(script.hear())
    for _ in range(4):
        heard += kinds(script.wait(GATE_S))
    assert heard == [
        "+Cluster a",
        "+ClusterLoadAssignment a",
        "+Listener edge",
        "+RouteConfiguration edge",
    ]
    assert script.session.deadline() is None
    assert script.session.acked_serial == 0


def test_nothing_waits_for_a_type_that_the_client_never_subscribed_to() -> None:
    script = Script(*served("a"))
    (routes,) = script.subscribe(ROUTES, "edge")
    assert names(routes) == ["edge"]


def test_updates_go_out_in_the_order_clusters_endpoints_secrets_extensions_listeners_routes() -> None:
    def everything(version: int) -> tuple[Resource, ...]:
        return (
            route_table("edge", *["a"] * version),
            listener("edge", version),
            extension("e", str(version)),
            secret("s", str(version)),
            assignment("a", version),
            cluster("a", version),
        )

    script = booted(*everything(1), endpoints=("a",))
    script.ack(*script.subscribe(SECRET, "s"))
    script.ack(*script.subscribe(EXTENSION, "e"))
    script.publish(*everything(2))
    assert [one.type_url for one in script.settle()] == [CLUSTER, ENDPOINTS, SECRET, EXTENSION, LISTENER, ROUTES]


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ((cluster("a", 2),), "+RouteConfiguration edge"),
        ((assignment("a", 2),), "+RouteConfiguration edge"),
        ((secret("s", "2"),), "+RouteConfiguration edge"),
        ((extension("e", "2"),), "+RouteConfiguration edge"),
        ((listener("edge", 2),), "+RouteConfiguration edge"),
    ],
    ids=["clusters", "endpoints", "secrets", "extensions", "listeners"],
)
def test_routes_wait_for(earlier: tuple[Resource, ...], later: str) -> None:
    before = (*served("a"), secret("s"), extension("e"))
    script = booted(*before, endpoints=("a",))
    script.ack(*script.subscribe(SECRET, "s"))
    script.ack(*script.subscribe(EXTENSION, "e"))
    script.publish(*before, *earlier, route_table("edge", "a", "a"))
    first = script.hear()
    assert later not in kinds(first)
    assert kinds(script.ack(*first)) == [later]


def test_endpoints_and_secrets_do_not_wait_for_clusters_because_clusters_wait_for_them() -> None:
    script = booted(*served("a"))
    script.publish(*served("a", "b"), secret("s"))
    clusters, endpoints = script.hear()
    script.ack(endpoints)
    assert kinds(script.subscribe(SECRET, "s")) == ["+Secret s"]
    script.publish(*served("a", "b"), secret("s"), assignment("a", 7))
    assert kinds(script.hear()) == ["+ClusterLoadAssignment a"]
    assert kinds(script.ack(clusters)) == []


def test_an_updated_cluster_is_followed_by_its_unchanged_endpoints() -> None:
    script = booted(*served("a", "b"))
    script.publish(*served("a", "b"), cluster("a", 2))
    assert kinds(script.hear()) == ["+Cluster a", "+ClusterLoadAssignment a"]


def test_an_updated_cluster_is_followed_by_the_endpoints_that_it_names() -> None:
    script = booted(cluster("a", endpoints="eds"), assignment("eds"), endpoints=("eds",))
    script.publish(cluster("a", 2, endpoints="eds"), assignment("eds"))
    assert kinds(script.hear()) == ["+Cluster a", "+ClusterLoadAssignment eds"]


def test_an_updated_cluster_without_endpoints_is_followed_by_their_absence() -> None:
    script = booted(cluster("a"), assignment("b"))
    script.publish(cluster("a", 2), assignment("b"))
    assert kinds(script.hear()) == ["+Cluster a", "-ClusterLoadAssignment a"]


def test_a_cluster_waits_for_endpoints_in_flight_so_that_its_own_can_follow_at_once() -> None:
    script = booted(*served("a", "b"))
    script.publish(*served("a", "b"), assignment("b", 7))
    (endpoints,) = script.hear()
    script.publish(*served("a", "b"), assignment("b", 7), cluster("a", 2))
    assert script.hear() == []
    assert kinds(script.ack(endpoints)) == ["+Cluster a", "+ClusterLoadAssignment a"]


def test_endpoints_that_are_asked_for_are_sent_at_once_while_clusters_are_unanswered() -> None:
    script = Script(*served("a"))
    script.subscribe(CLUSTER)
    assert kinds(script.subscribe(ENDPOINTS, "a")) == ["+ClusterLoadAssignment a"]


def test_one_response_of_a_type_is_in_flight() -> None:
    script = booted(*served("a"))
    script.publish(*served("a"), cluster("b"))
    first = script.hear()
    assert CLUSTER in [one.type_url for one in first]
    script.publish(*served("a"), cluster("b"), cluster("c"))
    assert CLUSTER not in [one.type_url for one in script.hear()]
    assert "+Cluster c" in kinds(script.settle(*first))


def test_an_answer_that_is_overdue_does_not_block_its_type() -> None:
    script = booted(*served("a"))
    script.publish(*served("a"), listener("two", 2))
    script.hear()
    script.publish(*served("a"), listener("two", 2), listener("three", 3))
    assert script.hear() == []
    assert kinds(script.wait(GATE_S)) == ["+Listener three"]


def test_newer_snapshots_replace_what_was_not_sent() -> None:
    script = booted(*served("a"))
    script.publish(*served("a"), cluster("x"))
    (first, *_) = script.hear()
    for number in range(2, 6):
        script.publish(*served("a"), cluster("x", number))
    (last,) = [one for one in script.ack(first) if one.type_url == CLUSTER]
    assert last.resources[0].version == cluster("x", 5).version
    assert kinds(script.settle()) == []


def test_going_back_to_what_the_client_has_sends_nothing() -> None:
    script = booted(*served("a"))
    script.publish(*served("a"), cluster("x"))
    (first, *_) = script.hear()
    script.publish(*served("a"), cluster("x", 2))
    script.publish(*served("a"), cluster("x"))
    assert script.ack(first) == []


def test_a_stream_of_snapshots_starves_neither_routes_nor_removals() -> None:
    """Each change moves the route to a new cluster, and the next one comes before the last is answered."""
    script = booted(*served("c0"), endpoints=("c0",))
    held, pending, told = {"c0"}, list[Any](), list[str]()
    for number in range(1, 60):
        script.publish(*served(f"c{number}"))
        for response in pending:
            script.say(ack(response))
            _apply(held, response)
        pending = script.hear()
        told += kinds(pending)
        for response in pending:
            if response.type_url == ROUTES:
                assert _target(response) in held, "a route to a cluster that is not there"
    assert told.count("+RouteConfiguration edge") >= 10
    assert len(held) < 20, "removals starve"
    assert script.now == 100.0, "no gate had to lapse for it"


def test_endpoints_of_a_cluster_on_its_way_are_sent_although_a_newer_snapshot_has_neither() -> None:
    """Denied, they would leave the cluster warm and empty, and routes about to lead to it."""
    script = booted(*served("a"), endpoints=("a",))
    script.publish(*served("b"))
    (made,) = script.hear()
    script.publish(*served("c"))
    assert script.hear() == []
    (lent,) = script.subscribe(ENDPOINTS, "b")
    assert kinds([made, lent]) == ["+Cluster b", "+ClusterLoadAssignment b"]
    moved = script.ack(made, lent)
    assert kinds(moved) == ["+Cluster c", "+RouteConfiguration edge"]
    rest = kinds(script.settle(*moved))[2:]
    assert rest == ["-Cluster a", "+RouteConfiguration edge", "-Cluster b", "-ClusterLoadAssignment a,b"]


def test_removals_wait_until_no_type_is_at_a_snapshot_that_knows_the_resource() -> None:
    script = booted(*served("a"))
    script.publish(*served("b"))
    made = script.hear()
    script.publish(*served("a", "b"))  # a is wanted again
    heard = script.settle(*made)
    assert not [one for one in kinds(heard) if one.startswith("-")]


def test_removals_come_in_the_order_listeners_routes_clusters_endpoints() -> None:
    script = booted(*served("a"))
    script.settle(*script.subscribe(ROUTES, "edge"))
    script.publish(cluster("b"), assignment("b"))
    told = [one for one in kinds(script.settle()) if one.startswith("-")]
    assert told == ["-Listener edge", "-RouteConfiguration edge", "-Cluster a", "-ClusterLoadAssignment a"]


def test_the_next_removal_waits_for_the_ack_of_the_last_or_its_gate() -> None:
    script = booted(*served("a"))
    script.publish(cluster("b"), assignment("b"))
    script.ack(*script.hear())
    assert kinds(script.hear()) == []
    script.publish(cluster("b"), assignment("b"))
    assert kinds(script.wait(GATE_S - A_MOMENT)) == []
    assert kinds(script.wait(A_MOMENT)) == ["-RouteConfiguration edge"]


def test_removals_follow_when_the_gate_of_the_last_update_has_lapsed() -> None:
    script = booted(*served("a"))
    script.publish(*served("b"))
    script.ack(*script.hear())  # the routes go out, and are never answered
    assert kinds(script.wait(GATE_S)) == ["-Cluster a"]


def test_removals_need_no_gate_when_nothing_else_changes() -> None:
    script = booted(*served("a"), cluster("b"))
    script.publish(*served("a"))
    assert kinds(script.hear()) == ["-Cluster b"]


def test_a_resource_that_returns_after_its_removal_is_sent_again() -> None:
    script = booted(*served("a"), cluster("b"))
    script.publish(*served("a"))
    removal = script.hear()
    script.publish(*served("a"), cluster("b"))
    assert script.hear() == []
    assert "+Cluster b" in kinds(script.settle(*removal))


def test_updates_and_removals_of_one_change_never_travel_together() -> None:
    script = booted(*served("a", "b"))
    script.publish(*served("b", "c"), cluster("b", 2))
    heard = script.settle()
    assert heard
    assert not [one for one in heard if one.resources and one.removed_resources]


def test_endpoints_of_a_removed_cluster_are_forgotten_with_its_subscription() -> None:
    script = booted(*served("a", "b"))
    script.publish(*served("a"))
    routes = script.hear()
    clusters = script.ack(*routes)
    assert kinds(clusters) == ["-Cluster b"]
    assert script.subscribe(ENDPOINTS, drop=["b"]) == []
    assert script.ack(*clusters) == []
    script.publish(*served("a", "b"))
    made = script.hear()
    assert kinds(made) == ["+Cluster b"]
    assert kinds(script.subscribe(ENDPOINTS, "b")) == ["+ClusterLoadAssignment b"]


def test_many_clusters_go_in_chunks_each_after_the_ack_of_the_last() -> None:
    count = 2 * CHUNK_RESOURCES + 1
    script = Script(*(cluster(f"c{number}") for number in range(count)))
    sizes, heard = [], script.subscribe(CLUSTER)
    while heard:
        (chunk,) = heard
        sizes.append(len(chunk.resources))
        assert script.hear() == []
        heard = script.ack(chunk)
    assert sizes == [CHUNK_RESOURCES, CHUNK_RESOURCES, 1]


def test_big_resources_go_in_chunks_by_size() -> None:
    big = [route_table(f"r{number}", "x" * (CHUNK_BYTES // 3)) for number in range(4)]
    huge = route_table("r4", "x" * (3 * CHUNK_BYTES))
    script = Script(*big, huge)
    script.subscribe(ROUTES, *(f"r{number}" for number in range(5)))
    script.say(_first(ROUTES, "r0"))
    chunks = [names(one) for one in Script(*big, huge).subscribe(ROUTES, "*")]
    assert chunks == [["r0", "r1"]]
    script = Script(*big, huge)
    script.say(_first(ROUTES, "*"))
    assert [names(one) for one in script.settle()] == [["r0", "r1"], ["r2", "r3"], ["r4"]]


def test_a_goal_of_many_chunks_is_finished_although_each_snapshot_changes_all_of_it() -> None:
    def many(number: int) -> list[Resource]:
        return [cluster(f"c{one}", number) for one in range(CHUNK_RESOURCES + 1)]

    script = booted(*served("a"))
    told: list[str] = []
    for number in range(1, 10):
        script.publish(*served("a")[:-1], *many(number), route_table("edge", "a", f"c{number}"))
        heard = script.hear()
        told += [one.type_url for one in heard]
        for one in heard:
            script.say(ack(one))
    assert told.count(ROUTES) >= 3


class TestAcknowledged:
    def test_counts_when_every_update_is_taken(self) -> None:
        script = booted(*served("a"))
        assert script.session.acked_serial == 1
        script.publish(*served("b"))
        made = script.hear()
        assert script.session.acked_serial == 1
        moved = script.ack(*made)
        assert script.session.acked_serial == 1
        script.ack(*moved)
        assert script.session.acked_serial == 2, "removals need not be done"

    def test_counts_at_once_when_nothing_changed(self) -> None:
        script = booted(*served("a"))
        script.publish(*served("a"))
        assert script.hear() == []
        assert script.session.acked_serial == 2

    def test_does_not_count_while_the_client_boots(self) -> None:
        script = Script(*served("a"))
        for type_url, wanted in ((CLUSTER, ()), (ENDPOINTS, ("a",)), (LISTENER, ())):
            script.settle(*script.subscribe(type_url, *wanted))
            assert script.session.acked_serial == 0
        script.ack(*script.subscribe(ROUTES, "edge"))
        assert script.session.acked_serial == 1

    def test_needs_no_routes_when_there_are_none(self) -> None:
        script = Script(cluster("a"))
        script.settle(*script.subscribe(CLUSTER))
        script.ack(*script.subscribe(LISTENER))
        assert script.session.acked_serial == 1

    def test_counts_at_once_after_a_reconnect_with_everything(self) -> None:
        everything = served("a")
        held = {
            kind: {one.name: one.version for one in found.values()} for kind, found in resources(*everything).items()
        }
        script = Script(*everything)
        script.subscribe(CLUSTER, held=held[CLUSTER])
        script.subscribe(ENDPOINTS, "a", held=held[ENDPOINTS])
        script.subscribe(LISTENER, held=held[LISTENER])
        script.subscribe(ROUTES, "edge", held=held[ROUTES])
        assert script.session.acked_serial == 1

    def test_never_goes_back(self) -> None:
        script = booted(*served("a"))
        script.subscribe(ENDPOINTS, "a")
        assert script.session.acked_serial == 1

    def test_moves_on_under_a_stream_of_snapshots(self) -> None:
        script = booted(*served("c0"), endpoints=("c0",))
        pending: list[Any] = []
        for number in range(1, 40):
            serial = script.publish(*served(f"c{number}"))
            for response in pending:
                script.say(ack(response))
            pending = script.hear()
        assert script.session.acked_serial > serial - 15

    def test_a_stale_ack_opens_no_gate(self) -> None:
        script = booted(*served("a"))
        script.publish(*served("a", "b"))
        clusters, endpoints = script.hear()
        clusters.nonce, endpoints.nonce = "other", "older"
        assert script.ack(clusters, endpoints) == []
        assert script.session.acked_serial == 1


def _first(type_url: str, *wanted: str) -> Any:
    return subscription(type_url, *wanted, *(["a"] if type_url == ENDPOINTS else []))


def _apply(held: set[str], response: Any) -> None:
    if response.type_url == CLUSTER:
        held.update(names(response))
        held.difference_update(response.removed_resources)


def _target(response: Any) -> str:
    table = route_pb2.RouteConfiguration.FromString(response.resources[0].resource.value)
    return str(table.virtual_hosts[0].routes[-1].route.cluster)
