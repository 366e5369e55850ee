"""Who gets what: wildcards, names, reconnects. The rules are those of Envoy's xDS protocol document, delta variant."""

from collections.abc import Iterable
from typing import Any

import pytest

from edgerun.translate.plan import CLUSTER, ENDPOINTS, LISTENER, ROUTES, Resource
from edgerun.xds.watch import GATE_S
from support.xds import Script, assignment, cluster, listener, names, route_table, served, subscription, versions

UNHEARD_OF = "type.googleapis.com/example.Unheard"


def held(*some: Resource) -> dict[str, str]:
    return {one.name: one.version for one in some}


def removed(responses: Iterable[Any]) -> list[str]:
    return [name for one in responses for name in one.removed_resources]


def test_a_first_request_without_names_gets_everything() -> None:
    script = Script(cluster("a"), cluster("b"))
    (answer,) = script.subscribe(CLUSTER)
    assert (answer.type_url, names(answer)) == (CLUSTER, ["a", "b"])


def test_a_resource_travels_whole_and_under_its_hash() -> None:
    a = cluster("a")
    (answer,) = Script(a).subscribe(CLUSTER)
    (sent,) = answer.resources
    assert (sent.name, sent.version, sent.resource.type_url, sent.resource.value) == ("a", a.version, CLUSTER, a.body)


def test_the_first_wildcard_request_is_answered_even_when_there_is_nothing() -> None:
    script = Script(cluster("a"))
    (answer,) = script.subscribe(LISTENER)
    assert (answer.type_url, names(answer), list(answer.removed_resources)) == (LISTENER, [], [])
    assert script.ack(answer) == []


def test_nothing_is_said_before_the_first_snapshot() -> None:
    script = Script()
    assert script.subscribe(CLUSTER) == []
    assert script.subscribe(ENDPOINTS, "x") == []
    assert script.wait(60) == []
    assert script.session.deadline() is None
    script.publish(cluster("a"))
    denied, sent = script.settle()
    assert (denied.type_url, removed([denied])) == (ENDPOINTS, ["x"])
    assert (sent.type_url, names(sent)) == (CLUSTER, ["a"])


def test_an_unheard_of_type_is_an_empty_set() -> None:
    script = Script(cluster("a"))
    (everything,) = script.subscribe(UNHEARD_OF)
    assert (names(everything), removed([everything])) == ([], [])
    (named,) = script.subscribe("type.googleapis.com/example.Other", "x")
    assert removed([named]) == ["x"]


def test_a_type_that_is_not_subscribed_to_is_not_sent() -> None:
    script = Script(*served("a"))
    script.subscribe(CLUSTER)
    assert {one.type_url for one in script.settle()} <= {CLUSTER}


def test_names_after_a_wildcard_without_words_keep_the_wildcard() -> None:
    script = Script(cluster("a"))
    script.ack(*script.subscribe(CLUSTER))
    script.ack(*script.subscribe(CLUSTER, "on-demand"))
    script.publish(cluster("a"), cluster("b"))
    assert names(script.hear_one()) == ["b"]


def test_a_wildcard_by_its_name_does_not_send_again_what_the_one_without_words_did() -> None:
    script = Script(cluster("a"))
    script.ack(*script.subscribe(CLUSTER))
    (answer,) = script.subscribe(CLUSTER, "*", "on-demand")
    assert (names(answer), removed([answer])) == ([], ["on-demand"])
    assert script.ack(answer) == []


def test_names_first_are_no_wildcard() -> None:
    script = Script(cluster("a"), cluster("b"))
    (answer,) = script.subscribe(CLUSTER, "a")
    assert names(answer) == ["a"]
    script.ack(answer)
    script.publish(cluster("a"), cluster("b", 2), cluster("c"))
    assert script.hear() == []


def test_an_explicit_wildcard_can_be_joined_later() -> None:
    script = Script(cluster("a"), cluster("b"))
    script.ack(*script.subscribe(CLUSTER, "a"))
    (answer,) = script.subscribe(CLUSTER, "*")
    assert names(answer) == ["b"]


