from typing import Any

import pytest

from edgerun.api.originservice import Rollout, TrafficTarget
from edgerun.translate.revisions.revision import Notice, Revisions
from edgerun.translate.revisions.traffic import (
    Assignment,
    assignment,
    heir,
    inherited,
    latest_percent,
    traffic_problems,
    unresolved,
)
from support.revisions import FAILED, STARTING, latest, pinned, revision, revisions, shares, written

NOTHING = Assignment()


def why(targets: list[TrafficTarget], there: Revisions, ready: str = "", before: Assignment = NOTHING) -> Notice | None:
    return unresolved(targets, there, service="cart", ready=ready, before=before)


@pytest.mark.parametrize(
    "targets",
    [
        [],
        [TrafficTarget(percent=100)],
        [latest(90), pinned("cart-00001", 10, "stable")],
        [latest(50), latest(50)],
        [pinned("cart-00001", 100), latest(0, "next"), TrafficTarget(latest_revision=True, tag="none-said")],
    ],
)
def test_good_targets_have_no_problems(targets: list[TrafficTarget]) -> None:
    assert traffic_problems(targets) == ()


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ({"percent": 99}, "spec.traffic: traffic targets sum to 99, want 100"),
        ({"percent": 101}, "spec.traffic[0].percent: expected 0 <= 101 <= 100"),
        ({"percent": -1}, "spec.traffic[0].percent: expected 0 <= -1 <= 100"),
        ({"tag": "Green"}, 'spec.traffic[0].tag: "Green" is not a DNS 1035 label: at most 63 characters'),
        ({"tag": "1a"}, 'spec.traffic[0].tag: "1a" is not a DNS 1035 label'),
        ({"tag": "a" * 64}, "is not a DNS 1035 label"),
        (
            {"revision_name": "cart-00001", "latest_revision": True},
            'spec.traffic[0].latestRevision: may not set revisionName "cart-00001" when latestRevision is true',
        ),
        (
            {"latest_revision": False},
            "spec.traffic[0]: expected exactly one, got neither: latestRevision, revisionName",
        ),
    ],
)
def test_a_bad_target_is_told(target: dict[str, Any], said: str) -> None:
    assert any(said in str(one) for one in traffic_problems([TrafficTarget(**({"percent": 100} | target))]))


def test_all_that_is_wrong_is_told_at_once() -> None:
    targets = [
        latest(30, "a"),
        pinned("cart-00001", 30, "a"),
        TrafficTarget(latest_revision=False, percent=200, tag="_"),
        pinned("cart-00002", 0, "a"),
    ]
    assert [str(one) for one in traffic_problems(targets)] == [
        "spec.traffic[2].percent: expected 0 <= 200 <= 100",
        "spec.traffic[2]: expected exactly one, got neither: latestRevision, revisionName",
        'spec.traffic[2].tag: "_" is not a DNS 1035 label: at most 63 characters a-z, 0-9 and -, the first a letter '
        "and the last none of -",
        'spec.traffic[1].tag: multiple definitions for "a": spec.traffic[0].tag',
        'spec.traffic[3].tag: multiple definitions for "a": spec.traffic[0].tag',
        "spec.traffic: traffic targets sum to 260, want 100",
    ]


def test_a_revision_that_is_not_there_is_told_with_those_that_are() -> None:
    there = revisions(*(f"cart-{number:05}" for number in range(1, 8)))
    assert why([pinned("cart-00009", 100)], there, "cart-00007") == Notice(
        "RevisionMissing",
        'revision "cart-00009" referenced in traffic not found (there are cart-00003, cart-00004, cart-00005, '
        "cart-00006, cart-00007 and 2 more); the traffic stays as it was",
    )


def test_a_revision_that_starts_is_waited_for_also_when_only_its_tag_is_asked_for() -> None:
    there = revisions("cart-00001", revision("cart-00002", phase=STARTING))
    for percent in (0, 40):
        notice = why([latest(100 - percent), pinned("cart-00002", percent, "next")], there, "cart-00001")
        assert notice == Notice(
            "RevisionNotReady", 'revision "cart-00002" is not ready yet; the traffic stays as it was', failed=False
        )


def test_a_failed_revision_is_told_with_its_reason() -> None:
    there = revisions(revision("cart-00001", phase=FAILED, reason="ImagePullBackOff", message="no such image"))
    notice = why([pinned("cart-00001", 100)], there)
    assert notice
    assert notice.failed
    assert 'revision "cart-00001" failed to become ready: ImagePullBackOff: no such image' in notice.message


def test_a_revision_that_has_traffic_may_keep_it_whatever_has_become_of_it() -> None:
    there = revisions("cart-00001", revision("cart-00002", phase=FAILED, proven=True))
    before = Assignment(shares("cart-00001 50", "cart-00002 50"))
    targets = [pinned("cart-00001", 90), pinned("cart-00002", 10)]
    assert why(targets, there, "cart-00001", before) is None
    assert why(targets, there, "cart-00001") is not None


def test_the_latest_revision_is_waited_for_as_long_as_there_is_none() -> None:
    there = revisions(revision("cart-00001", phase=STARTING))
    assert why([latest()], there) == Notice(
        "RevisionMissing", 'OriginService "cart" has no ready revision', failed=False
    )


def test_what_is_named_and_what_is_rolled_out_add_up() -> None:
    targets = [latest(60), pinned("cart-00001", 40)]
    found = assignment(targets, Rollout(goal="cart-00002", shares=shares("cart-00001 59", "cart-00002 1")))
    assert written(found.weights) == ["cart-00001 99", "cart-00002 1"]
    assert latest_percent(targets) == 60


def test_a_tag_of_the_latest_revision_leads_to_it_at_once() -> None:
    targets = [latest(100, "current"), pinned("cart-00001", 0, "old")]
    found = assignment(targets, Rollout(goal="cart-00002", shares=shares("cart-00001 99", "cart-00002 1")))
    assert [(one.tag, one.revision_name) for one in found.tags] == [("current", "cart-00002"), ("old", "cart-00001")]
    assert found.revisions == {"cart-00001", "cart-00002"}


def test_the_part_of_a_deleted_revision_is_inherited_and_its_tag_is_not() -> None:
    there = revisions("cart-00002", "cart-00003")
    targets = [pinned("cart-00001", 10, "old"), pinned("cart-00001", 0, "older"), pinned("cart-00003", 90, "new")]
    assert inherited(targets, there, heir(targets, Rollout(), there, "cart-00002")) == (
        TrafficTarget(revision_name="cart-00002", percent=10),
        pinned("cart-00003", 90, "new"),
    )


def test_without_a_latest_ready_one_the_biggest_inherits() -> None:
    there = revisions("cart-00002", "cart-00003")
    targets = [pinned("cart-00001", 50), pinned("cart-00002", 20), latest(30)]
    assert heir(targets, Rollout(shares=shares("cart-00003 30")), there, "") == "cart-00003"
    assert heir(targets, Rollout(shares=shares("cart-00003 30")), {}, "") == ""
    assert inherited([pinned("cart-00001", 100)], {}, "") == ()
