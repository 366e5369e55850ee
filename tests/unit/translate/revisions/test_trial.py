from datetime import timedelta

import pytest

from edgerun.api.originservice import Rejected, Rollout
from edgerun.translate.revisions.judgement import Evidence, Order, Verb, judged, told
from edgerun.translate.revisions.revision import Notice
from edgerun.translate.revisions.trial import (
    BUCKET,
    LEAST_REQUESTS,
    WINDOW,
    Tally,
    Window,
    counted,
    exceeds,
    first_exceeding,
    tally,
)
from support.revisions import START, revisions, shares, written

THERE = revisions("cart-00001", "cart-00002")
ROLLING = Rollout(goal="cart-00002", shares=shares("cart-00001 90", "cart-00002 10"))


def window(requests: int, errors: int, name: str = "cart-00002") -> Window:
    return counted((), START, {name: Tally(requests, errors)})


def judge(state: Rollout, order: Order | None = None, seen: Window = (), limit: float | None = 1) -> Rollout:
    evidence = Evidence(now=START, window=seen, limit_percent=limit)
    return judged(state, order, evidence, THERE, ready="cart-00002")


@pytest.mark.parametrize(
    ("limit", "requests", "least"), [(1, 10, 3), (1, 20, 4), (1, 100, 7), (1, 1_000, 24), (5, 100, 15), (10, 10, 6)]
)
def test_so_many_errors_are_no_bad_luck_any_more(limit: float, requests: int, least: int) -> None:
    assert exceeds(Tally(requests, least), limit)
    assert not exceeds(Tally(requests, least - 1), limit)


def test_a_few_requests_say_nothing() -> None:
    assert not exceeds(Tally(LEAST_REQUESTS - 1, LEAST_REQUESTS - 1), 1)
    assert exceeds(Tally(LEAST_REQUESTS, LEAST_REQUESTS), 1)


def test_no_error_at_all_is_allowed_where_the_limit_is_zero() -> None:
    assert exceeds(Tally(1, 1), 0)
    assert exceeds(Tally(0, 1), 0)  # a connection that failed
    assert not exceeds(Tally(1_000, 0), 0)


def test_nothing_exceeds_a_hundred_percent() -> None:
    assert not exceeds(Tally(1_000, 1_000), 100)
    assert exceeds(Tally(1_000, 1_000), 99)


def test_more_errors_never_excuse_and_keeping_to_the_limit_always_does() -> None:
    for limit in (0.1, 1, 7.5, 50):
        for requests in (10, 99, 1_000):
            verdicts = [exceeds(Tally(requests, errors), limit) for errors in range(requests + 1)]
            assert verdicts == sorted(verdicts)
            assert not any(verdicts[: int(requests * limit / 100) + 1])


def test_the_window_forgets_what_is_older_than_five_minutes() -> None:
    seen: Window = ()
    for seconds in range(0, 601, 5):
        seen = counted(seen, START + timedelta(seconds=seconds), {"a": Tally(10, 1)})
    assert tally(seen, "a").requests == pytest.approx(10 * WINDOW.total_seconds() / 5, abs=10 * BUCKET.seconds / 5)
    assert len(seen) <= WINDOW / BUCKET + 1
    assert tally(seen, "b") == Tally()


def test_what_is_counted_within_moments_is_one() -> None:
    seen = counted(
        counted((), START, {"a": Tally(1, 0)}), START + timedelta(seconds=1), {"a": Tally(2, 1), "b": Tally(1)}
    )
    assert len(seen) == 1
    assert (tally(seen, "a"), tally(seen, "b")) == (Tally(3, 1), Tally(1))


def test_a_clock_that_goes_back_drops_what_seems_to_come_from_the_future() -> None:
    seen = counted(window(10, 10), START - timedelta(hours=1), {"cart-00002": Tally(1, 0)})
    assert tally(seen, "cart-00002") == Tally(1, 0)


def test_only_the_one_that_is_asked_about_is_judged() -> None:
    assert first_exceeding(window(100, 100, "old"), ["new"], 1) is None


def test_a_revision_on_trial_that_fails_loses_its_traffic_and_it_is_said_why() -> None:
    state = judge(ROLLING, seen=window(340, 24))
    assert written(state.shares) == ["cart-00001 100"]
    assert told(state, "cart-00002") == Notice(
        "RolledBack",
        'revision "cart-00002" failed 24 of the last 340 requests (7.06 %, spec.rollout.maxErrorPercent allows 1 %); '
        'revision "cart-00001" serves instead',
    )


def test_without_a_limit_nothing_is_judged() -> None:
    assert judge(ROLLING, seen=window(100, 100), limit=None) == ROLLING


def test_the_oldest_is_never_judged() -> None:
    assert judge(ROLLING, seen=window(100, 100, "cart-00001")) == ROLLING


def test_after_its_trial_a_revision_is_not_judged_any_more() -> None:
    alone = Rollout(goal="cart-00002", shares=shares("cart-00002 100"), previous="cart-00001", settled=START)
    assert written(judge(alone, seen=window(100, 100)).shares) == ["cart-00001 100"]
    for over in (timedelta(minutes=5), timedelta(hours=1)):
        evidence = Evidence(now=START + over, window=window(100, 100), limit_percent=1)
        assert judged(alone, None, evidence, THERE, ready="cart-00002") == alone


def test_an_undone_revision_stays_so_while_the_order_stands_and_when_it_is_taken_away() -> None:
    undo = Order(Verb.UNDO, "cart-00002")
    state = judge(ROLLING, undo)
    assert written(state.shares) == ["cart-00001 100"]
    assert judge(state, undo) == judge(state) == state
    notice = told(state, "cart-00002")
    assert notice
    assert "was undone by hand" in notice.message


def test_a_revision_can_be_undone_before_it_gets_anything() -> None:
    before = Rollout(goal="cart-00001", shares=shares("cart-00001 100"))
    state = judge(before, Order(Verb.UNDO, "cart-00002"))
    assert state.rejects("cart-00002")
    assert state.shares == before.shares


def test_who_takes_the_traffic_back_and_who_is_alone_cannot_be_undone() -> None:
    undo = Order(Verb.UNDO, "cart-00001")
    assert judge(ROLLING, undo) == ROLLING
    assert judged(Rollout(), undo, Evidence(now=START), revisions("cart-00001"), ready="cart-00001") == Rollout()


def test_a_promoted_revision_has_everything_also_when_it_was_rolled_back_from() -> None:
    promote = Order(Verb.PROMOTE, "cart-00002")
    for before in (ROLLING, judge(ROLLING, seen=window(100, 100))):
        state = judge(before, promote, seen=window(100, 100))
        assert written(state.shares) == ["cart-00002 100"]
        assert state.rejected == ()
        assert judge(state, promote, seen=window(100, 100)) == state


def test_an_order_about_a_revision_of_yesterday_does_nothing() -> None:
    assert judge(ROLLING, Order(Verb.PROMOTE, "cart-00001")) == ROLLING
    for verb in Verb:
        assert judge(ROLLING, Order(verb, "cart-00009")) == ROLLING


def test_nothing_is_told_when_the_latest_revision_was_not_rolled_back_from() -> None:
    assert told(Rollout(rejected=(Rejected(revision_name="cart-00001"),)), "cart-00002") is None