def test_an_explicit_wildcard_that_brings_nothing_new_is_answered_too() -> None:
    script = Script(cluster("a"))
    script.ack(*script.subscribe(CLUSTER, "a"))
    (answer,) = script.subscribe(CLUSTER, "*")
    assert names(answer) == []


def test_leaving_the_wildcard_keeps_the_names() -> None:
    script = Script(cluster("a"), cluster("b"))
    script.ack(*script.subscribe(CLUSTER, "*", "a"))
    assert script.subscribe(CLUSTER, drop=["*"]) == []
    script.publish(cluster("a", 2), cluster("b", 2))
    assert names(script.hear_one()) == ["a"]


def test_leaving_the_wildcard_without_words_ends_it_too() -> None:
    script = Script(cluster("a"))
    script.ack(*script.subscribe(CLUSTER))
    assert script.subscribe(CLUSTER, drop=["*"]) == []
    script.publish(cluster("a", 2))
    assert script.hear() == []


def test_what_a_lost_wildcard_brought_is_sent_again_when_it_returns() -> None:
    script = Script(cluster("a"))
    script.ack(*script.subscribe(CLUSTER, "*"))
    script.subscribe(CLUSTER, drop=["*"])
    (answer,) = script.subscribe(CLUSTER, "*")
    assert names(answer) == ["a"]


def test_a_request_without_names_that_is_not_the_first_is_no_wildcard() -> None:
    script = Script(cluster("a"), cluster("b"))
    script.ack(*script.subscribe(CLUSTER, "a"))
    assert script.subscribe(CLUSTER) == []


def test_a_name_that_is_subscribed_again_is_sent_again() -> None:
    script = Script(assignment("a"), assignment("b"))
    script.ack(*script.subscribe(ENDPOINTS, "a", "b"))
    (answer,) = script.subscribe(ENDPOINTS, "a")
    assert names(answer) == ["a"]


def test_a_missing_name_that_is_subscribed_again_is_answered_again() -> None:
    script = Script(assignment("a"))
    for _ in range(2):
        answers = script.subscribe(ENDPOINTS, "x")
        assert removed(answers) == ["x"]
        script.ack(*answers)


def test_an_unknown_name_is_answered_at_once_and_sent_when_it_springs_into_existence() -> None:
    script = Script(assignment("a"))
    (answer,) = script.subscribe(ENDPOINTS, "a", "late")
    assert (names(answer), removed([answer])) == ([], ["late"])
    (rest,) = script.ack(answer)
    assert names(rest) == ["a"]
    assert script.ack(rest) == []
    script.publish(assignment("a"), assignment("late"))
    assert names(script.hear_one()) == ["late"]


def test_an_unknown_name_is_not_said_twice() -> None:
    script = Script(assignment("a"))
    script.ack(*script.subscribe(ENDPOINTS, "late"))
    script.publish(assignment("a", 2))
    assert script.settle() == []


def test_an_unsubscribed_name_is_forgotten() -> None:
    script = Script(assignment("a"), assignment("b"))
    script.ack(*script.subscribe(ENDPOINTS, "a", "b"))
    assert script.subscribe(ENDPOINTS, drop=["a"]) == []
    script.publish(assignment("a", 2), assignment("b", 2))
    assert names(script.hear_one()) == ["b"]


def test_an_unsubscribed_name_that_comes_back_is_sent_even_if_unchanged() -> None:
    script = Script(assignment("a"))
    script.ack(*script.subscribe(ENDPOINTS, "a"))
    script.subscribe(ENDPOINTS, drop=["a"])
    (answer,) = script.subscribe(ENDPOINTS, "a")
    assert names(answer) == ["a"]


def test_leaving_and_joining_in_one_request_is_joining_anew() -> None:
    script = Script(assignment("a"))
    script.ack(*script.subscribe(ENDPOINTS, "a"))
    (answer,) = script.subscribe(ENDPOINTS, "a", drop=["a"])
    assert names(answer) == ["a"]


