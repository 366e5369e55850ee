"""The averages, against what was recorded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun.autoscale.windows import Aggregation, Averages, WeightedWindow, Window, Windows

SIZE = 6


def ns(seconds: float) -> int:
    return round(seconds * 1e9)


def filled(window: Window, *records: tuple[float, float]) -> Window:
    for at, value in records:
        window.record(ns(at), value)
    return window


def linear(*records: tuple[float, float]) -> Window:
    return filled(Window(SIZE), *records)


def test_what_comes_in_the_same_second_is_added_up() -> None:
    assert linear((10.0, 1), (10.9, 2)).average(ns(10.95)) == 3


def test_a_window_that_has_just_begun_is_averaged_over_its_own_time() -> None:
    assert linear((10, 6), (11, 0)).average(ns(11)) == 3


def test_a_gap_counts_as_no_load() -> None:
    assert linear((10, 6), (13, 6)).average(ns(13)) == 3


def test_without_news_the_average_is_that_of_what_is_left() -> None:
    window = linear(*((at, float(at)) for at in range(10, 16)))
    assert window.average(ns(15)) == sum(range(10, 16)) / 6
    assert window.average(ns(17)) == sum(range(12, 16)) / 4
    assert window.average(ns(20)) == 15
    assert window.average(ns(21)) == 0


def test_after_a_whole_window_of_silence_it_begins_anew() -> None:
    assert linear((10, 600), (16, 4)).average(ns(16)) == 4
    assert linear((10, 600), (15, 3)).average(ns(15)) == 603 / 6


def test_what_comes_late_counts_where_it_belongs_and_what_comes_too_late_does_not() -> None:
    window = linear((10, 6), (12, 6), (11, 3))
    assert window.average(ns(12)) == 5
    window.record(ns(6), 1000)
    assert window.average(ns(12)) == 5
    window.record(ns(7), 9)
    assert window.average(ns(12)) == 4, "6 seconds have been seen"


def test_an_average_has_six_decimals() -> None:
    assert linear((10, 1), (11, 0), (12, 0)).average(ns(12)) == 0.333333
    assert linear((10, 70.0000001)).average(ns(10)) == 70


def test_it_is_empty_when_more_than_a_window_has_passed() -> None:
    assert Window(SIZE).empty(0)
    assert Window(SIZE).average(0) == 0
    window = linear((10, 1))
    assert not window.empty(ns(16.9))
    assert window.average(ns(16)) == 0
    assert window.empty(ns(17))


def test_the_weighted_window_prefers_what_is_new() -> None:
    rising = filled(WeightedWindow(4), *((at, float(at)) for at in range(1, 5)))
    falling = filled(WeightedWindow(4), *((at, 5.0 - at) for at in range(1, 5)))
    assert rising.average(ns(4)) > 2.5 > falling.average(ns(4))


@pytest.mark.parametrize(("seconds", "weight"), [(1, 0.9999), (2, 0.99), (6, 1 - 1e-4 ** (1 / 6)), (60, 0.2)])
def test_the_newest_bucket_has_the_weight_that_its_window_asks_for(seconds: int, weight: float) -> None:
    window = filled(WeightedWindow(seconds), (10, 1000))
    assert window.average(ns(10)) == pytest.approx(1000 * weight, rel=1e-12)
    assert window.average(ns(11)) == pytest.approx(1000 * weight * (1 - weight) * (seconds > 1), rel=1e-12)


def test_two_windows_are_filled_together() -> None:
    windows = Windows(60, 6)
    assert windows.averages(0) is None
    for second in range(100):
        windows.record(ns(second), 10 if second < 94 else 100)
    assert windows.averages(ns(99)) == Averages(stable=(54 * 10 + 6 * 100) / 60, panic=100)
    assert windows.averages(ns(120)) == Averages(stable=23.846154, panic=0), "33 seconds of 10 and 6 of 100"
    assert windows.averages(ns(160)) is None


def test_two_windows_may_be_weighted() -> None:
    windows = Windows(60, 6, Aggregation.WEIGHTED_EXPONENTIAL)
    windows.record(0, 10)
    averages = windows.averages(0)
    assert averages is not None
    assert averages.stable == pytest.approx(2)
    assert averages.panic == pytest.approx(10 * (1 - 1e-4 ** (1 / 6)))


events = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 100)), min_size=1, max_size=40)


@given(events, st.integers(0, 8))
def test_the_average_is_that_of_the_buckets_of_the_window(gaps: list[tuple[int, int]], silence: int) -> None:
    window, records, now, began = Window(SIZE), list[tuple[int, int]](), 100, 100
    for gap, value in gaps:
        now += gap
        began = now if gap >= SIZE or not records else began
        records = [(at, seen) for at, seen in records if at >= began] + [(now, value)]
        window.record(ns(now), value)
    last, now = now, now + silence
    total = sum(value for at, value in records if at > now - SIZE)
    length = min(last - began + 1, SIZE - silence)
    assert window.average(ns(now)) == pytest.approx(total / length if silence < SIZE else 0, abs=1e-6)


@given(events)
def test_only_differences_of_time_matter(gaps: list[tuple[int, int]]) -> None:
    averages = []
    for start in (0, 1_700_000_000):
        window, now = Window(SIZE), start
        for gap, value in gaps:
            now += gap
            window.record(ns(now), value)
        averages.append(window.average(ns(now)))
    assert averages[0] == averages[1]


@given(events, st.integers(1, 12))
def test_another_length_keeps_what_is_known(gaps: list[tuple[int, int]], length: int) -> None:
    window, other, now = Window(SIZE), Window(length), 100
    for gap, value in gaps:
        now += gap
        window.record(ns(now), value)
        other.record(ns(now), value)
    resized = window.resized(length)
    if length <= SIZE and now - 100 < SIZE and all(gap < length for gap, _ in gaps[1:]):
        assert resized.average(ns(now)) == pytest.approx(other.average(ns(now)), abs=1e-6)
    elif length > SIZE:
        assert resized.average(ns(now)) == pytest.approx(window.average(ns(now)), abs=1e-6)


def test_two_windows_of_another_length_are_of_the_same_kind() -> None:
    windows = Windows(60, 6)
    for second in range(60):
        windows.record(ns(second), second)
    assert windows.resized(30, 3).averages(ns(59)) == Averages(stable=44.5, panic=58)
