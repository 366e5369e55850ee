"""The time that is believed, on machines whose clock jumps, drifts and sleeps, and beside API servers that are away."""

import logging
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerun.credentials.clock import SKEW, STEP, SteadyClock
from edgerun.credentials.keys import Phase, entered, new, new_private
from edgerun.credentials.tokens import Terms, Wallet, mint
from edgerun.translate.identities import Claim
from support.authorities import START

SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


class Machine:
    """One whose clock is `offset` ahead of the truth, and an API server whose clock is `server` ahead of it.

    What is counted runs `ppm` millionths too fast; while it sleeps it stops if `stops`.
    """

    def __init__(
        self, *, offset: timedelta = timedelta(), heard: bool = True, ppm: int = 0, stops: bool = False
    ) -> None:
        self.truth, self.counted = START, 12_345.0
        self.offset, self.server, self.reachable, self.ppm, self.stops = offset, timedelta(), heard, ppm, stops
        self.date: tuple[datetime, float] | None = None
        self.listen()
        self.clock = SteadyClock(self.told, wall=self.wall, elapsed=lambda: self.counted)

    def wall(self) -> datetime:
        return self.truth + self.offset

    def listen(self) -> None:
        if self.reachable:
            self.date = (self.truth + self.server).replace(microsecond=0) + SECOND / 2, self.counted

    def told(self) -> datetime | None:
        return self.date and self.date[0] + timedelta(seconds=self.counted - self.date[1])

    def go(self, span: timedelta) -> timedelta:
        """The error afterwards."""
        self.truth += span
        self.counted += span.total_seconds() * (1 + self.ppm / 1e6)
        self.listen()
        return self.error()

    def sleep(self, span: timedelta) -> timedelta:
        """The error when it wakes up, before anybody has answered."""
        self.truth += span
        self.counted += 0 if self.stops else span.total_seconds()
        return self.error()

    def jump(self, offset: timedelta) -> timedelta:
        """The error after the clock has been set to be that far ahead."""
        self.offset = offset
        return self.error()

    def error(self) -> timedelta:
        return self.clock() - self.truth


@pytest.mark.parametrize("heard", [True, False])
@pytest.mark.parametrize("offset", [HOUR, -HOUR, 10 * SECOND, -365 * DAY])
def test_a_clock_that_is_set_wrong_is_not_followed(offset: timedelta, heard: bool) -> None:
    machine = Machine(heard=heard)
    machine.go(MINUTE)
    assert abs(machine.jump(offset)) < SECOND
    assert abs(machine.go(HOUR)) < SECOND
    assert machine.jump(timedelta()) == timedelta()
    assert machine.go(HOUR) == timedelta()


def test_a_clock_that_is_set_right_is_followed_once_the_api_server_agrees() -> None:
    machine = Machine(offset=HOUR, heard=False)
    assert machine.go(MINUTE) == HOUR, "nobody knows better"
    assert machine.jump(timedelta()) == HOUR
    machine.reachable = True
    assert machine.go(SECOND) == timedelta()


@pytest.mark.parametrize("offset", [HOUR, -HOUR, 31 * SECOND])
def test_at_the_start_the_api_server_counts_more(offset: timedelta) -> None:
    machine = Machine(offset=offset)
    assert abs(machine.error()) < SECOND
    assert abs(machine.go(DAY)) < SECOND
    assert machine.jump(timedelta()) == timedelta()


def test_at_the_start_a_small_difference_is_none() -> None:
    assert Machine(offset=SKEW - SECOND).error() == SKEW - SECOND


def test_whoever_starts_without_the_api_server_meets_it_later() -> None:
    machine = Machine(offset=HOUR, heard=False)
    assert machine.go(MINUTE) == HOUR
    machine.reachable = True
    assert abs(machine.go(MINUTE)) < SECOND


def test_a_clock_that_is_slewed_is_followed() -> None:
    machine = Machine()
    for number in range(1, 200):
        machine.offset = -number * SECOND / 10
        assert machine.go(10 * SECOND) == machine.offset


def test_while_the_clock_is_not_believed_the_api_server_corrects_what_is_counted() -> None:
    machine = Machine(ppm=200)
    machine.jump(HOUR)
    for _ in range(7 * 24):
        assert abs(machine.go(HOUR)) < 4 * SECOND


