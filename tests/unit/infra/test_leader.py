"""Leader election in virtual time, on an API server that hangs, fails and forgets to answer when it is told to."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from edgerun.api.meta import ObjectKey
from edgerun.errors import ConflictError, NotFoundError, UnavailableError
from edgerun.infra.kubernetes.client import WRITE_S
from edgerun.infra.kubernetes.leader import Leader, Timing

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]
KEY = ObjectKey("Lease", "edgerun", "edgerun")
OWNER = {"kind": "Deployment", "name": "edgerun", "uid": "1"}
Object = Mapping[str, Any]


@dataclass
class Cupboard:
    """The one Lease, kept as an API server keeps it: every version is named, and only the newest can be replaced."""

    lease: Object | None = None
    version: int = 0
    writes: int = 0
    fails: Callable[[], Exception | None] = lambda: None
    hangs: bool = False
    loses_answers: bool = False

    async def get(self, key: ObjectKey, *, timeout_s: float) -> Object:
        await self._call()
        if self.lease is None:
            raise NotFoundError("no lease")
        return self.lease

    async def create(self, manifest: Object, *, timeout_s: float) -> Object:
        await self._call()
        if self.lease is not None:
            raise ConflictError("it is there")
        return await self._store(manifest)

    async def replace(self, manifest: Object, *, timeout_s: float) -> Object:
        await self._call()
        if self.lease is None:
            raise NotFoundError("no lease")
        if self.lease["metadata"]["resourceVersion"] != manifest["metadata"]["resourceVersion"]:
            raise ConflictError("modified")
        return await self._store(manifest)

    async def _call(self) -> None:
        await asyncio.sleep(0.01)
        if error := self.fails():
            raise error
        if self.hangs:
            await asyncio.Event().wait()

    async def _store(self, manifest: Object) -> Object:
        self.version += 1
        self.writes += 1
        self.lease = {**manifest, "metadata": {**manifest["metadata"], "resourceVersion": str(self.version)}}
        if self.loses_answers:
            await asyncio.Event().wait()
        return self.lease

    @property
    def spec(self) -> Object:
        assert self.lease
        spec: Object = self.lease["spec"]
        return spec


@dataclass
class Candidate:
    """A replica, and a clock that can be stopped for it alone, as SIGSTOP stops a process but not the time."""

    cupboard: Cupboard
    name: str
    says: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.leader = Leader(
            self.cupboard,
            KEY,
            identity=self.name,
            gained=lambda: self.says.append("gained"),
            lost=lambda: self.says.append("lost"),
            metadata={"ownerReferences": [OWNER]},
            clock=loop.time,
            jitter=lambda: 0.5,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Candidate"]:
        task = asyncio.create_task(self.leader.run(), name=self.name)
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def cupboard() -> Cupboard:
    return Cupboard()


async def test_a_lease_goes_with_its_owner_also_when_it_had_to_be_made_anew(cupboard: Cupboard) -> None:
    async with Candidate(cupboard, "a").running():
        await asyncio.sleep(1)
        cupboard.lease = None
        await asyncio.sleep(20)
    assert cupboard.lease
    assert cupboard.lease["metadata"]["ownerReferences"] == [OWNER]


async def test_the_first_candidate_leads_at_once(cupboard: Cupboard) -> None:
    async with Candidate(cupboard, "a").running() as a:
        await asyncio.sleep(0.1)
        assert a.leader.valid()
        assert a.says == ["gained"]
        assert cupboard.spec["holderIdentity"] == "a"
        assert cupboard.spec["leaseDurationSeconds"] == 15


async def test_a_second_candidate_waits_as_long_as_the_first_renews(cupboard: Cupboard) -> None:
    async with Candidate(cupboard, "a").running() as a:
        await asyncio.sleep(1)
        async with Candidate(cupboard, "b").running() as b:
            await asyncio.sleep(300)
            assert (a.leader.valid(), b.leader.valid()) == (True, False)
            assert (a.says, b.says) == (["gained"], [])
            assert b.leader.holder == "a"
            assert cupboard.spec["leaseTransitions"] == 0


async def test_a_lease_that_is_given_away_is_taken_within_one_round(cupboard: Cupboard) -> None:
    async with Candidate(cupboard, "b").running() as b:
        await asyncio.sleep(0.1)
        async with Candidate(cupboard, "a").running() as a:
            await asyncio.sleep(5)
            assert a.says == []
    assert b.says == ["gained", "lost"]
    assert cupboard.spec["holderIdentity"] == ""
    async with Candidate(cupboard, "c").running() as c:
        await asyncio.sleep(0.1)
        assert c.leader.valid()
        assert cupboard.spec["leaseTransitions"] == 1


async def test_nothing_is_given_away_that_is_not_held(cupboard: Cupboard) -> None:
    async with Candidate(cupboard, "a").running() as a:
        await asyncio.sleep(1)
        async with Candidate(cupboard, "b").running():
            await asyncio.sleep(5)
        await asyncio.sleep(5)
        assert cupboard.spec["holderIdentity"] == "a"
        assert a.says == ["gained"]


async def test_a_holder_that_died_is_followed_after_its_lease_and_not_before(cupboard: Cupboard) -> None:
    dead = asyncio.create_task(Candidate(cupboard, "a").leader._attempt())
    await dead
    async with Candidate(cupboard, "b").running() as b:
        await asyncio.sleep(14.9)
        assert not b.leader.valid()
        await asyncio.sleep(3.5)  # a round with its jitter
        assert b.leader.valid()


async def test_the_clock_of_the_holder_does_not_matter(cupboard: Cupboard) -> None:
    await Candidate(cupboard, "a").leader._attempt()
    old = {**cupboard.spec, "renewTime": "2001-01-01T00:00:00.000000Z"}
    await cupboard._store({**(cupboard.lease or {}), "spec": old})
    async with Candidate(cupboard, "b").running() as b:
        await asyncio.sleep(14.9)
        assert not b.leader.valid(), "it looks long expired, by a clock that is not ours"


async def test_a_holder_without_an_api_server_stops_in_time(cupboard: Cupboard) -> None:
    async with Candidate(cupboard, "a").running() as a:
        await asyncio.sleep(1)
        cupboard.fails = lambda: UnavailableError("connection refused")
        await asyncio.sleep(8.9)
        assert a.leader.valid(), "it renewed less than ten seconds ago"
        await asyncio.sleep(1.2)
        assert not a.leader.valid()
        assert a.says == ["gained", "lost"]


async def test_a_holder_notices_the_end_of_its_time_while_it_waits_for_an_answer(cupboard: Cupboard) -> None:
    async with Candidate(cupboard, "a").running() as a:
        await asyncio.sleep(1)
        cupboard.hangs = True
        await asyncio.sleep(9.1)
        assert not a.leader.valid()
        assert a.says == ["gained", "lost"]


async def test_an_outage_shorter_than_the_lease_is_survived(cupboard: Cupboard) -> None:
    async with Candidate(cupboard, "a").running() as a:
        await asyncio.sleep(1)
        cupboard.hangs = True
        await asyncio.sleep(5)
        cupboard.hangs = False
        await asyncio.sleep(60)
        assert a.says == ["gained"]
        assert a.leader.valid()


async def test_after_a_long_outage_somebody_leads_again(cupboard: Cupboard) -> None:
    async with Candidate(cupboard, "a").running() as a, Candidate(cupboard, "b").running() as b:
        await asyncio.sleep(5)
        cupboard.fails = lambda: UnavailableError("connection refused")
        await asyncio.sleep(60)
        assert not a.leader.valid()
        assert not b.leader.valid()
        cupboard.fails = lambda: None
        await asyncio.sleep(5)
        assert [a.leader.valid(), b.leader.valid()].count(True) == 1


async def test_an_answer_that_got_lost_costs_nothing(cupboard: Cupboard) -> None:
    async with Candidate(cupboard, "a").running() as a:
        await asyncio.sleep(1)
        cupboard.loses_answers = True
        await asyncio.sleep(4)  # the renewal is stored, and nobody hears of it
        cupboard.loses_answers = False
        await asyncio.sleep(60)
        assert a.says == ["gained"]
        assert a.leader.valid()


async def test_an_answer_that_is_read_too_late_is_worth_nothing(cupboard: Cupboard) -> None:
    """As after a SIGSTOP between the question and the answer."""
    now = 0.0
    candidate = Candidate(cupboard, "a")
    candidate.leader._clock = lambda: now

    async def late() -> None:
        nonlocal now
        now += 20

    original = cupboard._store

    async def stored(manifest: Object) -> Object:
        answer = await original(manifest)
        await late()
        return answer

    cupboard._store = stored  # type: ignore[method-assign]
    await candidate.leader._attempt()
    assert cupboard.spec["holderIdentity"] == "a"
    assert not candidate.leader.valid()
    assert candidate.says == []


async def test_a_label_on_the_lease_disturbs_nobody(cupboard: Cupboard) -> None:
    async with Candidate(cupboard, "a").running() as a, Candidate(cupboard, "b").running() as b:
        await asyncio.sleep(5)
        before = list(a.says), list(b.says)
        assert cupboard.lease
        metadata = {**cupboard.lease["metadata"], "labels": {"seen-by": "somebody"}}
        await cupboard._store({**cupboard.lease, "metadata": metadata})
        await asyncio.sleep(60)
        assert (a.says, b.says) == before


async def test_a_lease_that_is_deleted_is_made_anew_by_its_holder(cupboard: Cupboard) -> None:
    async with Candidate(cupboard, "a").running() as a:
        await asyncio.sleep(1)
        async with Candidate(cupboard, "b").running() as b:
            await asyncio.sleep(1)
            cupboard.lease = None
            for _ in range(600):
                await asyncio.sleep(0.1)
                assert not b.leader.valid()
            assert a.says == ["gained"]
            assert cupboard.spec["holderIdentity"] == "a"


async def test_a_lease_that_vanishes_with_its_holder_is_waited_for_all_the_same(cupboard: Cupboard) -> None:
    await Candidate(cupboard, "a").leader._attempt()
    async with Candidate(cupboard, "b").running() as b:
        await asyncio.sleep(1)
        cupboard.lease = None
        await asyncio.sleep(14.9)
        assert not b.leader.valid(), "the holder may have renewed it just before, and not know that it is gone"
        await asyncio.sleep(7)
        assert b.leader.valid()


async def test_a_renewal_costs_one_write_and_no_read(cupboard: Cupboard) -> None:
    async with Candidate(cupboard, "a").running():
        await asyncio.sleep(1)
        before = cupboard.writes
        await asyncio.sleep(60)
        assert 28 <= cupboard.writes - before <= 31


@pytest.mark.parametrize("seed", range(8))
async def test_there_are_never_two_however_the_api_server_fails(cupboard: Cupboard, seed: int) -> None:
    dice = random.Random(seed)

    def fails() -> Exception | None:
        return UnavailableError("made up") if dice.random() < 0.3 else None

    cupboard.fails = fails
    led = 0
    async with (
        Candidate(cupboard, "a").running() as a,
        Candidate(cupboard, "b").running() as b,
        Candidate(cupboard, "c").running() as c,
    ):
        for step in range(3000):
            cupboard.hangs = dice.random() < 0.02 if step % 10 == 0 else cupboard.hangs
            cupboard.loses_answers = dice.random() < 0.1 if step % 10 == 0 else cupboard.loses_answers
            if step % 600 == 599 and all(one.leader.holder for one in (a, b, c)):
                cupboard.lease = None  # whoever has never seen one makes one at once
            await asyncio.sleep(0.1)
            leading = [one.name for one in (a, b, c) if one.leader.valid()]
            assert len(leading) <= 1, leading
            led += len(leading)
    assert led > 1000, "somebody has to lead most of the time"


async def test_a_write_that_is_begun_while_leading_ends_before_another_may_lead() -> None:
    timing = Timing()
    assert timing.renew_s + WRITE_S < timing.lease_s
