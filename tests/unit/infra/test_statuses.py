"""Statuses are written when they matter, once, and only by whoever may promise something."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from edgerun.api.meta import ObjectKey
from edgerun.errors import ApiError, ConflictError, ForbiddenError, NotFoundError, UnavailableError
from edgerun.infra.kubernetes.statuses import CONCURRENCY, LATER_S, Object, StatusWriter
from support.working import at_work

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

KEY = ObjectKey("EdgeRoute", "shop", "web")


def raw(status: Object | None = None, uid: str = "u1") -> Object:
    return {"metadata": {"name": "web", "namespace": "shop", "uid": uid}, "status": status}


def status(ready: str = "True", message: str = "", proxies: int = 2) -> dict[str, Any]:
    part = {"type": "Programmed", "status": ready, "reason": "Programmed", "message": message}
    return {"observedGeneration": 1, "conditions": [part], "edges": [{"name": "default", "proxies": proxies}]}


class Server:
    """Takes statuses, and answers with `errors` first."""

    def __init__(self, *errors: ApiError) -> None:
        self.errors, self.written, self.results = list(errors), list[Object](), list[str]()
        self.attempts = self.at_once = self.most = 0
        self.writes = True
        self.loses = False
        self.writer = StatusWriter(self, lambda: self.writes, self.results.append)

    async def apply_status(self, manifest: Object) -> Object:
        self.attempts += 1
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await asyncio.sleep(0.01)
        self.at_once -= 1
        if self.errors:
            raise self.errors.pop(0)
        self.written.append(manifest)
        if self.loses:
            self.writes = False
        return manifest

    @property
    def statuses(self) -> list[Any]:
        return [one["status"] for one in self.written]


@asynccontextmanager
async def writing(server: Server) -> AsyncIterator[StatusWriter]:
    async with at_work(server.writer.run(), "the writer"):
        yield server.writer


async def test_an_object_that_is_programmed_within_a_moment_gets_one_write() -> None:
    server = Server()
    async with writing(server) as writer:
        writer.see(KEY, raw())
        writer.want(KEY, status("False"))
        await asyncio.sleep(0.05)
        writer.want(KEY, status("True"))
        await asyncio.sleep(LATER_S * 2)
    assert server.statuses == [status("True")]
    (document,) = server.written
    assert document["metadata"] == {"name": "web", "namespace": "shop", "uid": "u1"}
    assert document["apiVersion"] == "edgerun.dev/v1alpha1"
    assert server.results == ["changed"]


async def test_numbers_and_the_words_of_what_is_well_may_lag_behind() -> None:
    server = Server()
    async with writing(server) as writer:
        writer.see(KEY, raw(status(message="2 of 2", proxies=2)))
        for proxies in range(3, 10):
            writer.want(KEY, status(message=f"{proxies} of {proxies}", proxies=proxies))
            await asyncio.sleep(1)
        assert server.written == []
        await asyncio.sleep(LATER_S)
        assert server.statuses == [status(message="9 of 9", proxies=9)]


async def test_what_is_bad_is_said_at_once_although_a_number_waits() -> None:
    server = Server()
    async with writing(server) as writer:
        writer.see(KEY, raw(status(proxies=2)))
        writer.want(KEY, status(proxies=3))
        await asyncio.sleep(1)
        writer.want(KEY, status("False", "1 of 3", proxies=3))
        await asyncio.sleep(0.2)
        assert server.statuses == [status("False", "1 of 3", proxies=3)]


async def test_nothing_is_written_when_it_is_there_already() -> None:
    server = Server()
    async with writing(server) as writer:
        writer.want(KEY, status())
        writer.see(KEY, raw(status()))
        writer.nudge()
        await asyncio.sleep(LATER_S * 2)
        writer.see(KEY, raw(status()))
        await asyncio.sleep(LATER_S * 2)
    assert server.attempts == 0


async def test_what_somebody_else_wrote_is_put_right() -> None:
    server = Server()
    async with writing(server) as writer:
        writer.see(KEY, raw(status()))
        writer.want(KEY, status())
        writer.see(KEY, raw(status("False")))
        await asyncio.sleep(1)
    assert server.statuses == [status()]


async def test_an_old_status_that_the_watch_still_tells_is_no_reason_to_write_again() -> None:
    server = Server()
    async with writing(server) as writer:
        writer.see(KEY, raw())
        writer.want(KEY, status())
        await asyncio.sleep(1)
        writer.see(KEY, raw())
        await asyncio.sleep(0.05)
        writer.see(KEY, raw(status()))
        await asyncio.sleep(LATER_S * 2)
    assert len(server.written) == 1


async def test_nothing_is_said_before_it_may_be_and_all_of_it_then_without_a_word() -> None:
    server = Server()
    server.writes = False
    async with writing(server) as writer:
        writer.see(KEY, raw())
        writer.want(KEY, status("False"))
        await asyncio.sleep(60)
        writer.want(KEY, status())
        assert server.attempts == 0
        server.writes = True
        await asyncio.sleep(1)
        assert server.statuses == [status()]


async def test_whoever_loses_the_lead_stops_in_the_middle() -> None:
    server = Server()
    server.loses = True
    keys = [ObjectKey("EdgeRoute", "shop", f"r{number}") for number in range(CONCURRENCY * 3)]
    async with writing(server) as writer:
        for key in keys:
            writer.see(key, raw())
            writer.want(key, status())
        await asyncio.sleep(60)
        assert len(server.written) == CONCURRENCY
        assert server.most == CONCURRENCY
        server.loses, server.writes = False, True
        writer.nudge()
        await asyncio.sleep(1)
        assert len(server.written) == len(keys)


async def test_nothing_is_said_of_an_object_that_bears_the_name_of_another() -> None:
    server = Server(*[ConflictError("uid")] * 20)
    async with writing(server) as writer:
        writer.see(KEY, raw())
        writer.want(KEY, status())
        await asyncio.sleep(60)
        assert server.results == ["conflict"] * 6, "it is asked again with growing pauses"
        writer.gone(KEY)
        server.errors.clear()
        writer.see(KEY, raw(uid="u2"))
        await asyncio.sleep(60)
        assert server.attempts == 6, "nobody has said anything of the new one"
        writer.want(KEY, status("False"))
        await asyncio.sleep(1)
        assert server.written[0]["metadata"]["uid"] == "u2"


async def test_late_news_of_a_status_before_make_no_second_write() -> None:
    server = Server()
    async with writing(server) as writer:
        for ready in ("False", "True"):
            writer.see(KEY, raw(server.statuses[-1] if server.statuses else None))
            writer.want(KEY, status(ready))
            await asyncio.sleep(1)
        writer.see(KEY, raw(status("False")))
        await asyncio.sleep(1)
        writer.see(KEY, raw(status("True")))
        await asyncio.sleep(60)
        assert server.statuses == [status("False"), status("True")]
        writer.see(KEY, raw(status("False")))
        await asyncio.sleep(3)
        assert server.statuses[2:] == [status("True")], "it is what somebody else has written"


async def test_a_conflict_with_somebody_who_wrote_at_the_same_moment_is_made_good() -> None:
    server = Server(ConflictError("the object has been modified"))
    async with writing(server) as writer:
        writer.see(KEY, raw())
        writer.want(KEY, status())
        await asyncio.sleep(2)
        assert (server.results, server.statuses) == (["conflict", "changed"], [status()])


async def test_an_object_that_goes_while_it_is_written_about_is_forgotten() -> None:
    server = Server(NotFoundError("gone"))
    async with writing(server) as writer:
        writer.see(KEY, raw())
        writer.want(KEY, status())
        await asyncio.sleep(0.105)
        writer.gone(KEY)
        await asyncio.sleep(60)
    assert server.attempts == 1
    assert writer.shown(KEY) == {}


async def test_a_server_that_does_not_answer_is_asked_again_and_not_sooner_because_things_change() -> None:
    server = Server(*[UnavailableError("connection refused", retry_after_s=20)] * 2)
    async with writing(server) as writer:
        writer.see(KEY, raw())
        writer.want(KEY, status())
        for number in range(19):
            await asyncio.sleep(1)
            writer.want(KEY, status(proxies=number))
        assert server.attempts == 1
        await asyncio.sleep(60)
    assert server.statuses == [status(proxies=18)]
    assert server.results == ["error", "error", "changed"]


async def test_a_refusal_is_tried_again_with_pauses_of_a_minute_in_the_end() -> None:
    server = Server(*[ForbiddenError("no")] * 1000)
    async with writing(server) as writer:
        writer.see(KEY, raw())
        writer.want(KEY, status())
        await asyncio.sleep(3600)
    assert 60 <= server.attempts <= 70