def test_unsubscribing_what_was_never_subscribed_is_ignored() -> None:
    script = Script(cluster("a"))
    script.ack(*script.subscribe(CLUSTER))
    assert script.subscribe(CLUSTER, drop=["a", "x"]) == []


def test_a_name_left_while_the_wildcard_holds_is_sent_again() -> None:
    script = Script(cluster("a"), cluster("b"))
    script.ack(*script.subscribe(CLUSTER, "*", "a"))
    (answer,) = script.subscribe(CLUSTER, drop=["a"])
    assert names(answer) == ["a"]


def test_a_missing_name_left_while_the_wildcard_holds_is_said_to_be_missing_again() -> None:
    script = Script(cluster("a"))
    script.settle(*script.subscribe(CLUSTER, "*", "x"))
    answers = script.subscribe(CLUSTER, drop=["x"])
    assert removed(answers) == ["x"]
    assert script.ack(*answers) == []


def test_a_reconnect_with_everything_up_to_date_is_answered_with_nothing() -> None:
    a, b = cluster("a"), cluster("b")
    (answer,) = Script(a, b).subscribe(CLUSTER, held=held(a, b))
    assert (names(answer), removed([answer])) == ([], [])


def test_a_reconnect_by_names_with_everything_up_to_date_is_not_answered() -> None:
    a = assignment("a")
    script = Script(a)
    assert script.subscribe(ENDPOINTS, "a", held=held(a)) == []


def test_a_reconnect_brings_what_changed_and_what_is_new() -> None:
    a, b = cluster("a"), cluster("b")
    script = Script(a, cluster("b", 2), cluster("c"))
    (answer,) = script.subscribe(CLUSTER, held=held(a, b))
    assert names(answer) == ["b", "c"]


def test_a_reconnect_brings_what_the_client_does_not_say_it_holds() -> None:
    a, b = assignment("a"), assignment("b")
    (answer,) = Script(a, b).subscribe(ENDPOINTS, "a", "b", held=held(a))
    assert names(answer) == ["b"]


def test_a_reconnect_removes_what_is_gone_apart_from_what_is_new() -> None:
    script = Script(cluster("b"))
    (news,) = script.subscribe(CLUSTER, held=held(cluster("a")))
    assert (names(news), removed([news])) == (["b"], [])
    assert script.ack(news) == []
    (farewell,) = script.wait(GATE_S)
    assert (names(farewell), removed([farewell])) == ([], ["a"])


def test_a_reconnect_by_names_removes_what_is_gone() -> None:
    script = Script(assignment("b"))
    assert script.subscribe(ENDPOINTS, "a", held=held(assignment("a"))) == []
    assert removed(script.wait(GATE_S)) == ["a"]


def test_a_held_resource_without_a_version_is_sent_again_and_removed_when_it_is_gone() -> None:
    (answer,) = Script(cluster("a")).subscribe(CLUSTER, held={"a": ""})
    assert names(answer) == ["a"]
    script = Script(listener("edge"))
    answers = script.subscribe(CLUSTER, held={"a": ""})
    script.settle(*answers)
    assert removed(script.wait(GATE_S)) == ["a"]


def test_a_reconnect_removes_no_cluster_before_it_is_known_which_routes_the_client_holds() -> None:
    old, new = served("a"), served("b")
    client = {one.type_url: held(one) for one in old}
    script = Script(*new)
    pending = script.subscribe(CLUSTER, held=client[CLUSTER] | held(cluster("b")))
    pending += script.subscribe(ENDPOINTS, "a", "b", held=client[ENDPOINTS] | held(assignment("b")))
    pending += script.subscribe(LISTENER, held=client[LISTENER])
    assert removed(pending) == []
    (routes,) = script.subscribe(ROUTES, "edge", held=client[ROUTES])
    assert names(routes) == ["edge"]
    assert removed(script.settle(*pending)) == []
    assert removed(script.settle(routes)) == ["a", "a"]


