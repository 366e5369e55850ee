"""How busy origins are, from what proxies report: values in, values out, at times that the test makes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun.translate.revisions.trial import Tally
from edgerun.xds.loads import PATIENCE_S, SHORTEST_S, ClusterReport, Counts, Load, Loads, Report

A, B = "origin/shop/cart@shop/default~7", "origin/shop/cart@shop/admin~7"
OTHER = "origin/shop/pay@shop/default~2"


def origin_of(cluster: str) -> str | None:
    return cluster.split("@")[0].removeprefix("origin/") if cluster.startswith("origin/") else None


def report(*clusters: ClusterReport, proxy: str = "one") -> Report:
    return Report(proxy, "default", clusters)


def busy(
    in_progress: int = 0,
    issued: int = 0,
    succeeded: int = 0,
    errors: int = 0,
    *,
    cluster: str = A,
    seconds: float = 1.0,
) -> ClusterReport:
    return ClusterReport(cluster, seconds, {}, Counts(in_progress, issued, succeeded, errors))


class Told:
    """Loads, and one report of each proxy in each second."""

    def __init__(self) -> None:
        self.loads = Loads[str](origin_of)
        self.now = 100.0

    def second(self, **proxies: tuple[ClusterReport, ...]) -> dict[str, Load]:
        self.now += 1
        for proxy, clusters in proxies.items():
            self.loads.heard(proxy, report(*clusters, proxy=proxy), self.now)
        return dict(self.loads.read(self.now))


def test_nobody_reports_nothing() -> None:
    told = Told()
    assert told.second() == {}
    assert told.loads.reporting(told.now) == set()


def test_what_lasts_counts_in_full() -> None:
    told = Told()
    for _ in range(3):
        found = told.second(one=(busy(20, 20, 20),))
    assert found == {"shop/cart": Load(concurrency=20, requests=20, successes=20)}


def test_what_began_within_the_interval_counts_half() -> None:
    told = Told()
    told.second(one=())
    assert told.second(one=(busy(10, 10),))["shop/cart"].concurrency == 5
    assert told.second(one=(busy(10),))["shop/cart"].concurrency == 10
    assert told.second(one=(busy(0, 0, 10),))["shop/cart"].concurrency == 5
    assert told.second(one=(busy(),)) == {}


def test_what_was_in_progress_when_a_proxy_came_counts_in_full() -> None:
    assert Told().second(one=(busy(10),))["shop/cart"].concurrency == 10


def test_requests_that_no_report_sees_are_not_nothing() -> None:
    told = Told()
    told.second(one=())
    assert told.second(one=(busy(0, 1, 1),)) == {"shop/cart": Load(SHORTEST_S, 1, 1)}


def test_proxies_clusters_and_callers_add_up() -> None:
    told = Told()
    one = (busy(2, 4, 3, 1), busy(3, 3, cluster=B), busy(1, cluster=OTHER))
    found = told.second(one=one, two=(busy(5, 5),))
    assert found == {
        "shop/cart": Load(concurrency=10, requests=12, successes=3, errors=1),
        "shop/pay": Load(concurrency=1),
    }


def test_what_is_nobodys_is_left_out() -> None:
    assert Told().second(one=(busy(7, cluster="url/https://example.net:443@shop/default"),)) == {}


def test_a_cluster_that_is_not_named_has_nothing() -> None:
    told = Told()
    told.second(one=(busy(4),))
    assert told.second(one=())["shop/cart"].concurrency == 2
    assert told.second(one=()) == {}


def test_a_reading_without_a_report_is_the_last_word_for_a_moment() -> None:
    told = Told()
    told.second(one=(busy(4, 2),))
    for _ in range(int(PATIENCE_S)):
        assert told.second() == {"shop/cart": Load(concurrency=4, requests=2)}
    assert told.second() == {}
    assert told.loads.reporting(told.now) == set()


def test_two_reports_between_two_readings_are_averaged_and_neither_is_lost() -> None:
    told = Told()
    told.second(one=())
    told.loads.heard("one", report(busy(0, 6, 6)), told.now + 0.1)
    told.loads.heard("one", report(busy(4, 4)), told.now + 1)
    found = told.second()["shop/cart"]
    assert (found.requests, found.successes) == (5, 3)
    assert found.concurrency == pytest.approx((6 * SHORTEST_S + 2) / 2)


def test_a_proxy_that_leaves_takes_its_part_along_at_once() -> None:
    told = Told()
    told.second(one=(busy(4),), two=(busy(3),))
    told.loads.left("one")
    assert told.second() == {"shop/cart": Load(concurrency=3)}
    told.loads.left("nobody")


def test_a_proxy_that_comes_back_counts_once_when_the_old_stream_has_ended() -> None:
    told = Told()
    told.loads.heard("old", report(busy(4)), told.now)
    told.loads.heard("new", report(busy(4)), told.now)
    told.loads.left("old")
    assert told.second() == {"shop/cart": Load(concurrency=4)}


def test_who_reports_is_known_so_that_silence_is_not_taken_for_rest() -> None:
    told = Told()
    told.second(one=(), two=(busy(1),))
    assert told.loads.reporting(told.now) == {"one", "two"}
    told.second(two=())
    assert told.loads.reporting(told.now + PATIENCE_S) == {"two"}


class TestQuiet:
    def test_is_who_had_nothing_for_a_whole_interval_since(self) -> None:
        told = Told()
        since = told.now
        told.second(one=(), two=())
        assert told.loads.quiet(A, since) == set(), "their intervals began before"
        told.second(one=(), two=(busy(0, 1, 1),))
        assert told.loads.quiet(A, since) == {"one"}
        assert told.loads.quiet(B, since) == {"one", "two"}
        told.second(one=(), two=(busy(),))
        assert told.loads.quiet(A, since) == {"one", "two"}
        assert told.loads.quiet(A, told.now) == set()

    def test_is_nobody_who_has_something_in_progress(self) -> None:
        told = Told()
        for _ in range(3):
            told.second(one=(busy(1),))
        assert told.loads.quiet(A, 0) == set()

    def test_is_nobody_who_left(self) -> None:
        told = Told()
        for _ in range(3):
            told.second(one=())
        told.loads.left("one")
        assert told.loads.quiet(A, 0) == set()


@given(st.lists(st.integers(0, 40), min_size=3, max_size=30))
def test_over_time_nothing_that_was_issued_is_lost_or_counted_twice(issued: list[int]) -> None:
    told = Told()
    total = 0.0
    for count in (*issued, 0):
        total += told.second(one=(busy(0, count, count),)).get("shop/cart", Load()).requests
    assert total == pytest.approx(sum(issued))


@given(st.lists(st.sampled_from((0.2, 0.7, 1.0, 1.3, 1.9)), min_size=10, max_size=40))
def test_steady_load_reads_as_steady_however_readings_fall(steps: list[float]) -> None:
    told = Told()
    told.second(one=(busy(8, 8, 8),))
    report_at, now = told.now + 1, told.now
    for step in steps:
        now += step
        while report_at <= now:
            told.loads.heard("one", report(busy(8, 8, 8)), report_at)
            report_at += 1
        assert told.loads.read(now) == {"shop/cart": Load(8, 8, 8)}


def test_what_has_ended_is_told_once_with_its_errors() -> None:
    loads = Loads(lambda cluster: cluster)
    for reporter in ("one", "two"):
        total = Counts(in_progress=3, issued=9, succeeded=5, errors=1)
        loads.heard(reporter, Report(reporter, "edge", (ClusterReport("cart", 1.0, {}, total),)), 0.0)
    assert loads.ended() == {"cart": Tally(12, 2)}
    assert loads.ended() == {}