def test_an_api_server_whose_clock_jumps_is_not_followed() -> None:
    machine = Machine()
    machine.go(MINUTE)
    machine.server = HOUR
    assert machine.go(MINUTE) == timedelta()
    assert abs(machine.jump(-HOUR)) < SECOND, "all three differ: it is counted"
    assert abs(machine.jump(HOUR) - HOUR) < SECOND, "two that agree"


@pytest.mark.parametrize("stops", [True, False])
def test_who_has_slept_knows_what_time_it_is_at_the_next_answer(stops: bool) -> None:
    machine = Machine(stops=stops)
    machine.go(MINUTE)
    assert machine.sleep(8 * HOUR) == (-8 * HOUR if stops else timedelta())
    assert machine.go(SECOND) == timedelta()


def test_without_a_witness_the_clock_of_the_machine_is_the_time() -> None:
    machine = Machine()
    clock = SteadyClock(wall=machine.wall, elapsed=lambda: machine.counted)
    machine.offset = HOUR
    assert clock() == machine.truth + HOUR
    assert clock.skew_s is None


def test_it_is_said_once_and_the_skew_all_the_time(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    machine = Machine()
    assert machine.clock.skew_s == pytest.approx(0, abs=1)
    machine.jump(HOUR)
    for _ in range(10):
        machine.go(MINUTE)
    assert machine.clock.skew_s == pytest.approx(3600, abs=1)
    assert len([one for one in caplog.messages if "not believed, it is ahead by 3600 s" in one]) == 1
    machine.jump(timedelta())
    machine.go(MINUTE)
    assert [one for one in caplog.messages if "believed again" in one] == caplog.messages[1:]


@pytest.mark.parametrize("offset", [HOUR, -HOUR])
def test_a_jump_makes_no_token_that_is_refused_and_has_none_replaced(offset: timedelta) -> None:
    machine, terms, claim = Machine(), Terms(issuer="https://issuer.test"), Claim("system:serviceaccount:a:b", "c")
    key = replace(entered(new(new_private(), START), Phase.SIGNING, START), life=terms.life)
    wallet = Wallet({claim: mint(claim, machine.clock(), key, terms, jti="1")})
    machine.jump(offset)
    machine.go(MINUTE)
    assert wallet.due([claim], machine.clock(), key.kid, terms) == ()
    token = mint(claim, machine.clock(), key, terms, jti="2")
    assert token.issued - terms.backdated <= machine.truth < token.expires


wrong = st.one_of(st.timedeltas(10 * SECOND, 2 * HOUR), st.timedeltas(-2 * HOUR, -10 * SECOND))
steps = st.one_of(
    st.tuples(st.just("go"), st.timedeltas(SECOND, 10 * MINUTE)),
    st.tuples(st.just("jump"), wrong),
    st.tuples(st.just("set right"), st.just(timedelta())),
    st.tuples(st.just("sleep"), st.timedeltas(SECOND, 8 * HOUR)),
    st.tuples(st.sampled_from(["the server goes away", "the server is back"]), st.timedeltas(SECOND, HOUR)),
)
ppm = st.integers(-200, 200)


def lived(machine: Machine, some: Iterable[tuple[str, timedelta]]) -> Iterable[timedelta]:
    """The error after each step."""
    for what, span in some:
        match what:
            case "go":
                yield machine.go(span)
            case "sleep":
                yield machine.sleep(span)
            case "jump" | "set right":
                yield machine.jump(span)
            case _:
                machine.reachable = what == "the server is back"
                yield machine.go(span)


@given(some=st.lists(steps, max_size=60), ppm=ppm)
@settings(max_examples=300, deadline=None)
def test_a_machine_that_was_right_stays_right(some: list[tuple[str, timedelta]], ppm: int) -> None:
    drift = 60 * HOUR * 200e-6
    for error in lived(Machine(ppm=ppm), some):
        assert abs(error) <= STEP + drift


@given(offset=wrong, some=st.lists(steps, max_size=40))
@settings(max_examples=300, deadline=None)
def test_a_machine_that_was_wrong_is_right_once_the_server_was_heard(
    offset: timedelta, some: list[tuple[str, timedelta]]
) -> None:
    machine = Machine(offset=offset, heard=False)
    for error in lived(machine, some):
        if machine.date:
            assert abs(error) <= SKEW + STEP
    machine.reachable, machine.offset = True, timedelta()
    assert machine.go(MINUTE) == timedelta()