def test_a_reconnect_that_updates_a_cluster_repeats_its_endpoints_although_the_client_holds_them() -> None:
    script = Script(cluster("a", 2), assignment("a"))
    (update,) = script.subscribe(CLUSTER, held=held(cluster("a")))
    assert names(update) == ["a"]
    assert [names(one) for one in script.subscribe(ENDPOINTS, "a", held=held(assignment("a")))] == [["a"]]


def test_versions_held_count_on_the_first_request_only() -> None:
    script = Script(cluster("a"))
    script.ack(*script.subscribe(CLUSTER))
    script.subscribe(CLUSTER, held={"ghost": "1"})
    assert script.settle() == []


def test_names_held_but_not_asked_for_are_none_of_our_business() -> None:
    script = Script(assignment("a"))
    script.subscribe(ENDPOINTS, "a", held={"ghost": "1"})
    assert removed(script.settle()) == []


def test_a_reconnect_with_every_name_ever_asked_for_gets_an_answer_for_each() -> None:
    a = cluster("a")
    script = Script(a)
    answers = script.subscribe(CLUSTER, "*", "a", "asleep", held=held(a))
    assert (removed(answers), [names(one) for one in answers]) == (["asleep"], [[]])


def test_versions_are_the_same_for_every_stream_and_after_a_restart() -> None:
    first, second = Script(cluster("a")), Script(cluster("x"), cluster("a"))
    second.publish(cluster("a"))
    (one,), (other,) = first.subscribe(CLUSTER), second.subscribe(CLUSTER)
    assert versions(one) == versions(other)


def test_the_node_is_taken_from_the_first_message_alone() -> None:
    script = Script(cluster("a"))
    script.say(subscription(CLUSTER, node="one"))
    script.say(subscription(LISTENER))
    script.say(subscription(ENDPOINTS, "a", node="other"))
    assert script.session.node
    assert (script.session.node.id, script.session.node.cluster) == ("one", "edge")


@pytest.mark.parametrize("nonce", ["77", "of another stream"])
def test_a_stale_nonce_does_not_stop_a_subscription(nonce: str) -> None:
    script = Script(assignment("a"), assignment("b"))
    script.ack(*script.subscribe(ENDPOINTS, "a"))
    (answer,) = script.subscribe(ENDPOINTS, "b", nonce=nonce)
    assert names(answer) == ["b"]
    script.ack(answer)
    script.subscribe(ENDPOINTS, drop=["a"], nonce=nonce)
    script.publish(assignment("a", 2), assignment("b", 2))
    assert names(script.hear_one()) == ["b"]


def test_a_subscription_that_rides_on_an_ack_counts_as_both() -> None:
    script = Script(assignment("a"), assignment("b"))
    (first,) = script.subscribe(ENDPOINTS, "a")
    (second,) = script.subscribe(ENDPOINTS, "b", nonce=first.nonce)
    assert names(second) == ["b"]


def test_routes_that_are_asked_for_before_their_snapshot_is_due_are_neither_denied_nor_lost() -> None:
    script = Script(*served("a"))
    clusters = script.subscribe(CLUSTER)
    assert script.subscribe(ROUTES, "edge", "x") != []  # x is missing, edge waits for the clusters
    assert script.session.deadline() is not None
    assert [names(one) for one in script.ack(*clusters)] == []
    assert ["edge"] in [names(one) for one in script.wait(2.0)]


def test_a_name_that_existed_only_in_a_snapshot_that_was_skipped_is_answered_as_missing() -> None:
    script = Script(*served("a"))
    script.settle(*script.subscribe(LISTENER))
    (update,) = script.subscribe(CLUSTER)
    script.publish(*served("a"), cluster("b"), route_table("second", "b"))
    assert script.subscribe(ROUTES, "second") == []
    script.publish(*served("a"))
    assert removed(script.settle(*script.hear(), update)) == ["second"]
