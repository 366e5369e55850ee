"""NACKs: the last good version stays, nothing is repeated in a loop, and the innocent do not suffer with the guilty."""

from typing import Any

from edgerun.translate.plan import CLUSTER, ENDPOINTS, LISTENER, ROUTES, Resource
from edgerun.xds.nacks import MESSAGE_CHARS, accused, trimmed
from edgerun.xds.watch import GATE_S
from support.xds import Script, assignment, cluster, listener, nack, names, route_table, served, subscription

BAD_CLUSTER = (
    "Error adding/updating cluster(s) b: Proto constraint validation failed (ClusterValidationError.X): name: b"
)


def booted(*some: Resource) -> Script:
    script = Script(*some)
    for type_url, wanted in ((CLUSTER, ()), (ENDPOINTS, ("a",)), (LISTENER, ()), (ROUTES, ("edge",))):
        script.settle(*script.subscribe(type_url, *wanted))
    return script


def refuse(script: Script, *some: Resource, text: str = "bad") -> list[Any]:
    """Publish, and refuse all that comes of a type other than endpoints."""
    script.publish(*some)
    heard = script.hear()
    return [news for one in heard for news in script.nack(one, text)]


def test_a_refused_resource_is_not_sent_again() -> None:
    script = booted(*served("a"))
    assert refuse(script, *served("a")[:-1], route_table("edge", "a", "x")) == []
    assert script.wait(60) == []
    assert script.session.deadline() is None


def test_a_refused_resource_is_not_sent_again_because_something_else_changed() -> None:
    script = booted(*served("a"))
    bad = route_table("edge", "a", "x")
    refuse(script, *served("a")[:-1], bad)
    script.wait(60)
    script.publish(*served("a")[:-1], bad, assignment("a", 9))
    assert [one.type_url for one in script.settle()] == [ENDPOINTS]


def test_other_content_is_sent_at_once() -> None:
    script = booted(*served("a"))
    refuse(script, *served("a")[:-1], route_table("edge", "a", "x"))
    script.publish(*served("a")[:-1], route_table("edge", "a", "y"))
    (corrected,) = script.hear()
    script.ack(corrected)
    assert script.session.acked_serial == 3


def test_the_last_good_content_is_sent_again_for_nobody_knows_what_the_client_has() -> None:
    script = booted(*served("a"))
    refuse(script, *served("a")[:-1], route_table("edge", "a", "x"))
    script.publish(*served("a"))
    assert [names(one) for one in script.settle()] == [["edge"]]
    assert script.session.acked_serial == 3


def test_a_new_stream_is_asked_once_more() -> None:
    bad = route_table("edge", "a", "x")
    first = booted(*served("a"))
    refuse(first, *served("a")[:-1], bad)
    second = Script(*served("a")[:-1], bad)
    (answer,) = second.subscribe(ROUTES, "edge", held={"edge": route_table("edge", "a").version})
    assert answer.resources[0].version == bad.version


def test_the_refusal_is_told_with_its_names_words_and_serial() -> None:
    script = booted(*served("a"))
    refuse(script, *served("a")[:-1], route_table("edge", "a", "x"), text="missing ):")
    (said,) = script.said
    assert (said.type_url, said.names, said.message, said.serial) == (ROUTES, ("edge",), "missing ):", 2)


def test_a_serial_with_a_refused_resource_is_not_acknowledged_until_it_is_mended() -> None:
    script = booted(*served("a"))
    bad = route_table("edge", "a", "x")
    refuse(script, *served("a")[:-1], bad)
    script.publish(*served("a")[:-1], bad, assignment("a", 9))
    script.settle()
    script.wait(60)
    assert script.session.acked_serial == 1
    script.publish(*served("a"))
    script.settle()
    assert script.session.acked_serial == 4


def test_the_named_cluster_alone_is_to_blame_and_the_rest_is_sent_again_without_it() -> None:
    script = booted(*served("a"))
    script.publish(*served("a"), cluster("b"), cluster("c"))
    (response, *_) = [one for one in script.hear() if one.type_url == CLUSTER]
    assert names(response) == ["b", "c"]
    again = script.nack(response, BAD_CLUSTER)
    assert [names(one) for one in again if one.type_url == CLUSTER] == [["c"]]
    assert script.said[0].names == ("b",)
    assert [one for one in script.settle() if one.type_url == CLUSTER] == []


def test_the_innocent_of_a_refused_response_are_held_to_be_unknown() -> None:
    """Envoy names no version of them when it reconnects, although it took them."""
    script = booted(*served("a"))
    script.publish(*served("a"), cluster("b"), cluster("c"))
    (response, *_) = [one for one in script.hear() if one.type_url == CLUSTER]
    script.say(nack(response, BAD_CLUSTER))
    script.publish(*served("a"))
    removed = [name for one in script.settle() for name in one.removed_resources if one.type_url == CLUSTER]
    assert removed == ["b", "c"]


