"""Events are bounded in number and size, and nothing goes wrong because one cannot be written."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from edgerun.errors import ApiError, ConflictError, ForbiddenError, UnavailableError
from edgerun.infra.kubernetes import events
from edgerun.infra.kubernetes.events import Herald, Limit, Object, manifest
from edgerun.translate.events import Occurrence, scaled
from edgerun.workqueue import Meter

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
CRASHED = Occurrence("Warning", "CrashLoopBackOff", "Serving", "exit code 1")
ROUTE = {
    "apiVersion": "edgerun.dev/v1alpha1",
    "kind": "EdgeRoute",
    "metadata": {"name": "web", "namespace": "shop", "uid": "u1", "resourceVersion": "7"},
}


def route(uid: str) -> Object:
    return {**ROUTE, "metadata": {**ROUTE["metadata"], "uid": uid}}  # type: ignore[dict-item]


class Written:
    """An API server that answers with `errors` first."""

    def __init__(self, *errors: ApiError) -> None:
        self.errors, self.events, self.outcomes = list(errors), list[Object](), list[str]()
        self.attempts = 0
        self.leading = True

    async def create(self, manifest: Object) -> Object:
        self.attempts += 1
        if self.errors:
            raise self.errors.pop(0)
        self.events.append(manifest)
        return manifest


@asynccontextmanager
async def telling(written: Written, **options: Any) -> AsyncIterator[Herald]:
    clock: Callable[[], float] = asyncio.get_running_loop().time
    herald = Herald(
        written.create,
        instance="edgerun-0",
        may_write=lambda: written.leading,
        outcome=written.outcomes.append,
        meter=Meter(lambda: None, lambda: None, lambda _: None, lambda _: None),
        clock=clock,
        **options,
    )
    task = asyncio.create_task(herald.run(), name="events")
    try:
        yield herald
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_an_event_says_what_happened_to_what() -> None:
    event = manifest(ROUTE, CRASHED, instance="edgerun-0", now=NOW)
    assert event["metadata"]["namespace"] == "shop"
    assert event["metadata"]["name"].startswith("web.")
    assert event["eventTime"] == "2026-01-02T03:04:05.678901Z"
    assert event["regarding"] == {
        "apiVersion": "edgerun.dev/v1alpha1",
        "kind": "EdgeRoute",
        "namespace": "shop",
        "name": "web",
        "uid": "u1",
        "resourceVersion": "7",
    }
    assert (event["reportingController"], event["reportingInstance"]) == ("edgerun.dev/controller", "edgerun-0")
    assert (event["type"], event["reason"], event["note"]) == ("Warning", "CrashLoopBackOff", "exit code 1")


async def test_an_event_of_an_object_of_the_whole_cluster_lies_in_default() -> None:
    proxy = {**ROUTE, "kind": "EdgeProxy", "metadata": {"name": "default", "uid": "u2"}}
    event = manifest(proxy, CRASHED, instance="edgerun-0", now=NOW)
    assert event["metadata"]["namespace"] == "default"
    assert "namespace" not in event["regarding"]


async def test_long_names_and_notes_are_cut_to_what_the_server_takes() -> None:
    long = {**ROUTE, "metadata": {**ROUTE["metadata"], "name": "a" * 230 + "." + "b" * 22}}  # type: ignore[dict-item]
    occurrence = Occurrence("Warning", "Invalid", "Accepting", "é" * 2000)
    event = manifest(long, occurrence, instance="edgerun-0", now=NOW)
    assert len(event["metadata"]["name"]) <= 253
    assert 1020 <= len(event["note"].encode()) <= 1024
    assert event["note"].endswith("é…")


async def test_the_same_reason_of_the_same_object_is_told_seldom() -> None:
    written = Written()
    async with telling(written, limit=Limit(burst=2, refill_s=100)) as herald:
        for _ in range(4):
            herald.tell(ROUTE, CRASHED)
            await asyncio.sleep(3)
        herald.tell(ROUTE, Occurrence("Normal", "Ready", "Serving", ""))
        await asyncio.sleep(87)
        herald.tell(ROUTE, CRASHED)
        await asyncio.sleep(2)
        herald.tell(ROUTE, CRASHED)
        await asyncio.sleep(3)
    assert [event["reason"] for event in written.events] == ["CrashLoopBackOff"] * 2 + ["Ready", "CrashLoopBackOff"]
    assert written.outcomes.count("limited") == 3


async def test_what_is_followed_by_something_else_within_moments_is_not_told() -> None:
    written = Written()
    async with telling(written) as herald:
        herald.tell(ROUTE, Occurrence("Warning", "EdgeNotFound", "Serving", ""))
        herald.tell(route("u2"), CRASHED)
        await asyncio.sleep(events.HELD_S / 2)
        herald.tell(ROUTE, Occurrence("Warning", "OriginNotFound", "Serving", ""))
        await asyncio.sleep(events.HELD_S * 0.9)
        assert [event["regarding"]["uid"] for event in written.events] == ["u2"]
        await asyncio.sleep(1)
    assert [event["reason"] for event in written.events] == ["CrashLoopBackOff", "OriginNotFound"]
    assert written.outcomes == ["overtaken", "written", "written"]


async def test_another_scale_does_not_overtake_a_state() -> None:
    written = Written()
    async with telling(written) as herald:
        herald.tell(ROUTE, CRASHED)
        herald.tell(ROUTE, scaled("Scaled from 1 to 2: 71 concurrent requests, target 70 a replica"))
        herald.tell(ROUTE, scaled("Scaled from 2 to 4: 280 concurrent requests, target 70 a replica"))
        await asyncio.sleep(10)
    assert [(event["reason"], event["note"][:18]) for event in written.events] == [
        (CRASHED.reason, CRASHED.note[:18]),
        ("Scaled", "Scaled from 2 to 4"),
    ]


async def test_a_follower_tells_nothing_and_one_that_lost_its_lease_stops() -> None:
    written = Written()
    async with telling(written) as herald:
        herald.tell(ROUTE, CRASHED)
        written.leading = False
        herald.tell(ROUTE, CRASHED)
        await asyncio.sleep(5)
    assert written.events == []
    assert written.outcomes == ["dropped"]


async def test_a_server_that_does_not_answer_is_asked_again_and_then_left_alone() -> None:
    written = Written(*[UnavailableError("connection refused")] * 4)
    async with telling(written) as herald:
        herald.tell(ROUTE, CRASHED)
        herald.tell(route("u2"), CRASHED)
        await asyncio.sleep(60)
    assert written.outcomes == ["error", "written"]
    assert written.attempts == 5


async def test_an_event_whose_answer_got_lost_is_not_written_twice() -> None:
    written = Written(UnavailableError("reset"), ConflictError("already exists"))
    async with telling(written) as herald:
        herald.tell(ROUTE, CRASHED)
        await asyncio.sleep(60)
    assert written.outcomes == ["written"]


async def test_a_refusal_is_not_repeated_and_disturbs_nobody() -> None:
    written = Written(ForbiddenError("the namespace is being terminated"))
    async with telling(written) as herald:
        herald.tell(ROUTE, CRASHED)
        herald.tell(route("u2"), CRASHED)
        await asyncio.sleep(5)
    assert written.outcomes == ["error", "written"]


async def test_the_queue_is_bounded_and_the_newest_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "QUEUED", 2)
    written = Written()
    async with telling(written) as herald:
        for number in range(4):
            herald.tell(route(f"u{number}"), CRASHED)
        await asyncio.sleep(5)
    assert [event["regarding"]["uid"] for event in written.events] == ["u2", "u3"]
    assert written.outcomes == ["dropped", "dropped", "written", "written"]


async def test_what_is_remembered_of_limits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "REMEMBERED", 10)
    async with telling(Written()) as herald:
        for number in range(50):
            herald.tell(ROUTE, Occurrence("Warning", f"R{number}", "Serving", ""))
        assert len(herald._buckets) == 10
