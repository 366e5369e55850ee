"""What becomes of the authorities as time goes on."""

from datetime import datetime, timedelta
from functools import partial

import pytest

from edgerun.credentials.authority import (
    POLICY,
    Authorities,
    Authority,
    advance,
    bundle,
    decoded,
    encoded,
    issue,
    signer,
    worn,
)
from edgerun.credentials.certificates import Entropy, new_authority, new_server
from support.authorities import NAMES, START, entropy

HOUR, DAY, YEAR = timedelta(hours=1), timedelta(days=1), timedelta(days=365)
SUCCESSION = START + YEAR * 2 / 3 + DAY
LONG = timedelta(days=30)
SERVER = partial(new_server, NAMES)


@pytest.fixture
def chance() -> Entropy:
    return entropy()


@pytest.fixture
def first(chance: Entropy) -> Authorities:
    return at(START, (), chance)


@pytest.fixture
def both(first: Authorities, chance: Entropy) -> Authorities:
    """The second is known, and does not sign yet."""
    return at(SUCCESSION, first, chance)


def at(now: datetime, authorities: Authorities, chance: Entropy, *, out_for: timedelta = timedelta()) -> Authorities:
    return advance(
        authorities, now, out_for=out_for, names=NAMES, new_authority=new_authority, policy=POLICY, entropy=chance
    )


def test_the_first_one_signs_at_once(first: Authorities) -> None:
    (only,) = first
    assert only.signs
    assert (only.starts, only.ends) == (START - POLICY.backdated, START + YEAR)


def test_for_most_of_its_life_there_is_nothing_to_do(first: Authorities, chance: Entropy) -> None:
    for days in range(0, 240, 30):
        assert at(START + days * DAY, first, chance, out_for=LONG) == first


def test_a_successor_is_known_before_it_signs(both: Authorities, chance: Entropy) -> None:
    old, new = both
    assert (old.signs, new.signs) == (True, False)
    assert signer(both, SUCCESSION) == old
    assert new.certificate in bundle(both)
    early = at(SUCCESSION + 30 * DAY, both, chance, out_for=HOUR - timedelta(seconds=1))
    assert early == both, "the clock says long ago, but nobody was given it"
    late = at(SUCCESSION, both, chance, out_for=HOUR)
    assert signer(late, SUCCESSION) == late[1]
    assert bundle(late) == bundle(both)


def test_the_old_one_is_trusted_until_it_ends(both: Authorities, chance: Entropy) -> None:
    signing = at(SUCCESSION + HOUR, both, chance, out_for=HOUR)
    assert at(START + YEAR - timedelta(seconds=1), signing, chance, out_for=LONG) == signing
    assert at(START + YEAR, signing, chance, out_for=LONG) == signing[1:]


def test_a_successor_signs_early_rather_than_nobody(both: Authorities, chance: Entropy) -> None:
    (new,) = at(START + YEAR, both, chance)
    assert new.signs
    assert new.certificate == both[1].certificate


def test_when_all_have_ended_there_is_a_new_one_that_signs(both: Authorities, chance: Entropy) -> None:
    (only,) = at(START + 10 * YEAR, both, chance)
    assert only.signs
    assert only.certificate not in bundle(both)


def test_a_clock_that_went_ahead_and_comes_back_finds_the_old_one(both: Authorities, chance: Entropy) -> None:
    ahead = at(SUCCESSION + 60 * DAY, at(SUCCESSION, both[:1], chance), chance, out_for=LONG)
    assert signer(ahead, SUCCESSION - 100 * DAY) == both[0]
    assert at(SUCCESSION - 100 * DAY, ahead, chance) == ahead


def test_a_clock_that_is_behind_the_only_one_makes_another(first: Authorities, chance: Entropy) -> None:
    old, new = at(START - DAY, first, chance)
    assert old == first[0]
    assert signer((old, new), START - DAY) == new


def test_a_server_gets_a_day_and_another_after_half_of_it(first: Authorities, chance: Entropy) -> None:
    server = issue(first[0], SERVER, START, POLICY, chance)
    assert (server.starts, server.ends) == (START - POLICY.backdated, START + DAY)
    assert not worn(server, first, START + 11 * HOUR, POLICY)
    assert worn(server, first, START + 12 * HOUR, POLICY)


def test_a_server_is_renewed_when_the_clock_is_behind_it(first: Authorities, chance: Entropy) -> None:
    server = issue(first[0], SERVER, START, POLICY, chance)
    assert not worn(server, first, START - timedelta(minutes=4), POLICY)
    assert worn(server, first, START - timedelta(minutes=6), POLICY)


def test_a_server_is_renewed_when_its_authority_is_gone_and_not_when_there_is_another(
    both: Authorities, chance: Entropy
) -> None:
    server = issue(both[0], SERVER, SUCCESSION, POLICY, chance)
    assert not worn(server, at(SUCCESSION, both, chance, out_for=HOUR), SUCCESSION, POLICY)
    assert worn(server, both[1:], SUCCESSION, POLICY)


def test_a_server_does_not_outlive_its_authority(first: Authorities, chance: Entropy) -> None:
    assert issue(first[0], SERVER, START + YEAR - HOUR, POLICY, chance).ends == START + YEAR


def test_a_secret_holds_all_there_is(both: Authorities) -> None:
    data = encoded(both)
    assert decoded(data) == both
    assert data["ca.crt"].decode() == bundle(both)
    assert b"PRIVATE" not in data["ca.crt"]


def test_what_is_no_state_is_refused_without_a_word_of_it(both: Authorities) -> None:
    crossed = (Authority(both[0].certificate, both[1].key), both[1])
    broken = (Authority(both[0].certificate[:-60], both[0].key),)
    for data in ({}, {"authorities.json": b"{secret"}, {"authorities.json": b'[{"key": "secret"}]'}):
        with pytest.raises(ValueError, match="authorities") as caught:
            decoded(data)
        assert "secret" not in str(caught.value)
    for authorities in (crossed, broken):
        with pytest.raises(ValueError):
            decoded(encoded(authorities))


def test_keys_are_not_shown_by_accident(both: Authorities) -> None:
    assert "PRIVATE" not in repr(both)
