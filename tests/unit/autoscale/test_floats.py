"""Arithmetic where Python and Go differ."""

import math

import pytest

from edgerun.autoscale import floats

INF, NAN = math.inf, math.nan


def same(left: float, right: float) -> bool:
    return left == right or (math.isnan(left) and math.isnan(right))


@pytest.mark.parametrize(
    ("dividend", "divisor", "quotient"),
    [(1, 4, 0.25), (1, 0.0, INF), (-1, 0.0, -INF), (1, -0.0, -INF), (0.0, 0.0, NAN), (NAN, 0.0, NAN), (INF, 2, INF)],
)
def test_division_answers_always(dividend: float, divisor: float, quotient: float) -> None:
    assert same(floats.quotient(dividend, divisor), quotient)


@pytest.mark.parametrize(
    ("value", "converted"),
    [
        (1.9, 1),
        (-1.9, -1),
        (2147483647.9, 2147483647),
        (2147483648.0, -(2**31)),
        (-2147483648.9, -(2**31)),
        (4294967301.0, -(2**31)),
        (-1e300, -(2**31)),
        (INF, -(2**31)),
        (NAN, -(2**31)),
    ],
)
def test_what_no_int32_can_hold_becomes_the_least_one(value: float, converted: int) -> None:
    assert floats.int32(value) == converted


@pytest.mark.parametrize("value", [INF, -INF, NAN])
def test_what_has_no_whole_number_stays(value: float) -> None:
    assert same(floats.ceil(value), value)
    assert same(floats.floor(value), value)
    assert same(floats.rounded(value, 6), value)


def test_no_number_wins_but_over_the_end_of_its_side() -> None:
    assert same(floats.larger(NAN, 3), NAN)
    assert same(floats.smaller(3, NAN), NAN)
    assert floats.larger(NAN, INF) == INF
    assert floats.smaller(-INF, NAN) == -INF
    assert (floats.larger(1, 2), floats.smaller(1, 2)) == (2, 1)


@pytest.mark.parametrize(
    ("value", "rounded"),
    [(70.0000001, 70.0), (70.0000005, 70.000001), (-0.5e-6, -1e-6), (0.49e-6, 0.0), (1 / 3, 0.333333), (1e308, INF)],
)
def test_halves_are_rounded_away_from_zero(value: float, rounded: float) -> None:
    assert floats.rounded(value, 6) == rounded


def test_a_power_is_that_of_repeated_squaring() -> None:
    assert floats.power(0.8, 0) == 1
    assert floats.power(0.5, 60) == 2.0**-60
    assert all(math.isclose(floats.power(0.8, exponent), 0.8**exponent) for exponent in range(3600))
