"""What becomes of the signing keys: step by step, and in the Secret of several control planes that write it."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from edgerun.credentials.keyring import (
    POLICY,
    UNKNOWN,
    Evidence,
    Policy,
    Watch,
    advance,
    handing,
    revoke,
    rotate,
    trusted,
)
from edgerun.credentials.keys import KeySet, Phase
from edgerun.credentials.keystore import ATTEMPTS, changed
from edgerun.errors import ConflictError, UnavailableError
from support.authorities import START, Safe
from support.keyrings import new_keys

SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
OVER = POLICY.life + POLICY.clock + POLICY.handover
LATE_OVERLAP = Policy(overlap=HOUR)


class Ring:
    """A set, what is known about it, and the keys that come next."""

    def __init__(self, policy: Policy = POLICY) -> None:
        self.policy, self.chance, self.keys = policy, new_keys(), KeySet()
        self.go(START)

    def go(self, now: datetime, evidence: Evidence = UNKNOWN) -> tuple[Phase, ...]:
        self.keys = advance(self.keys, now, evidence, self.policy, new_key=self.chance)
        again = advance(self.keys, now, evidence, self.policy, new_key=self.chance)
        assert again == self.keys, "what was due is done"
        return self.phases

    def revoke(self, index: int, now: datetime) -> tuple[Phase, ...]:
        self.keys = revoke(self.keys, self.kid(index), now, self.policy, new_key=self.chance)
        return self.phases

    @property
    def phases(self) -> tuple[Phase, ...]:
        return tuple(key.phase for key in self.keys.keys)

    def kid(self, index: int) -> str:
        return self.keys.keys[index].kid

    def known(self, lasted: timedelta = DAY, *, but: frozenset[str] = frozenset()) -> Evidence:
        """Everybody has acknowledged everything, for so long."""
        kids = frozenset(key.kid for key in self.keys.keys) - but
        return Evidence(verifiers=(kids,), lasted={(key.kid, key.phase): lasted for key in self.keys.keys})


@pytest.fixture
def ring() -> Ring:
    return Ring()


@pytest.mark.parametrize(
    ("times", "named"),
    [
        ({"interval": timedelta()}, "interval"),
        ({"life": -HOUR}, "life"),
        ({"mercy": -SECOND, "clock": -HOUR}, "clock, mercy"),
        ({"remembered": -1}, "remembered"),
    ],
)
def test_times_by_which_no_keys_can_be_kept_are_refused(times: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=f"such times: {named} must be more"):
        Policy(**times)


def test_the_first_one_signs_at_once_and_the_next_is_published(ring: Ring) -> None:
    assert ring.phases == (Phase.SIGNING, Phase.PUBLISHED)
    first = ring.keys.signing
    assert first
    assert [one.phase for one in first.history] == [Phase.PENDING, Phase.PUBLISHED, Phase.SIGNING]
    assert first.life == POLICY.life


def test_for_a_day_there_is_nothing_to_do(ring: Ring) -> None:
    before = ring.keys
    for hours in range(24):
        ring.go(START + hours * HOUR, ring.known())
    assert ring.keys == before


def test_after_its_interval_the_next_one_signs_and_another_is_published(ring: Ring) -> None:
    assert ring.go(START + DAY, ring.known()) == (Phase.RETIRING, Phase.SIGNING, Phase.PUBLISHED)
    old, new, _ = ring.keys.keys
    assert (old.since, old.private) == (START + DAY, "")
    assert (new.since, new.life) == (START + DAY, HOUR)


@pytest.mark.parametrize(
    "evidence",
    [
        UNKNOWN,
        Evidence(lasted=Ring().known().lasted),
        Evidence(verifiers=(frozenset(),), lasted=Ring().known().lasted),
        Evidence(verifiers=Ring().known().verifiers),
        Ring().known(but=frozenset({Ring().kid(1)})),
        Ring().known(POLICY.propagation - SECOND),
    ],
    ids=["nothing", "no verifiers yet", "one knows nothing", "not for long", "one knows the old one only", "too short"],
)
def test_without_evidence_the_old_one_goes_on_signing(ring: Ring, evidence: Evidence) -> None:
    before = ring.keys
    ring.go(START + 10 * DAY, evidence)
    assert ring.keys == before


def test_one_verifier_of_many_is_enough_to_wait_for(ring: Ring) -> None:
    all_of_them = ring.known()
    assert all_of_them.verifiers
    one_lags = Evidence(verifiers=(*all_of_them.verifiers * 99, frozenset({ring.kid(0)})), lasted=all_of_them.lasted)
    assert ring.go(START + DAY, one_lags) == (Phase.SIGNING, Phase.PUBLISHED)


def test_no_verifiers_at_all_are_all_of_them(ring: Ring) -> None:
    nobody = Evidence(verifiers=(), lasted=ring.known().lasted)
    assert ring.go(START + DAY, nobody) == (Phase.RETIRING, Phase.SIGNING, Phase.PUBLISHED)


def test_an_old_one_is_trusted_until_its_last_token_has_ended(ring: Ring) -> None:
    ring.go(START + DAY, ring.known())
    early = ring.known(OVER - SECOND)
    assert ring.go(START + 2 * DAY - SECOND, early)[0] == Phase.RETIRING, "whatever the time of day"
    assert ring.kid(0) in {key.kid for key in trusted(ring.keys, early, POLICY)}
    assert ring.go(START + DAY, ring.known(OVER))[0] == Phase.RETIRED
    assert ring.kid(0) not in {key.kid for key in trusted(ring.keys, ring.known(), POLICY)}


def test_a_longer_life_is_stored_before_a_token_lives_so_long(ring: Ring) -> None:
    ring.policy = Policy(life=12 * HOUR)
    ring.go(START + HOUR)
    assert ring.keys.signing
    assert ring.keys.signing.life == 12 * HOUR
    ring.policy = POLICY
    ring.go(START + DAY, ring.known())
    assert ring.go(START + DAY, ring.known(13 * HOUR))[0] == Phase.RETIRING, "the settings of then count"
    assert ring.go(START + DAY, ring.known(13 * HOUR + MINUTE))[0] == Phase.RETIRED


def test_with_a_short_overlap_the_next_one_is_kept_back() -> None:
    ring = Ring(LATE_OVERLAP)
    assert ring.phases == (Phase.SIGNING, Phase.PENDING)
    assert ring.go(START + 23 * HOUR - SECOND) == (Phase.SIGNING, Phase.PENDING)
    assert len(trusted(ring.keys, UNKNOWN, LATE_OVERLAP)) == 1
    assert ring.go(START + 23 * HOUR) == (Phase.SIGNING, Phase.PUBLISHED)
    assert ring.go(START + DAY, ring.known()) == (Phase.RETIRING, Phase.SIGNING, Phase.PENDING)


@pytest.mark.parametrize("policy", [POLICY, LATE_OVERLAP])
def test_a_rotation_on_demand_waits_for_evidence_and_happens_once(policy: Policy) -> None:
    ring = Ring(policy)
    ring.keys = rotate(ring.keys)
    assert rotate(ring.keys) == ring.keys
    assert ring.go(START + MINUTE) == (Phase.SIGNING, Phase.PUBLISHED)
    assert ring.go(START + MINUTE, ring.known())[:2] == (Phase.RETIRING, Phase.SIGNING)
    assert not ring.keys.rotate
    before = ring.keys
    ring.go(START + 2 * MINUTE, ring.known(HOUR))
    assert ring.keys == before


def test_when_the_signing_one_is_revoked_the_next_signs_in_the_same_write(ring: Ring) -> None:
    assert ring.revoke(0, START + HOUR) == (Phase.REVOKED, Phase.SIGNING, Phase.PUBLISHED)
    assert ring.keys.keys[0].private == ""
    before = ring.keys
    ring.go(START + HOUR)
    assert ring.keys == before


def test_a_pending_one_signs_rather_than_none() -> None:
    assert Ring(LATE_OVERLAP).revoke(0, START) == (Phase.REVOKED, Phase.SIGNING, Phase.PENDING)


def test_when_all_are_revoked_there_are_others(ring: Ring) -> None:
    first = ring.kid(0)
    assert ring.revoke(1, START) == (Phase.REVOKED, Phase.SIGNING, Phase.PUBLISHED)
    assert ring.revoke(2, START) == (Phase.REVOKED, Phase.REVOKED, Phase.SIGNING, Phase.PUBLISHED)
    ring.revoke(2, START)
    assert ring.kid(2) == first, "they are in the order in which they were revoked"
    assert ring.phases == (Phase.REVOKED, Phase.REVOKED, Phase.REVOKED, Phase.SIGNING, Phase.PUBLISHED)


def test_without_any_next_one_a_new_one_signs(ring: Ring) -> None:
    alone = KeySet(ring.keys.keys[:1])
    left = revoke(alone, ring.kid(0), START, POLICY, new_key=ring.chance)
    assert [key.phase for key in left.keys] == [Phase.REVOKED, Phase.SIGNING, Phase.PUBLISHED]


@pytest.mark.parametrize("phase", [Phase.PUBLISHED, Phase.SIGNING, Phase.RETIRING, Phase.RETIRED])
def test_a_key_of_any_phase_can_be_revoked(ring: Ring, phase: Phase) -> None:
    ring.go(START + DAY, ring.known(HOUR))
    ring.go(START + DAY, ring.known(OVER))
    ring.go(START + 2 * DAY, ring.known(HOUR))
    assert ring.phases == (Phase.RETIRED, Phase.RETIRING, Phase.SIGNING, Phase.PUBLISHED)
    kid = ring.kid(ring.phases.index(phase))
    ring.revoke(ring.phases.index(phase), START + 2 * DAY)
    (revoked,) = ring.keys.at(Phase.REVOKED)
    assert (revoked.kid, revoked.since, revoked.private) == (kid, START + 2 * DAY, "")
    assert kid not in {key.kid for key in trusted(ring.keys, ring.known(HOUR), POLICY)}
    assert len(ring.keys.at(Phase.SIGNING)) == len(ring.keys.at(Phase.PUBLISHED)) == 1


def test_a_pending_key_can_be_revoked() -> None:
    ring = Ring(LATE_OVERLAP)
    assert ring.revoke(1, START) == (Phase.REVOKED, Phase.SIGNING, Phase.PENDING)


def test_a_revoked_one_stays_so(ring: Ring) -> None:
    ring.revoke(0, START)
    before = ring.keys
    ring.revoke(0, START + DAY)
    assert ring.keys == before


def test_a_revocation_of_nothing_says_what_there_is(ring: Ring) -> None:
    with pytest.raises(LookupError, match=rf"there is no key nobody; there are {ring.kid(0)}, {ring.kid(1)}"):
        revoke(ring.keys, "nobody", START, POLICY, new_key=ring.chance)


def test_who_saw_a_key_trusted_spares_it_for_a_moment(ring: Ring) -> None:
    kid, watch = ring.kid(0), Watch().seen(ring.keys, 0.0)
    ring.revoke(0, START)
    watch = watch.seen(ring.keys, 100.0)
    for elapsed_s, spared in ((100.0, True), (100.2, True), (100.3, False), (999.0, False)):
        watch = watch.seen(ring.keys, elapsed_s)
        evidence = Evidence(lasted=watch.lasted(elapsed_s))
        assert (kid in {key.kid for key in trusted(ring.keys, evidence, POLICY)}) is spared


def test_who_comes_later_never_trusts_it(ring: Ring) -> None:
    ring.revoke(0, START)
    watch = Watch().seen(ring.keys, 0.0).seen(ring.keys, 0.1)
    evidence = Evidence(lasted=watch.lasted(0.1))
    assert [key.phase for key in trusted(ring.keys, evidence, POLICY)] == [Phase.SIGNING, Phase.PUBLISHED]


def test_a_key_that_was_over_is_not_spared(ring: Ring) -> None:
    ring.go(START + DAY, ring.known())
    ring.go(START + DAY, ring.known(OVER))
    watch = Watch().seen(ring.keys, 0.0)
    ring.revoke(0, START + DAY)
    lasted = watch.seen(ring.keys, 0.0).lasted(0.0)
    assert ring.kid(0) not in {key.kid for key in trusted(ring.keys, Evidence(lasted=lasted), POLICY)}


def test_edges_get_tokens_of_a_key_that_all_verifiers_know(ring: Ring) -> None:
    ring.revoke(0, START)
    lasted = {(ring.kid(1), Phase.SIGNING): POLICY.patience - timedelta(milliseconds=1)}
    assert handing(ring.keys, Evidence(verifiers=(frozenset(),), lasted=lasted), POLICY) is None
    assert handing(ring.keys, Evidence(lasted=lasted), POLICY) is None
    known = Evidence(verifiers=(frozenset({ring.kid(1)}),))
    assert handing(ring.keys, known, POLICY) == ring.keys.signing


def test_a_verifier_that_is_stuck_does_not_keep_tokens_from_all_edges(ring: Ring) -> None:
    stuck = Evidence(verifiers=(frozenset(),), lasted={(ring.kid(0), Phase.SIGNING): POLICY.patience})
    assert handing(ring.keys, stuck, POLICY) == ring.keys.signing
    assert handing(KeySet(), stuck, POLICY) is None


@pytest.mark.parametrize("jump", [-HOUR, HOUR, -30 * MINUTE])
def test_a_clock_that_jumps_and_comes_back_harms_nothing(ring: Ring, jump: timedelta) -> None:
    ring.go(START + DAY, ring.known())
    for now in (START + DAY + jump, START + DAY):
        phases = ring.go(now, ring.known(HOUR))
        assert phases == (Phase.RETIRING, Phase.SIGNING, Phase.PUBLISHED)


def test_a_clock_that_was_years_ahead_does_not_stop_rotation(ring: Ring) -> None:
    ring.go(START + 3650 * DAY, ring.known())
    assert ring.go(START + 2 * DAY, ring.known(HOUR))[:3] == (Phase.RETIRING, Phase.RETIRING, Phase.SIGNING)
    before = ring.keys
    ring.go(START + 2 * DAY + HOUR, ring.known(HOUR))
    assert ring.keys == before


def test_of_those_that_are_over_some_are_remembered(ring: Ring) -> None:
    for day in range(1, 31):
        ring.go(START + day * DAY, ring.known())
    assert ring.phases == (*[Phase.RETIRED] * POLICY.remembered, Phase.RETIRING, Phase.SIGNING, Phase.PUBLISHED)


def test_the_one_that_was_just_revoked_is_remembered(ring: Ring) -> None:
    for _ in range(POLICY.remembered):
        ring.revoke(-1, START)
    kid = ring.keys.signing.kid if ring.keys.signing else ""
    ring.revoke(ring.phases.index(Phase.SIGNING), START)
    assert ring.phases == (*[Phase.REVOKED] * POLICY.remembered, Phase.SIGNING, Phase.PUBLISHED)
    assert ring.kid(POLICY.remembered - 1) == kid


async def test_who_begins_at_once_agrees() -> None:
    safe = Safe()

    async def begin(first: int) -> KeySet:
        return await changed(safe, lambda keys: advance(keys, START, UNKNOWN, POLICY, new_key=new_keys(first)))

    sets = await asyncio.gather(*(begin(100 * number) for number in range(1, 5)))
    assert set(sets) == {sets[0]}
    assert safe.writes == 1


async def test_of_two_that_write_at_once_the_second_looks_again() -> None:
    safe, ring = Safe(), Ring()
    await changed(safe, lambda _: ring.keys)

    async def overtaken() -> None:
        await changed(safe, rotate)

    def before_write() -> None:
        safe.before_write = lambda: None
        for _ in overtaken().__await__():
            raise AssertionError("it waits for nothing")

    safe.before_write = before_write
    kid = ring.kid(1)
    stored = await changed(safe, lambda keys: revoke(keys, kid, START, POLICY, new_key=ring.chance))
    assert stored.rotate
    assert [key.phase for key in stored.keys] == [Phase.REVOKED, Phase.SIGNING, Phase.PUBLISHED]
    assert await changed(safe, lambda keys: keys) == stored


async def test_who_is_overtaken_every_time_gives_up_and_says_so() -> None:
    safe = Safe()

    def before_write() -> None:
        safe.put({"keys.json": b'{"keys": []}'})

    safe.before_write = before_write
    with pytest.raises(ConflictError):
        await changed(safe, lambda keys: advance(keys, START, UNKNOWN, POLICY, new_key=new_keys()))
    assert (safe.writes, safe.version) == (0, ATTEMPTS)


async def test_a_write_whose_answer_is_lost_counts_when_it_is_read() -> None:
    safe, ring = Safe(), Ring()

    def lost() -> None:
        safe.after_write = lambda: None
        raise UnavailableError("no answer")

    safe.after_write = lost
    with pytest.raises(UnavailableError):
        await changed(safe, lambda _: ring.keys)
    assert await changed(safe, lambda keys: keys) == ring.keys
    assert safe.writes == 1


async def test_a_secret_that_is_spoiled_is_made_anew(caplog: pytest.LogCaptureFixture) -> None:
    safe = Safe()
    safe.put({"keys.json": b"-----BEGIN PRIVATE KEY----- oops"})
    stored = await changed(safe, lambda keys: advance(keys, START, UNKNOWN, POLICY, new_key=new_keys()))
    assert stored.signing
    assert await changed(safe, lambda keys: keys) == stored
    assert [one for one in caplog.messages if "made anew" in one]
    assert not [one for one in caplog.messages if "oops" in one]