def test_the_innocent_take_no_blame_for_what_is_gone_when_the_refusal_comes() -> None:
    script = booted(*served("a"))
    script.publish(*served("a"), cluster("b"), cluster("c"))
    (response, *_) = [one for one in script.hear() if one.type_url == CLUSTER]
    script.wait(GATE_S)
    script.publish(*served("a"), cluster("c"))
    removed = [name for one in script.settle() for name in one.removed_resources]
    again = script.nack(response, BAD_CLUSTER)
    assert (removed, [names(one) for one in again]) == (["b"], [["c"]])
    script.settle(*again)
    assert script.said[0].names == ()
    assert script.session.acked_serial == 3


def test_the_one_bad_resource_among_many_is_found_by_halving() -> None:
    tables = {f"r{number}": route_table(f"r{number}", "a") for number in range(16)}
    script = Script(cluster("a"), *tables.values())
    heard = script.subscribe(ROUTES, *tables)
    taken: set[str] = set()
    told = 0
    while heard:
        (response,) = heard
        told += 1
        if "r5" in names(response):
            heard = script.nack(response, "no name is named")
        else:
            taken.update(names(response))
            heard = script.ack(response)
    assert taken == set(tables) - {"r5"}
    assert [said.names for said in script.said if said.names] == [("r5",)]
    assert told <= 10


def test_a_client_that_refuses_everything_is_not_asked_for_ever() -> None:
    script = Script(*(route_table(f"r{number}", "a") for number in range(16)))
    script.say(subscription(ROUTES, *(f"r{number}" for number in range(16))))
    told = 0
    while heard := script.hear():
        told += len(heard)
        for response in heard:
            script.say(nack(response, "no"))
    assert told <= 2 * 16 - 1
    assert sorted(name for said in script.said for name in said.names) == sorted(f"r{n}" for n in range(16))
    assert script.wait(60) == []


def test_a_bad_resource_of_a_type_holds_no_good_one_of_it() -> None:
    script = booted(*served("a"))
    script.publish(*served("a"), cluster("b", 1))
    script.nack(*[one for one in script.hear() if one.type_url == CLUSTER], BAD_CLUSTER)
    script.publish(*served("a"), cluster("b", 1), cluster("c"))
    script.settle()
    script.publish(*served("a"), cluster("b", 1), cluster("c", 2))
    assert [names(one) for one in script.settle() if one.type_url == CLUSTER] == [["c"]]


def test_routes_wait_after_refused_clusters_for_a_correction_but_not_for_ever() -> None:
    script = booted(*served("a"))
    script.publish(*served("b"))
    clusters, *rest = script.hear()
    script.ack(*rest)
    assert script.nack(clusters, "bad") == []
    assert script.wait(GATE_S - 0.001) == []
    assert [one.type_url for one in script.wait(0.001)] == [ROUTES]


def test_routes_follow_a_correction_at_once() -> None:
    script = booted(*served("a"))
    script.publish(*served("b"))
    clusters, *rest = script.hear()
    script.ack(*rest)
    script.nack(clusters, "bad")
    script.publish(*served("b"), cluster("b", 2))
    heard = script.settle()
    assert [one.type_url for one in heard if one.resources] == [CLUSTER, ROUTES]
    assert script.session.acked_serial == 3


def test_a_refusal_that_is_old_holds_no_later_change() -> None:
    script = booted(*served("a"))
    bad = cluster("b")
    script.publish(*served("a"), bad)
    script.nack(script.hear()[0], BAD_CLUSTER)
    script.settle()
    script.wait(GATE_S)
    script.publish(*served("a")[:-1], bad, route_table("edge", "a", "a"))
    assert [one.type_url for one in script.hear()] == [ROUTES]


def test_what_refused_routes_may_still_need_is_not_removed() -> None:
    script = booted(*served("a"))
    script.publish(*served("b"))
    (routes,) = script.ack(*script.hear())
    assert script.nack(routes, "bad") == []
    assert script.wait(60) == [], "the last good routes lead to the old cluster"
    script.publish(*served("b")[:-1], route_table("edge", "b", "b"))
    told = [(one.type_url, list(one.removed_resources)) for one in script.settle()]
    assert told == [(ROUTES, []), (CLUSTER, ["a"]), (ENDPOINTS, ["a"])]


def test_a_refused_removal_is_not_repeated() -> None:
    script = booted(*served("a"), cluster("b"))
    script.publish(*served("a"))
    (removal,) = script.hear()
    assert script.nack(removal, "no") == []
    assert script.wait(60) == []
    assert script.said[0].names == ()


