"""Waiting for something to become true, with a deadline: what tests use in place of sleeping.

`eventually` is for coroutines, `eventually_sync` for plain tests. Both return the first true value of `check`; an
AssertionError or OSError from it means "not yet", any other exception is a mistake and comes through at once. Trap: a
check that blocks is not interrupted by the deadline.
"""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar, overload

T = TypeVar("T")
PATIENCE_S = 60.0  # only a test that fails waits for so long: a busy machine takes ten times as long for everything
_STEP_S = 0.01
_NOT_YET = (AssertionError, OSError)


class NotInTimeError(AssertionError):
    """The deadline passed. The message tells what was waited for and the last thing that was seen."""


@dataclass(frozen=True, slots=True)
class _NotYet:
    seen: str


@overload
async def eventually(
    check: Callable[[], Awaitable[T]], *, within_s: float = ..., step_s: float = ..., what: str = ...
) -> T: ...


@overload
async def eventually(check: Callable[[], T], *, within_s: float = ..., step_s: float = ..., what: str = ...) -> T: ...


async def eventually(
    check: Callable[[], Any], *, within_s: float = PATIENCE_S, step_s: float = _STEP_S, what: str = ""
) -> Any:
    """The first true value of `check`, which may be a coroutine function."""
    deadline = time.monotonic() + within_s
    while True:
        outcome = await _outcome(check)
        if not isinstance(outcome, _NotYet):
            return outcome
        if time.monotonic() >= deadline:
            raise NotInTimeError(_message(check, what, within_s, outcome))
        await asyncio.sleep(step_s)


def eventually_sync(
    check: Callable[[], T], *, within_s: float = PATIENCE_S, step_s: float = _STEP_S, what: str = ""
) -> T:
    """The first true value of `check`."""
    deadline = time.monotonic() + within_s
    while True:
        outcome = _outcome_sync(check)
        if not isinstance(outcome, _NotYet):
            return outcome
        if time.monotonic() >= deadline:
            raise NotInTimeError(_message(check, what, within_s, outcome))
        time.sleep(step_s)


async def _outcome(check: Callable[[], Any]) -> Any:
    try:
        value = check()
        return _judged(await value if inspect.isawaitable(value) else value)
    except _NOT_YET as error:
        return _NotYet(str(error) or repr(error))


def _outcome_sync(check: Callable[[], T]) -> T | _NotYet:
    try:
        return _judged(check())
    except _NOT_YET as error:
        return _NotYet(str(error) or repr(error))


def _judged(value: T) -> T | _NotYet:
    return value if value else _NotYet(repr(value))


def _message(check: Callable[[], Any], what: str, within_s: float, last: _NotYet) -> str:
    name = what or getattr(check, "__qualname__", repr(check))
    return f"not within {within_s:g} s: {name}; last seen: {last.seen}"
