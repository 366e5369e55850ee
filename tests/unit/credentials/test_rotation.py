"""The rotation against a Secret that is written by others, lost and spoiled, and through crashes and odd clocks."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerun.credentials.authority import POLICY, Authorities, decoded, encoded, signer
from edgerun.credentials.certificates import Entropy, parsed
from edgerun.errors import UnavailableError
from support.authorities import NAMES, Clocks, Keeper, Safe, entropy

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SUCCESSION = 250 * DAY


@pytest.fixture
def safe() -> Safe:
    return Safe()


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def keeper(safe: Safe, clocks: Clocks) -> Keeper:
    return Keeper(safe, clocks)


async def test_the_first_round_makes_all_that_is_needed(keeper: Keeper) -> None:
    await keeper.tend()
    await keeper.rotation.ready()
    assert keeper.told == [keeper.rotation.bundle]
    assert believed(keeper, keeper.rotation.bundle)
    assert keeper.rotation.expiries == {
        "xds-server": (keeper.clocks.now() + DAY).timestamp(),
        "xds-authority": (keeper.clocks.now() + 365 * DAY).timestamp(),
    }


async def test_a_round_in_which_nothing_is_due_writes_and_tells_nothing(keeper: Keeper) -> None:
    await keeper.tend()
    server = keeper.rotation.server
    for _ in range(10):
        await keeper.tend(after=HOUR)
    assert (keeper.safe.writes, len(keeper.told)) == (1, 1)
    assert keeper.rotation.server is server
    await keeper.tend(after=2 * HOUR)
    assert keeper.rotation.server is not server


async def test_another_replica_finds_the_same(keeper: Keeper) -> None:
    await keeper.tend()
    other = Keeper(keeper.safe, keeper.clocks)
    await other.tend()
    assert other.told == keeper.told
    assert keeper.safe.writes == 1


async def test_who_may_not_write_waits_and_follows(safe: Safe, clocks: Clocks, keeper: Keeper) -> None:
    follower = Keeper(safe, clocks, leads=False)
    await follower.tend()
    assert (safe.writes, follower.told) == (0, [])
    await keeper.tend()
    await follower.tend()
    assert follower.told == keeper.told
    assert believed(follower, keeper.rotation.bundle)


async def test_of_two_that_write_at_once_one_gives_way(safe: Safe, clocks: Clocks) -> None:
    faster, slower = Keeper(safe, clocks), Keeper(safe, clocks, entropy=_another())
    theirs = Safe()
    await Keeper(theirs, clocks, entropy=faster.entropy).tend()
    assert theirs.data is not None
    data = theirs.data

    def overtaken() -> None:
        safe.before_write = lambda: None
        safe.put(data)

    safe.before_write = overtaken
    await slower.tend()
    assert safe.data == data
    assert slower.rotation.bundle == data["ca.crt"].decode()


async def test_a_secret_that_is_deleted_is_made_anew_at_once(keeper: Keeper) -> None:
    await keeper.tend()
    old = keeper.rotation.bundle
    keeper.safe.data = None
    await keeper.tend()
    assert keeper.rotation.bundle not in (old, "")
    assert believed(keeper, keeper.rotation.bundle)


async def test_a_secret_that_is_deleted_while_it_is_replaced_is_made_anew(keeper: Keeper) -> None:
    await keeper.tend()

    def deleted() -> None:
        keeper.safe.data, keeper.safe.before_write = None, lambda: None

    keeper.safe.before_write = deleted
    await keeper.tend(after=SUCCESSION)
    assert keeper.safe.data is not None
    assert believed(keeper, keeper.rotation.bundle)


async def test_a_secret_that_is_spoiled_is_made_anew(keeper: Keeper, caplog: pytest.LogCaptureFixture) -> None:
    await keeper.tend()
    keeper.safe.put({"authorities.json": b"-----BEGIN PRIVATE KEY----- oops"})
    await keeper.tend()
    assert believed(keeper, keeper.rotation.bundle)
    assert [one for one in caplog.messages if "made anew" in one]
    assert not [one for one in caplog.messages if "oops" in one]


async def test_authorities_for_other_names_are_made_anew(keeper: Keeper, caplog: pytest.LogCaptureFixture) -> None:
    """What they sign for these names nobody would believe."""
    await keeper.tend()
    other = Keeper(keeper.safe, keeper.clocks, entropy=_another(), names=("other.edgerun.svc",))
    await other.tend()
    assert len(stored(other)) == 1
    assert other.rotation.bundle not in (keeper.rotation.bundle, "")
    assert believed(other, other.rotation.bundle, name="other.edgerun.svc")
    assert [one for one in caplog.messages if "they are not for" in one]
    writes = keeper.safe.writes
    await other.tend()
    assert keeper.safe.writes == writes


async def test_without_an_api_server_the_certificate_is_renewed_all_the_same(
    keeper: Keeper, caplog: pytest.LogCaptureFixture
) -> None:
    await keeper.tend()
    keeper.safe.fails = unavailable
    for _ in range(10):
        await keeper.tend(after=6 * HOUR)
        assert believed(keeper, keeper.rotation.bundle)
    assert len([one for one in caplog.messages if "cannot be looked after" in one]) == 1


async def test_a_write_whose_answer_is_lost_counts_when_it_is_read(keeper: Keeper) -> None:
    keeper.safe.after_write = unavailable
    await keeper.tend()
    assert (keeper.told, keeper.renewals) == ([], [False])
    keeper.safe.after_write = lambda: None
    await keeper.tend()
    assert keeper.safe.data is not None
    assert keeper.told == [keeper.safe.data["ca.crt"].decode()]
    assert keeper.safe.writes == 1


async def test_a_successor_signs_an_hour_after_everybody_was_given_it(keeper: Keeper) -> None:
    await keeper.tend()
    await keeper.tend(after=SUCCESSION)
    assert len(keeper.told) == 2
    assert issuer(keeper) in keeper.told[0]
    await keeper.tend(after=59 * MINUTE)
    assert [one.signs for one in stored(keeper)] == [True, False]
    await keeper.tend(after=MINUTE)
    assert [one.signs for one in stored(keeper)] == [True, True]
    await keeper.tend(after=DAY)
    assert issuer(keeper) not in keeper.told[0]
    assert len(keeper.told) == 2, "the same are trusted as before"


async def test_the_hour_begins_anew_with_another_leader(keeper: Keeper) -> None:
    await keeper.tend()
    await keeper.tend(after=SUCCESSION)
    heir = Keeper(keeper.safe, keeper.clocks, leads=False, entropy=_another())
    for _ in range(5):
        await heir.tend(after=DAY)
    heir.leads = True
    await heir.tend()
    await heir.tend(after=59 * MINUTE)
    assert [one.signs for one in stored(keeper)] == [True, False], "nobody led, so nobody may have been given it"
    await heir.tend(after=MINUTE)
    assert [one.signs for one in stored(keeper)] == [True, True]


async def test_it_runs_until_it_is_cancelled(safe: Safe) -> None:
    keeper = Keeper(safe, Clocks())
    task = asyncio.create_task(keeper.rotation.run(), name="rotation")
    async with asyncio.timeout(60):
        await keeper.rotation.ready()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert keeper.told == [keeper.rotation.bundle]


spans = st.one_of(st.timedeltas(MINUTE, 2 * HOUR), st.timedeltas(HOUR, 20 * DAY))
steps = st.one_of(
    st.tuples(st.just("go"), spans),
    st.tuples(st.sampled_from(["crash before a write", "crash after a write", "crash after all"]), spans),
    st.tuples(st.just("clock"), st.timedeltas(-10 * DAY, 10 * DAY)),
    st.tuples(st.just("outage"), st.timedeltas(MINUTE, DAY)),
    st.tuples(st.just("nobody leads"), st.timedeltas(MINUTE, 5 * DAY)),
)


@given(age=st.integers(20, 800), some=st.lists(steps, max_size=40))
@settings(max_examples=100, deadline=None)
def test_whatever_happens_everybody_trusts_who_signs(age: int, some: list[tuple[str, timedelta]]) -> None:
    asyncio.run(World().live(age, some))


@dataclass
class World:
    """Pods that learn of a bundle as late as an hour after it was told, and all that happens meanwhile."""

    clocks: Clocks = field(default_factory=Clocks)
    safe: Safe = field(default_factory=Safe)
    told: list[tuple[float, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = entropy()
        self.start()

    def start(self) -> None:
        self.keeper = Keeper(self.safe, self.clocks, entropy=self.chance)

    async def live(self, age: int, some: Iterable[tuple[str, timedelta]]) -> None:
        await self.tend()
        for _ in range(age // 5):
            await self.tend(5 * DAY)
            await self.check()
        for what, span in some:
            match what:
                case "go":
                    await self.tend(span)
                case "clock":
                    self.clocks.offset = span
                    await self.tend()
                case "outage":
                    self.safe.fails = unavailable
                    await self.tend(span)
                    self.safe.fails = lambda: None
                case "nobody leads":
                    self.keeper.leads = False
                    await self.tend(span)
                    self.keeper.leads = True
                case _:
                    await self.crash(what, span)
            await self.check()

    async def crash(self, when: str, span: timedelta) -> None:
        """The process ends within its round, and what it would have told after it nobody hears."""
        self.safe.before_write = unavailable if when == "crash before a write" else lambda: None
        self.safe.after_write = unavailable if when == "crash after a write" else lambda: None
        await self.keeper.tend(span)
        self.safe.before_write = self.safe.after_write = lambda: None
        self.start()
        await self.tend()

    async def tend(self, after: timedelta = timedelta()) -> None:
        await self.keeper.tend(after)
        if self.keeper.leads and self.keeper.rotation.bundle:
            self.told.append((self.clocks.elapsed_s, self.keeper.rotation.bundle))

    async def check(self) -> None:
        signing = signer(stored(self.keeper), self.clocks.now())
        assert signing
        for pods_have in self.trusted():
            assert issuer(self.keeper) in pods_have
            assert signing.certificate in pods_have, "another replica would sign with it at once"
        assert len(stored(self.keeper)) <= 3
        assert believed(self.keeper, self.told[-1][1], self.clocks.now())

    def trusted(self) -> set[str]:
        """What pods may have by now: the last bundle that has been out for an hour, or any later one."""
        settled = [text for at, text in self.told if at <= self.clocks.elapsed_s - POLICY.overlap.total_seconds()]
        return {*settled[-1:], *(text for at, text in self.told[len(settled) :])}


def believed(keeper: Keeper, bundle: str, now: datetime | None = None, *, name: str = NAMES[0]) -> bool:
    authorities = x509.load_pem_x509_certificates(bundle.encode())
    verifier = PolicyBuilder().store(Store(authorities)).time(now or keeper.clocks.now())
    verifier.build_server_verifier(x509.DNSName(name)).verify(parsed(keeper.rotation.server.pair.certificate), [])
    return True


def issuer(keeper: Keeper) -> str:
    return keeper.rotation.server.issuer


def stored(keeper: Keeper) -> Authorities:
    assert keeper.safe.data is not None
    found = decoded(keeper.safe.data)
    assert encoded(found) == keeper.safe.data
    return found


def unavailable() -> None:
    raise UnavailableError("no answer within 5 s")


def _another() -> Entropy:
    """Other keys than everybody else's."""
    chance = entropy()
    for _ in range(100):
        chance.key()
        chance.serial()
    return chance
