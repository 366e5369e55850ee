"""Waiting with a deadline: what it returns, what it forgives and what it says when it gives up."""

import asyncio

import pytest

from support.poll import NotInTimeError, eventually, eventually_sync


async def test_the_first_true_value_is_returned() -> None:
    values = iter([0, "", None, 7, 8])
    assert await eventually(lambda: next(values)) == 7


async def test_a_coroutine_is_awaited() -> None:
    seen = []

    async def check() -> bool:
        seen.append(await asyncio.sleep(0, "tick"))
        return len(seen) == 3

    assert await eventually(check)
    assert seen == ["tick"] * 3


async def test_a_failed_assertion_and_a_refused_connection_mean_not_yet() -> None:
    outcomes = iter([AssertionError("status was 503"), ConnectionRefusedError(), None])

    def check() -> bool:
        if outcome := next(outcomes):
            raise outcome
        return True

    assert await eventually(check)


async def test_another_exception_comes_through_at_once() -> None:
    def check() -> bool:
        raise KeyError("a mistake in the test")

    with pytest.raises(KeyError):
        await eventually(check)


async def test_the_failure_names_the_wait_and_the_last_thing_seen() -> None:
    def check() -> bool:
        raise AssertionError("status was 503")

    with pytest.raises(NotInTimeError, match=r"not within 0\.02 s: the new route; last seen: status was 503"):
        await eventually(check, within_s=0.02, what="the new route")


def test_the_plain_form_does_the_same() -> None:
    values = iter([0, 0, 5])
    assert eventually_sync(lambda: next(values)) == 5
    with pytest.raises(NotInTimeError, match="last seen: 0"):
        eventually_sync(lambda: 0, within_s=0.02)