def test_a_stale_nack_is_not_one() -> None:
    script = booted(*served("a"))
    script.publish(*served("a"), cluster("b"))
    response, *_ = script.hear()
    nonce, response.nonce = response.nonce, "other"
    script.nack(response, BAD_CLUSTER)
    assert script.said == []
    response.nonce = nonce
    script.ack(response)
    script.settle()
    assert script.session.acked_serial == 2


def test_a_late_nack_of_a_response_that_was_given_up_still_counts() -> None:
    script = booted(*served("a"))
    script.publish(*served("a"), cluster("b"))
    response, *_ = script.hear()
    script.wait(GATE_S)
    script.nack(response, BAD_CLUSTER)
    script.settle()
    assert script.said[0].names == ("b",)
    assert script.session.acked_serial == 1


def test_a_late_nack_of_content_that_is_not_wanted_any_more_holds_nothing_back() -> None:
    script = booted(*served("a"))
    script.publish(*served("a"), cluster("b"))
    response, *_ = script.hear()
    script.publish(*served("a"), cluster("b"), assignment("a", 9))
    endpoints = script.wait(GATE_S - 0.001)
    script.publish(*served("a"), cluster("b", 2), assignment("a", 9))
    assert script.wait(0.001) == [], "the cluster waits for the endpoints that are in flight"
    assert script.nack(response, BAD_CLUSTER) == []
    script.settle(*endpoints)
    assert script.session.acked_serial == 4


def test_a_late_nack_of_content_that_was_replaced_since_changes_nothing() -> None:
    script = booted(*served("a"))
    script.publish(*served("a"), cluster("b"))
    response, *_ = script.hear()
    script.publish(*served("a"), cluster("b", 2))
    newer = script.wait(GATE_S)
    assert script.nack(response, BAD_CLUSTER) == []
    script.ack(*newer)
    script.settle()
    assert script.session.acked_serial == 3


def test_a_refused_name_that_is_subscribed_again_gets_its_answer() -> None:
    script = Script(assignment("a"))
    (first,) = script.subscribe(ENDPOINTS, "a")
    assert script.nack(first, "no") == []
    assert [names(one) for one in script.subscribe(ENDPOINTS, "a")] == [["a"]]


def test_a_nack_may_carry_a_subscription() -> None:
    script = Script(assignment("a"), assignment("b"))
    (first,) = script.subscribe(ENDPOINTS, "a")
    request = nack(first, "no")
    request.resource_names_subscribe.append("b")
    script.say(request)
    assert names(script.hear_one()) == ["b"]


class TestWords:
    def test_envoy_names_the_clusters_it_refuses(self) -> None:
        text = "Error adding/updating cluster(s) a: duplicate, b.c: Proto constraint validation failed (X): name: d"
        assert accused(["a", "b", "b.c", "d", "e"], text) == ("a", "b.c")

    def test_envoy_names_the_listeners_it_refuses(self) -> None:
        assert accused(["edge", "a"], "Error adding/updating listener(s) edge: no such filter\n") == ("edge",)

    def test_other_words_accuse_nobody(self) -> None:
        assert accused(["edge", "a"], "Only a single wildcard domain is permitted in route edge") == ()

    def test_a_dump_of_the_resource_is_cut_off(self) -> None:
        text = (
            "Error adding/updating listener(s) edge: Proto constraint validation failed"
            ' (ListenerValidationError.Address: value is required): name: "edge"\nfilter_chains {\n'
            + "  filters {}\n"
            * 1000
        )
        assert trimmed(text) == (
            "Error adding/updating listener(s) edge: Proto constraint validation failed"
            " (ListenerValidationError.Address: value is required)"
        )

    def test_a_dump_before_the_sentence_is_cut_off_too(self) -> None:
        text = (
            'goo.gle/debugstr    \nname: "bad"\ntype: EDS\nconnect_timeout {\n}\n'
            ": Proto constraint validation failed (ClusterValidationError.ConnectTimeout: value must be more)"
        )
        assert trimmed(text) == (
            "Proto constraint validation failed (ClusterValidationError.ConnectTimeout: value must be more)"
        )

    def test_long_words_are_cut(self) -> None:
        assert len(trimmed("x " * 5000)) <= MESSAGE_CHARS

    def test_short_words_stay(self) -> None:
        assert trimmed("unknown cluster 'x'") == "unknown cluster 'x'"

    def test_the_reported_words_are_trimmed(self) -> None:
        script = Script(listener("edge"))
        (response,) = script.subscribe(LISTENER)
        script.nack(response, "x " * 5000)
        assert len(script.said[0].message) <= MESSAGE_CHARS
