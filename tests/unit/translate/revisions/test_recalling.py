"""What is lost of a status falls to the safe side."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun.api.originservice import OriginServiceStatus, Share, TrafficTarget
from edgerun.translate.revisions.memory import Memory, remembered
from edgerun.translate.revisions.recalling import recalled
from edgerun.translate.revisions.rollout import aim
from edgerun.translate.revisions.traffic import assignment

ONE, TWO, THREE, NINE = "cart-00001", "cart-00002", "cart-00003", "cart-00009"
NUMBERS = {ONE: 1, TWO: 2, THREE: 3, "cart-blue": 4}
SHARES = [{"revisionName": "cart-blue", "percent": 20}, {"revisionName": TWO, "percent": 50}]
ROLLING: dict[str, Any] = {
    "revisionNumber": 9,
    "latestCreatedRevisionName": NINE,
    "latestReadyRevisionName": TWO,
    "traffic": [
        {"revisionName": ONE, "percent": 30},
        {"revisionName": TWO, "percent": 50},
        {"revisionName": ONE, "tag": "old"},
        {"revisionName": "cart-blue", "percent": 20},
    ],
    "appliedTraffic": [{"revisionName": ONE, "percent": 30, "tag": "old"}, {"latestRevision": True, "percent": 70}],
    "rollout": {
        "goal": TWO,
        "shares": SHARES,
        "begun": "2026-01-01T12:00:00Z",
        "nextStep": "2026-01-01T12:01:00Z",
        "stepSeconds": 15.0,
        "stepPercent": 12,
        "rejected": [{"revisionName": THREE, "message": "no"}],
    },
}
BACK = ROLLING | {
    "latestReadyRevisionName": THREE,
    "traffic": [{"revisionName": TWO, "percent": 100}],
    "appliedTraffic": [{"latestRevision": True, "percent": 100}],
    "rollout": {"goal": TWO, "shares": [{"revisionName": TWO, "percent": 100}], "rejected": [{"revisionName": THREE}]},
}
WHOLE = remembered(msgspec.convert(ROLLING, OriginServiceStatus))


def recall(written: dict[str, Any], **rollout: Any) -> Memory:
    status = written | {"rollout": ROLLING["rollout"] | rollout} if rollout else written
    return recalled("cart", status, NUMBERS)


def test_what_can_be_read_is_as_it_was_written() -> None:
    assert recall(ROLLING) == WHOLE


@given(field=st.sampled_from([*ROLLING]), value=st.sampled_from([object(), [object()]]))
def test_whichever_field_is_lost_no_number_is_given_again_and_all_keep_their_requests(field: str, value: Any) -> None:
    found = recall(ROLLING | {field: value})
    assert found.number == 9
    assert assignment(found.traffic, found.rollout) == assignment(WHOLE.traffic, WHOLE.rollout)
    assert found.rollout.goal == found.latest_ready_revision_name == TWO


@given(field=st.sampled_from([*ROLLING["rollout"]]), value=st.sampled_from([object(), [object()]]))
def test_whichever_field_of_a_rollout_is_lost_all_keep_their_requests(field: str, value: Any) -> None:
    found = recall(ROLLING, **{field: value})
    assert sorted(found.rollout.shares, key=str) == sorted(WHOLE.rollout.shares, key=str)
    assert found.rollout.shares[-1] == WHOLE.rollout.shares[-1]
    assert found.rollout.goal == TWO
    assert msgspec.structs.replace(found, rollout=WHOLE.rollout) == WHOLE
    paced = found.rollout.next_step is not None
    assert paced == bool(found.rollout.step_seconds and found.rollout.step_percent and found.rollout.begun)


JUNK = st.recursive(
    st.none() | st.integers() | st.sampled_from([ONE, THREE, "", "?"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["revisionName", "at"]), inner),
    max_leaves=5,
)


@given(
    fields=st.dictionaries(st.sampled_from([*ROLLING]), JUNK),
    rollout=st.dictionaries(st.sampled_from([*ROLLING["rollout"]]), JUNK),
)
def test_whatever_is_written_something_is_recalled(fields: dict[str, Any], rollout: dict[str, Any]) -> None:
    recalled("cart", ROLLING | {"rollout": ROLLING["rollout"] | rollout} | fields, NUMBERS)


def test_a_number_is_counted_wherever_it_is_told_of_when_the_highest_one_is_lost() -> None:
    told = {"revisionNumber": "9", "conditions": [{"new": {NINE: 1}}], "traffic": ["cart-00004"]}
    assert recalled("cart", told, NUMBERS).number == 9
    assert recalled("cart", {"revisionNumber": "9"}, NUMBERS).number == 0, "then those that are there are counted"


def test_a_share_that_is_lost_is_found_where_the_requests_are() -> None:
    assert recall(ROLLING, shares=["cart-blue 20 %", SHARES[1]]).rollout.shares == (
        Share(revision_name="cart-blue", percent=20),
        Share(revision_name=TWO, percent=50),
    )


def test_traffic_that_is_lost_is_that_which_is_in_effect() -> None:
    assert recall(ROLLING | {"appliedTraffic": [{"revisionName": 5, "percent": 30}]}).traffic == (
        TrafficTarget(revision_name=ONE, percent=30),
        TrafficTarget(revision_name=ONE, percent=0, tag="old"),
        TrafficTarget(latest_revision=True, percent=70),
    )


@pytest.mark.parametrize(
    "rejected",
    [7, [THREE], {THREE: {"why": "errors"}}, [{"revision": THREE}], [{"revisionName": {"name": THREE}}], [{}], "?"],
    ids=str,
)
def test_a_rejected_revision_gets_nothing_when_it_cannot_be_read_why(rejected: Any) -> None:
    rollout = BACK["rollout"] | {"rejected": rejected}
    found = recall(BACK | {"rollout": rollout})
    assert [one.revision_name for one in found.rollout.rejected] == [THREE]
    assert "may have been rolled back" in found.rollout.rejected[0].message
    assert aim(found.rollout, {}, THREE) == TWO


def test_a_rejected_revision_gets_nothing_when_nothing_of_a_rollout_can_be_read() -> None:
    found = recall(BACK | {"rollout": "of the future"})
    assert found.rollout.rejects(THREE)
    assert found.rollout.shares == (Share(revision_name=TWO, percent=100),)


def test_a_rejection_that_is_readable_but_for_its_time_stays() -> None:
    rejected = [{"revisionName": THREE, "message": "no", "at": 7}]
    (found,) = recall(ROLLING, rejected=rejected).rollout.rejected
    assert (found.revision_name, found.message, found.at) == (THREE, "no", None)


def test_a_latest_ready_revision_that_is_lost_is_the_one_that_was_meant_last() -> None:
    assert recall(ROLLING | {"latestReadyRevisionName": 7}).latest_ready_revision_name == TWO
