"""What `edgerun rollout` says of a rollout in every state, and what it orders."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from edgerun.cli import rollout_orders as orders
from edgerun.cli import rollout_words as words
from edgerun.cli.rollout_words import Stage
from edgerun.cli.rollouts import Seen, seen
from edgerun.errors import SettingsError
from edgerun.translate.revisions.judgement import Order, Verb
from edgerun.translate.revisions.wishes import ORDER

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
ONE, TWO, THREE = "cart-00001", "cart-00002", "cart-00003"
Document = dict[str, Any]


def at(seconds: float) -> str:
    return (NOW + timedelta(seconds=seconds)).isoformat()


def condition(type: str, status: str, reason: str = "", message: str = "") -> Document:
    return {"type": type, "status": status, "reason": reason or type, "message": message}


def revision(name: str, *, ready: int = 2, desired: int = 2, proven: bool = True, **others: Any) -> Document:
    """It was made two minutes ago."""
    health = others.get("health") or condition("Ready", "True", "Ready")
    status = {"replicas": {"ready": ready, "desired": desired}, "proven": proven, "conditions": [health]}
    metadata = {"name": name, "namespace": "shop", "creationTimestamp": at(-120)}
    spec = {"number": int(name[-1]), "template": {"spec": {"containers": [{}]}}}
    return {"metadata": metadata, "spec": spec, "status": status}


def failed(name: str) -> Document:
    """It has never been ready."""
    health = condition("Ready", "False", "CrashLoopBackOff", "exit code 1:\noops")
    return revision(name, ready=0, desired=1, proven=False, health=health)


def starting(name: str) -> Document:
    return revision(name, ready=1, proven=False, health=condition("Ready", "Unknown", "Starting", "pulls its image"))


def shares(**percents: int) -> list[Document]:
    return [{"revisionName": name.replace("_", "-"), "percent": percent} for name, percent in percents.items()]


def told(*revisions: Document, **others: Any) -> Seen:
    """Of revisions of `shop/cart`. All requests are for the latest one, and go where `shares` of the `rollout` say;
    `created` and `ready` are the newest revision when nothing else is said."""
    newest = max((one["metadata"]["name"] for one in revisions), default="")
    rollout = others.get("rollout", {"goal": newest, "shares": shares(**{newest: 100})})
    status = {
        "observedGeneration": others.get("observed", 1),
        "latestCreatedRevisionName": others.get("created", newest),
        "latestReadyRevisionName": others.get("ready", newest),
        "traffic": others.get("traffic", rollout.get("shares", [])),
        "rollout": rollout,
        "conditions": others.get("conditions", []),
    }
    annotations = {ORDER: others["order"]} if "order" in others else {}
    spec = {"template": {"spec": {"containers": [{}]}}, "rollout": others.get("policy", {})}
    metadata = {"name": "cart", "namespace": "shop", "annotations": annotations}
    return seen({"metadata": metadata, "spec": spec, "status": status}, revisions)


def rolling(**others: Any) -> Seen:
    """Twelve percent are at the second revision."""
    others.setdefault("conditions", [condition("AllTrafficAssigned", "Unknown", "RolloutInProgress", "they move")])
    rollout = {"goal": TWO, "shares": shares(cart_00001=88, cart_00002=12), "begun": at(-30)}
    moving = {"nextStep": at(14), "stepSeconds": 15.0, "stepPercent": 12}
    rollout |= others.pop("moving", moving)
    return told(revision(ONE), revision(TWO), rollout=rollout, **others)


def rejected(name: str, message: str = "was undone by hand") -> list[Document]:
    return [{"revisionName": name, "message": f'revision "{name}" {message}'}]


def undone(**others: Any) -> Seen:
    rollout = {"goal": ONE, "shares": shares(cart_00001=100), "rejected": rejected(TWO)}
    return told(revision(ONE), revision(TWO, ready=0, desired=0), rollout=rollout, **others)


def replaced(**others: Any) -> Seen:
    """The second revision has all, and the first had it before."""
    rollout = {"goal": TWO, "shares": shares(cart_00002=100), "previous": ONE, "settled": at(-60)}
    idle = others.pop("one", revision(ONE, ready=0, desired=0, health=condition("Ready", "True", "Idle")))
    return told(idle, revision(TWO), rollout=rollout, **others)


def rows(found: Seen) -> list[list[str]]:
    return [line.split("   ") for line in words.overview(found, NOW).split("\n\n")[0].splitlines()]


def states(found: Seen) -> dict[str, str]:
    return {row[0].strip(): row[-1].strip() for row in rows(found)[1:]}


def test_the_table_has_every_revision_the_newest_first() -> None:
    traffic = [*shares(cart_00001=88, cart_00002=12), {"revisionName": ONE, "percent": 0, "tag": "old"}]
    header, newest, oldest = words.overview(rolling(traffic=traffic), NOW).splitlines()[:3]
    assert header.split() == ["REVISION", "PERCENT", "TAG", "REPLICAS", "AGE", "STATE"]
    assert newest.split() == [TWO, "12", "%", "-", "2/2", "2m", "rolling", "->", "24", "%", "in", "14", "s"]
    assert oldest.split() == [ONE, "88", "%", "old", "2/2", "2m", "serving"]


def test_each_revision_says_how_it_fares() -> None:
    assert states(undone()) == {TWO: "rolled back: it was undone by hand", ONE: "serving"}
    assert states(replaced())[ONE] == "idle"
    asleep = condition("Ready", "True", "Asleep", "it has no replica until a request comes")
    assert states(told(revision(ONE, ready=0, desired=0, health=asleep)))[ONE] == "asleep"
    assert states(told(failed(ONE), ready="", rollout={}))[ONE] == "failed: CrashLoopBackOff: exit code 1: oops"
    assert states(told(starting(ONE), ready="", rollout={}))[ONE] == "Starting: pulls its image"
    assert states(told(revision(ONE), revision(TWO)))[ONE] == "ready"


def test_what_is_too_long_for_a_table_stands_below_in_full() -> None:
    long = condition("Ready", "False", "CrashLoopBackOff", "oops " * 100)
    found = told(revision(ONE, proven=False, health=long), ready="", rollout={})
    assert states(found)[ONE].endswith("…")
    assert "oops " * 99 in words.overview(found, NOW)


@pytest.mark.parametrize(
    ("found", "stage", "said"),
    [
        (told(revision(ONE)), Stage.DONE, f"{ONE} has all requests"),
        (replaced(), Stage.DONE, f"{TWO} has all requests"),
        (rolling(), Stage.UNDER_WAY, f"{TWO} has 12 of 100 %, 24 % in 14 s"),
        (rolling(moving={}), Stage.UNDER_WAY, f"{TWO} has 12 of 100 %, until every proxy serves that"),
        (
            rolling(moving={"nextStep": at(-5), "stepSeconds": 5.0, "stepPercent": 12}),
            Stage.UNDER_WAY,
            f"{TWO} has 12 of 100 %, 24 % as soon as it is ready",
        ),
        (told(), Stage.UNDER_WAY, "waits for the first revision of shop/cart"),
        (told(revision(ONE), observed=0), Stage.UNDER_WAY, "waits for the operator to look at shop/cart"),
        (
            told(revision(ONE), starting(TWO), ready=ONE, rollout={"goal": ONE, "shares": shares(cart_00001=100)}),
            Stage.UNDER_WAY,
            f"waits for {TWO} to be ready: Starting: pulls its image; {ONE} keeps its requests",
        ),
        (
            told(revision(ONE), failed(TWO), ready=ONE, rollout={"goal": ONE, "shares": shares(cart_00001=100)}),
            Stage.FAILED,
            f"{TWO} failed: CrashLoopBackOff: exit code 1: oops; {ONE} keeps its requests",
        ),
        (undone(), Stage.FAILED, f"{TWO} was rolled back: it was undone by hand; {ONE} serves instead"),
        (
            replaced(policy={"maxErrorPercent": 1.0}),
            Stage.UNDER_WAY,
            f"{TWO} has all requests, and goes back if more than 1 % of them fail; that is over in 4 min",
        ),
        (
            replaced(order=f"undo/{TWO}", one=starting(ONE)),
            Stage.UNDER_WAY,
            f"{ONE} takes back what {TWO} has as soon as it is ready (1 of 2 replicas)",
        ),
        (undone(order=f"promote/{TWO}"), Stage.UNDER_WAY, f"{TWO} gets all requests as soon as it is ready"),
        (
            undone(order=f"undo/{TWO}"),
            Stage.FAILED,
            f"{TWO} was rolled back: it was undone by hand; {ONE} serves instead",
        ),
        (
            told(revision(ONE), conditions=[condition("Accepted", "False", "RejectedByProxy", "no")]),
            Stage.FAILED,
            "the newest version of shop/cart is refused: RejectedByProxy: no",
        ),
        (
            told(revision(ONE), conditions=[condition("AllTrafficAssigned", "False", "RevisionMissing", "cart-9")]),
            Stage.FAILED,
            "RevisionMissing: cart-9",
        ),
        (
            told(revision(ONE), revision(TWO), rollout={"goal": TWO}, traffic=shares(cart_00001=100)),
            Stage.DONE,
            f"{TWO} is ready and gets nothing, for spec.traffic leads elsewhere: {ONE} 100 %",
        ),
        (
            told(revision(ONE), revision(TWO), rollout={"goal": TWO}, traffic=shares(cart_00001=60, cart_00002=40)),
            Stage.DONE,
            f"spec.traffic leads to {ONE} 60 %, {TWO} 40 %",
        ),
        (
            told(revision(ONE), revision(TWO), rollout={"goal": TWO, "shares": shares(cart_00002=20)}),
            Stage.DONE,
            f"{TWO} has its 20 % of all requests",
        ),
    ],
)
def test_how_far_a_rollout_is(found: Seen, stage: Stage, said: str) -> None:
    standing = words.standing(found, NOW)
    assert (standing.stage, str(standing)) == (stage, said)


def test_the_time_that_is_left_is_no_news() -> None:
    early, late = (words.standing(rolling(), NOW + timedelta(seconds=passed)) for passed in (0, 5))
    assert early.said == late.said
    assert early.left != late.left


def test_undo_takes_from_the_newest_that_has_anything() -> None:
    found = rolling()
    order = orders.undoing(found)
    assert order == Order(Verb.UNDO, TWO)
    assert words.ordered(found, order.verb, TWO) == (
        f"{TWO} is to get no requests any more; {ONE} takes them back; the next revision of shop/cart is rolled out as "
        "ever"
    )


def test_undo_of_one_that_has_all_waits_for_who_had_it_before() -> None:
    found = replaced(one=starting(ONE))
    assert orders.undoing(found) == Order(Verb.UNDO, TWO)
    assert f"{ONE} takes them back as soon as it is ready (1 of 2 replicas);" in words.ordered(found, Verb.UNDO, TWO)


@pytest.mark.parametrize("newest", [failed(TWO), starting(TWO)], ids=["failed", "starting"])
def test_undo_of_one_that_is_not_ready_leaves_the_requests_where_they_are(newest: Document) -> None:
    found = told(revision(ONE), newest, ready=ONE, rollout={"goal": ONE, "shares": shares(cart_00001=100)})
    assert orders.undoing(found) == Order(Verb.UNDO, TWO)
    said = words.ordered(found, Verb.UNDO, TWO)
    assert said.startswith(f"{TWO} is to get no requests, also when it becomes ready; {ONE} keeps them")


def test_undo_again_names_who_there_is_when_no_revision_is_older() -> None:
    found = undone()
    assert orders.undoing(found) == Order(Verb.UNDO, ONE)
    with pytest.raises(
        SettingsError, match=rf"there is no older revision to take them back; choose one: --to {TWO} \("
    ):
        words.ordered(found, Verb.UNDO, ONE)


def test_undo_again_goes_one_revision_further_back() -> None:
    rollout = {"goal": TWO, "shares": shares(cart_00002=100), "rejected": rejected(THREE)}
    found = told(revision(ONE, ready=0, desired=0), revision(TWO), revision(THREE), rollout=rollout)
    assert orders.undoing(found) == Order(Verb.UNDO, TWO)
    assert f"{ONE} takes them back; the next" in words.ordered(found, Verb.UNDO, TWO)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (told(starting(ONE), ready="", rollout={}), "no revision of shop/cart was ever ready"),
        (
            told(revision(ONE), revision(TWO), rollout={"goal": TWO}, traffic=shares(cart_00001=100)),
            rf"leads nothing to the latest revision, .* --to {TWO} \(there are {TWO}, {ONE}\)",
        ),
    ],
)
def test_undo_says_why_there_is_nothing_to_undo(found: Seen, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        orders.undoing(found)


def test_all_requests_can_be_led_to_any_revision_but_one_that_failed() -> None:
    found = told(revision(ONE), failed(TWO), ready=ONE)
    assert orders.target(found, ONE).metadata.name == ONE
    with pytest.raises(SettingsError, match=f"{TWO} cannot get requests, for it has failed: CrashLoopBackOff"):
        orders.target(found, TWO)
    with pytest.raises(SettingsError, match=f"shop/cart has no revision 'cart-3'; there are: {TWO}, {ONE}"):
        orders.target(found, "cart-3")


def test_what_cannot_be_read_of_a_status_is_named_and_all_else_is_shown() -> None:
    strange = revision(TWO)
    strange["status"]["lastActive"] = 7
    strange["spec"]["template"]["spec"]["hostNetwork"] = "?"
    traffic = [*shares(**{ONE: 40}), {"revisionName": TWO, "percent": 60, "tag": 7}, "?"]
    conditions = [condition("Ready", "Partly"), condition("AllTrafficAssigned", "False", "RevisionMissing", "no")]
    said = words.overview(told(revision(ONE), strange, traffic=traffic, conditions=conditions), NOW)
    for what in ("traffic[1].tag", "traffic[2]", "conditions[0]"):
        assert f"! status.{what} of OriginService shop/cart cannot be read by this edgerun, and is left out: " in said
    assert f"! status.lastActive of OriginRevision shop/{TWO} cannot be read by this edgerun" in said
    assert f"! spec.template.spec.hostNetwork of OriginRevision shop/{TWO} cannot be read by this edgerun" in said
    assert "40 %" in said
    assert "60 %" in said
    assert "RevisionMissing: no" in said


def test_an_origin_service_that_cannot_be_read_is_named() -> None:
    with pytest.raises(SettingsError, match="OriginService shop/cart cannot be read by this edgerun: Expected `obj"):
        told(policy="of the future")


def test_who_is_led_elsewhere_hears_what_becomes_of_new_revisions() -> None:
    said = words.led(told(revision(ONE, ready=0, desired=0), revision(TWO)), ONE)
    assert said.startswith(f"spec.traffic of shop/cart leads all requests to {ONE} now\n")
    assert 'kubectl -n shop patch originservice cart --type merge -p \'{"spec":{"traffic":null}}\'' in said
    waiting = words.led(told(starting(ONE), revision(TWO)), ONE)
    assert f"to {ONE} as soon as it is ready (1 of 2 replicas)" in waiting


def test_a_revision_that_another_version_has_written_is_named_and_the_others_are_shown() -> None:
    strange = revision(ONE) | {"kind": "OriginRevision", "spec": {"number": 1, "template": {"spec": "of the future"}}}
    found = told(strange, revision(TWO))
    assert found.names == (TWO,)
    said = words.overview(found, NOW)
    assert f"! OriginRevision shop/{ONE} cannot be read by this edgerun, and is left out: Expected `object`" in said
    assert f"{TWO} has all requests" in said


def test_who_is_led_elsewhere_hears_who_may_lead_back() -> None:
    found = told(revision(ONE), revision(TWO))
    assert "if its YAML is kept elsewhere and has a spec.traffic" in words.led(found, ONE)
    assert "! spec.traffic was that of argocd-controller: if it comes from a file" in words.led(
        found, ONE, ["argocd-controller"]
    )


def test_the_one_that_is_rolled_out_is_promoted() -> None:
    found = rolling()
    assert orders.promoting(found) == orders.promoting(found, TWO) == Order(Verb.PROMOTE, TWO)
    assert not orders.promoted(found, TWO)
    assert words.ordered(found, Verb.PROMOTE, TWO).endswith(
        "all requests of shop/cart that are for the latest revision now"
    )


def test_promoting_ends_a_trial_and_is_nothing_without_one() -> None:
    assert orders.promoted(replaced(), TWO)
    assert not orders.promoted(replaced(policy={"maxErrorPercent": 1.0}), TWO)


def test_one_that_was_rolled_back_is_promoted_by_its_name_only() -> None:
    found = undone()
    with pytest.raises(SettingsError, match=f"rolled back: it was undone by hand; .* name it: --revision {TWO}"):
        orders.promoting(found)
    assert orders.promoting(found, TWO) == Order(Verb.PROMOTE, TWO)


@pytest.mark.parametrize(
    ("found", "name", "said"),
    [
        (rolling(), ONE, f"{ONE} cannot be promoted: only the latest one that was ready can, {TWO}. .*undo --to {ONE}"),
        (rolling(), THREE, f"shop/cart has no revision '{THREE}'; there are: {TWO}, {ONE}"),
        (
            told(revision(ONE), failed(TWO), ready=ONE),
            TWO,
            f"{TWO} cannot be promoted, for it has failed: CrashLoopBackOff: exit code 1: oops",
        ),
        (told(starting(ONE), ready=""), "", f"{ONE} cannot be promoted, for it is not ready yet: Starting: pulls its"),
        (told(), "", "shop/cart has no revision yet"),
        (
            told(revision(ONE), rollout={"goal": ONE}),
            "",
            f"leads nothing to the latest revision, so {ONE} cannot be promoted; let spec.traffic lead to latestRev",
        ),
    ],
)
def test_what_cannot_be_promoted_says_why(found: Seen, name: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        orders.promoting(found, name)


def test_documents_are_read_as_an_api_server_has_them() -> None:
    found = msgspec.json.decode(msgspec.json.encode({"metadata": {"name": "a"}, "spec": revision(ONE)["spec"]}))
    read = seen(found, [])
    assert (read.name, read.names, read.order) == ("default/a", (), None)
