"""The applier brings what is there to what is wanted, writes nothing else, and touches nothing of anybody else's."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from copy import deepcopy
from typing import Any

import pytest

from edgerun.api.meta import ObjectKey, object_key
from edgerun.errors import ApiError, InvalidError, NotFoundError, UnavailableError
from edgerun.infra.kubernetes.applier import CONCURRENCY, Applier, Result, TakenError
from edgerun.infra.kubernetes.applying import Object, stamped
from edgerun.infra.kubernetes.pauses import BACKOFF_LIMIT_S
from edgerun.infra.kubernetes.yielding import Yielding
from support.working import at_work

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

OURS = {"managed": "us"}
SOON_S = 0.3


def manifest(name: str = "a", *, kind: str = "Deployment", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "shop", "labels": OURS},
        "spec": spec,
    }


def ours(raw: Object) -> bool:
    return bool(raw["metadata"].get("labels") == OURS)


class Server:
    """Stores what is applied, as an API server would: it counts generations and has words of its own for values."""

    def __init__(self) -> None:
        self.objects: dict[ObjectKey, dict[str, Any]] = {}
        self.asked: list[tuple[str, str]] = []
        self.fails: list[ApiError] = []
        self.writes = True
        self.during: Callable[[str], None] = lambda verb: None
        self.shows: Callable[[dict[str, Any]], None] = lambda raw: None
        self.tells_first = False  # watches may be faster than answers
        self.uids = 0
        self.at_once = self.most = 0
        self.told: list[tuple[str, str]] = []
        self.words: dict[str, str] = {}
        self.scaled: list[tuple[int, int]] = []
        self.applier = Applier(self, lambda: self.writes, self, ours, Yielding(self._accepts))

    async def get(self, key: ObjectKey) -> Object:
        await self._asked("get", key.name)
        if key not in self.objects:
            raise NotFoundError(f"no {key}")
        return deepcopy(self.objects[key])

    async def apply(self, manifest: Object) -> Object:
        key = object_key(manifest)
        await self._asked("apply", key.name)
        if self.fails:
            raise self.fails.pop(0)
        answer = deepcopy(self.put(manifest))
        if self.tells_first:
            self.applier.see(deepcopy(answer))
            await asyncio.sleep(0.01)
        return answer

    async def hand_over(self, manifest: Object) -> Object:
        await self._asked("hand over", f"{manifest['metadata']['name']} {manifest['spec']}")
        return manifest

    async def delete(self, key: ObjectKey, uid: str) -> None:
        await self._asked("delete", f"{key.name} {uid}")
        if self.fails:
            raise self.fails.pop(0)
        del self.objects[key]

    async def _asked(self, verb: str, what: str) -> None:
        self.asked.append((verb, what))
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await asyncio.sleep(0.01)
        self.at_once -= 1
        self.during(verb)

    def put(self, manifest: Object) -> dict[str, Any]:
        """As if by anybody."""
        before = self.objects.get(object_key(manifest))
        self.uids += 1
        raw = deepcopy(dict(manifest))
        metadata: dict[str, Any] = before["metadata"] if before else {"uid": str(self.uids), "generation": 0}
        raw["metadata"] |= {"uid": metadata["uid"], "generation": metadata["generation"] + 1}
        self.shows(raw)
        self.objects[object_key(raw)] = raw
        return raw

    def scale(self, name: str, replicas: int) -> dict[str, Any]:
        """As `kubectl scale` does."""
        return self.put({**self.objects[object_key(manifest(name))], "spec": {"replicas": replicas}})

    # What the applier tells.

    def applied(self, kind: str, result: Result) -> None:
        self.told.append((kind, result))

    def refused(self, manifest: Object, error: ApiError | None) -> None:
        self.words.pop(manifest["metadata"]["name"], None)
        if error:
            self.words[manifest["metadata"]["name"]] = str(error)

    def stored(self, raw: Object) -> None:
        self.told.append((raw["kind"], "stored"))

    def _accepts(self, raw: Object, before: int) -> bool:
        self.scaled.append((before, raw["spec"]["replicas"]))
        return bool(raw["metadata"]["name"] == "scaled")

    @property
    def written(self) -> list[tuple[str, str]]:
        return [(verb, what) for verb, what in self.asked if verb != "get"]


@asynccontextmanager
async def applying(server: Server) -> AsyncIterator[Applier]:
    async with at_work(server.applier.run(), "the applier"):
        yield server.applier


async def test_what_is_wanted_is_made_and_then_left_alone() -> None:
    server = Server()
    async with applying(server) as applier:
        applier.want([manifest("a"), manifest("b")])
        await asyncio.sleep(SOON_S)
        assert server.written == [("apply", "a"), ("apply", "b")]
        for raw in server.objects.values():
            applier.see(raw)
        applier.want([manifest("a"), manifest("b")])
        applier.nudge()
        await asyncio.sleep(60)
        assert len(server.written) == 2


async def test_before_anything_is_wanted_nothing_is_deleted() -> None:
    server = Server()
    async with applying(server) as applier:
        applier.see(server.put(manifest("old")))
        await asyncio.sleep(60)
    assert server.asked == []


async def test_what_is_there_and_right_is_not_written_by_one_who_starts_anew() -> None:
    server = Server()
    server.put(stamped(manifest("a")))
    async with applying(server) as applier:
        applier.want([manifest("a")])
        await asyncio.sleep(60)
    assert server.asked == [("get", "a")]


async def test_what_somebody_else_changed_is_put_right_and_what_they_added_is_left() -> None:
    server = Server()
    async with applying(server) as applier:
        applier.want([manifest(replicas=2)])
        await asyncio.sleep(SOON_S)
        made = server.put(manifest(replicas=9))
        applier.see(made)
        await asyncio.sleep(SOON_S)
        assert server.written == [("apply", "a")] * 2
        more = deepcopy(server.objects[object_key(made)])
        more["spec"]["paused"] = True
        more["metadata"]["annotations"]["theirs"] = "1"
        applier.see(more)
        await asyncio.sleep(60)
        assert len(server.written) == 2


async def test_who_scales_by_hand_is_asked_about_once_and_not_fought_until_something_was_decided() -> None:
    server = Server()
    async with applying(server) as applier:
        applier.want([manifest("scaled", replicas=2)])
        await asyncio.sleep(SOON_S)
        for _ in range(2):
            applier.see(server.scale("scaled", 9))
            await asyncio.sleep(60)
        assert (server.scaled, server.written) == ([(2, 9)], [("apply", "scaled")])
        applier.want([manifest("scaled", replicas=9)])
        await asyncio.sleep(60)
        assert server.written == [("apply", "scaled")] * 2, "it is ours from now on"
        applier.see(server.scale("scaled", 30))
        await asyncio.sleep(SOON_S)
        applier.want([manifest("scaled", replicas=9)])
        await asyncio.sleep(60)
        assert server.scaled == [(2, 9), (9, 30)]
        assert server.written == [("apply", "scaled")] * 3, "that was out of bounds"


async def test_a_number_of_ones_own_that_is_told_before_the_answer_is_nobody_elses() -> None:
    server = Server()

    server.tells_first = True
    async with applying(server) as applier:
        for replicas in (2, 5, 3):
            applier.want([manifest("scaled", replicas=replicas)])
            await asyncio.sleep(SOON_S)
        assert (server.scaled, len(server.written)) == ([], 3)


async def test_a_number_that_somebody_else_gave_who_led_meanwhile_is_nobodys_hand() -> None:
    server = Server()
    async with applying(server) as applier:
        applier.want([manifest("scaled", replicas=2)])
        await asyncio.sleep(SOON_S)
        server.writes = False
        applier.see(server.put(stamped(manifest("scaled", replicas=4))))
        applier.want([manifest("scaled", replicas=4)])
        await asyncio.sleep(60)
        server.writes = True
        applier.nudge()
        await asyncio.sleep(60)
        assert (server.scaled, server.written) == ([], [("apply", "scaled")])


async def test_a_field_that_is_wanted_no_more_is_taken_away() -> None:
    server = Server()
    async with applying(server) as applier:
        applier.want([manifest(replicas=2, paused=True)])
        await asyncio.sleep(SOON_S)
        applier.want([manifest(replicas=2)])
        await asyncio.sleep(SOON_S)
    assert len(server.written) == 2
    assert server.objects[object_key(manifest())]["spec"] == {"replicas": 2}


async def test_a_number_of_replicas_that_is_left_to_an_autoscaler_stays() -> None:
    server = Server()
    async with applying(server) as applier:
        applier.want([manifest(replicas=5)])
        await asyncio.sleep(SOON_S)
        made = server.objects[object_key(manifest())]
        owned = {"manager": "edgerun", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
        made["metadata"]["managedFields"] = [owned]
        applier.want([manifest()])
        await asyncio.sleep(SOON_S)
        assert server.written[1:] == [("hand over", "a {'replicas': 5}"), ("apply", "a")]
        applier.want([manifest(paused=True)])
        await asyncio.sleep(SOON_S)
        assert server.written[3:] == [("apply", "a")], "it was handed over"


async def test_a_value_that_the_server_writes_in_its_own_way_is_applied_once() -> None:
    def rewrite(raw: dict[str, Any]) -> None:
        raw["spec"]["cpu"] = "500m"

    server = Server()
    server.shows = rewrite
    async with applying(server) as applier:
        applier.want([manifest(cpu="0.5")])
        await asyncio.sleep(SOON_S)
        applier.see(server.objects[object_key(manifest())])
        applier.nudge()
        await asyncio.sleep(60)
    assert server.written == [("apply", "a")]


async def test_an_object_of_somebody_else_is_not_taken_over() -> None:
    server = Server()
    theirs = manifest("a")
    theirs["metadata"]["labels"] = {}
    server.put(theirs)
    async with applying(server) as applier:
        applier.want([manifest("a"), manifest("b")])
        await asyncio.sleep(SOON_S)
        assert server.written == [("apply", "b")]
        assert "not made by Edgerun" in server.words["a"]
        del server.objects[object_key(theirs)]
        await asyncio.sleep(BACKOFF_LIMIT_S)
        assert server.written[-1] == ("apply", "a")
        assert server.words == {}


async def test_of_two_that_want_the_same_name_the_first_has_it_and_the_other_is_told() -> None:
    server = Server()
    async with applying(server) as applier:
        applier.want([manifest("a", first=True), manifest("a", second=True)])
        await asyncio.sleep(0)
        assert "is made for something else already" in server.words["a"]
        await asyncio.sleep(60)
    assert server.written == [("apply", "a")]
    assert server.objects[object_key(manifest())]["spec"] == {"first": True}


async def test_being_taken_is_an_error_of_the_api() -> None:
    assert issubclass(TakenError, ApiError)


async def test_late_news_of_an_object_that_we_changed_meanwhile_is_no_reason_to_change_it_again() -> None:
    server = Server()
    async with applying(server) as applier:
        applier.want([manifest(replicas=1)])
        await asyncio.sleep(SOON_S)
        old = deepcopy(server.objects[object_key(manifest())])
        applier.want([manifest(replicas=2)])
        await asyncio.sleep(SOON_S)
        applier.see(old)
        await asyncio.sleep(60)
    assert len(server.written) == 2


async def test_late_news_is_known_by_its_version_where_there_is_no_generation() -> None:
    server = Server()
    async with applying(server) as applier:
        applier.want([manifest(replicas=1)])
        await asyncio.sleep(SOON_S)
        now = deepcopy(server.objects[object_key(manifest())])
        del now["metadata"]["generation"]
        applier.see({**now, "metadata": {**now["metadata"], "resourceVersion": "10"}})
        wrong = {**now, "spec": {"replicas": 9}, "metadata": {**now["metadata"], "resourceVersion": "9"}}
        applier.see(wrong)
        await asyncio.sleep(60)
        assert len(server.written) == 1
        applier.see({**wrong, "metadata": {**now["metadata"], "resourceVersion": "11"}})
        await asyncio.sleep(SOON_S)
        assert len(server.written) == 2


async def test_only_what_is_ours_and_not_spared_is_deleted_and_only_the_object_that_was_seen() -> None:
    server = Server()
    theirs = manifest("theirs")
    theirs["metadata"]["labels"] = {}
    async with applying(server) as applier:
        for one in (theirs, manifest("spared"), manifest("old")):
            applier.see(server.put(one))
        applier.want([], spared=lambda raw: raw["metadata"]["name"] == "spared")
        await asyncio.sleep(60)
        assert server.written == [("delete", "old 3")]
        applier.want([])
        await asyncio.sleep(60)
        assert server.written[1:] == [("delete", "spared 2")]
        assert ("Deployment", "deleted") in server.told


async def test_an_object_that_vanishes_while_its_deletion_waits_its_turn_disturbs_nobody() -> None:
    server = Server()
    async with applying(server) as applier:
        for number in range(CONCURRENCY + 1):
            applier.see(server.put(manifest(f"old{number}")))
        applier.want([])
        await asyncio.sleep(0)
        last = object_key(manifest(f"old{CONCURRENCY}"))
        await asyncio.sleep(0.005)
        applier.gone(last)
        await asyncio.sleep(SOON_S)
    assert len(server.written) == CONCURRENCY
    assert server.most == CONCURRENCY


async def test_what_is_wanted_anew_while_it_waits_its_turn_is_applied_once_and_as_it_is_wanted_last() -> None:
    server = Server()
    async with applying(server) as applier:
        many = [manifest(f"m{number}") for number in range(CONCURRENCY * 2)]
        applier.want([*many, manifest("a", replicas=1), manifest("b")])
        await asyncio.sleep(0.005)
        applier.want([*many, manifest("a", replicas=2)])
        await asyncio.sleep(SOON_S)
    assert server.written.count(("apply", "a")) == 1
    assert ("apply", "b") not in server.written
    assert server.objects[object_key(manifest("a"))]["spec"] == {"replicas": 2}


async def test_nothing_is_written_while_another_leads_and_all_of_it_afterwards() -> None:
    server = Server()
    server.writes = False
    async with applying(server) as applier:
        applier.see(server.put(manifest("old")))
        applier.want([manifest("a")])
        await asyncio.sleep(60)
        assert server.asked == []
        server.writes = True
        applier.nudge()
        await asyncio.sleep(SOON_S)
        assert sorted(server.written) == [("apply", "a"), ("delete", "old 1")]


async def test_a_lease_that_was_renewed_late_is_noticed_without_a_word() -> None:
    server = Server()
    server.writes = False
    async with applying(server) as applier:
        applier.want([manifest("a")])
        await asyncio.sleep(10)
        server.writes = True
        await asyncio.sleep(2)
    assert server.written == [("apply", "a")]


async def test_whoever_loses_the_lead_between_a_look_and_a_write_does_not_write() -> None:
    server = Server()

    def lose(verb: str) -> None:
        server.writes = False

    server.during = lose
    async with applying(server) as applier:
        applier.want([manifest(f"m{number}") for number in range(CONCURRENCY * 2)])
        await asyncio.sleep(60)
        assert server.written == []
        assert Counter(verb for verb, _ in server.asked) == {"get": CONCURRENCY}
        server.during, server.writes = (lambda verb: None), True
        applier.nudge()
        await asyncio.sleep(1)
        assert len(server.written) == CONCURRENCY * 2


async def test_of_what_nobody_watches_nothing_is_known_to_a_new_leader() -> None:
    server = Server()
    slice_ = manifest("slice", kind="EndpointSlice", address="me")
    async with applying(server) as applier:
        applier.want([slice_])
        await asyncio.sleep(SOON_S)
        server.put(stamped(manifest("slice", kind="EndpointSlice", address="another")))
        applier.nudge({"EndpointSlice"})
        await asyncio.sleep(SOON_S)
    assert server.objects[object_key(slice_)]["spec"] == {"address": "me"}


async def test_a_refusal_is_said_and_tried_again_with_growing_pauses_each_object_by_itself() -> None:
    server = Server()
    server.fails = [InvalidError("spec.x: bad")] * 100
    async with applying(server) as applier:
        applier.want([manifest("a")])
        await asyncio.sleep(SOON_S)
        assert server.words == {"a": "spec.x: bad"}
        await asyncio.sleep(3600)
        attempts = len(server.written)
        assert 60 <= attempts <= 75, "one a minute in the end"
        server.fails.clear()
        applier.want([manifest("a"), manifest("b")])
        await asyncio.sleep(SOON_S)
        assert server.written[attempts:] == [("apply", "b")], "the first one has its pause"
        await asyncio.sleep(BACKOFF_LIMIT_S)
        assert server.written[-1] == ("apply", "a")
        assert server.words == {}


async def test_an_object_that_was_mended_is_tried_at_once() -> None:
    server = Server()
    server.fails = [InvalidError("bad")] * 8
    async with applying(server) as applier:
        applier.want([manifest("a")])
        await asyncio.sleep(60)
        assert server.words
        server.fails.clear()
        applier.want([manifest("a", good=True)])
        await asyncio.sleep(SOON_S)
        assert server.words == {}


async def test_a_refusal_is_over_when_nobody_wants_the_object_any_more() -> None:
    server = Server()
    server.fails = [InvalidError("bad")]
    async with applying(server) as applier:
        applier.want([manifest("a")])
        await asyncio.sleep(SOON_S)
        assert server.words
        applier.want([])
        assert server.words == {}


async def test_an_outage_is_no_refusal_and_is_over_within_seconds() -> None:
    server = Server()
    server.fails = [UnavailableError("connection refused")] * 12
    async with applying(server) as applier:
        applier.want([manifest("a")])
        await asyncio.sleep(60)
        assert server.words == {}
        server.fails.clear()
        attempts = len(server.written)
        await asyncio.sleep(11)
        assert len(server.written) == attempts + 1
    assert ("Deployment", "error") in server.told


async def test_the_server_is_asked_again_when_it_wishes() -> None:
    server = Server()
    server.fails = [UnavailableError("too many requests", retry_after_s=30)]
    async with applying(server) as applier:
        applier.want([manifest("a")])
        await asyncio.sleep(29)
        assert len(server.written) == 1
        await asyncio.sleep(2)
        assert len(server.written) == 2


async def test_an_object_on_its_way_out_is_made_anew_when_it_is_gone() -> None:
    server = Server()
    async with applying(server) as applier:
        applier.want([manifest("a")])
        await asyncio.sleep(SOON_S)
        ending = server.objects[object_key(manifest())]
        ending["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        applier.gone(object_key(ending))  # what the source makes of it
        await asyncio.sleep(30)
        assert len(server.written) == 1, "what is applied to it would go with it"
        assert server.words == {}
        del server.objects[object_key(ending)]
        await asyncio.sleep(11)
        assert len(server.written) == 2


async def test_a_list_tells_what_is_gone_but_not_what_was_made_while_it_was_on_its_way() -> None:
    server = Server()
    async with applying(server) as applier:
        applier.want([manifest("a"), manifest("b")])
        await asyncio.sleep(SOON_S)
        began = asyncio.get_running_loop().time()
        applier.want([manifest("a"), manifest("b"), manifest("c")])
        await asyncio.sleep(SOON_S)
        gone = applier.replace("Deployment", [server.objects[object_key(manifest("a"))]], began)
        assert gone == (object_key(manifest("b")),)
        del server.objects[object_key(manifest("b"))]
        await asyncio.sleep(SOON_S)
        assert server.written[3:] == [("apply", "b")]


async def test_the_work_on_many_objects_is_linear() -> None:
    server = Server()
    many = [manifest(f"m{number}") for number in range(1000)]
    async with applying(server) as applier:
        looked, before = 0, applier.may_write

        def count() -> bool:
            nonlocal looked
            looked += 1
            return before()

        applier.may_write = count
        applier.want(many)
        await asyncio.sleep(10)
        assert len(server.asked) == 2000
        looked = 0
        applier.want([*many[1:], manifest("m0", replicas=2)])
        await asyncio.sleep(1)
        assert server.asked[2000:] == [("apply", "m0")]
        assert looked < 20
