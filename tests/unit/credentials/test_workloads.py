"""Which certificates workloads have, as time goes on and authorities follow each other."""

import time
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerun.credentials.authority import Authorities, advance
from edgerun.credentials.certificates import ENTROPY, Pair, new_workload_authority, parsed, parsed_key
from edgerun.credentials.workloads import POLICY, Workloads
from support.authorities import START, entropy

MINUTE, HOUR, DAY, YEAR = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1), timedelta(days=365)
SUCCESSION = START + YEAR * 2 / 3 + DAY
DOMAIN = ("edgerun.test",)
CART, EDGE = "spiffe://edgerun.test/ns/shop/origin/cart", "spiffe://edgerun.test/edge/default"
IDS = [f"spiffe://edgerun.test/ns/shop/origin/app-{number}" for number in range(500)]


class Hall:
    """The authorities that there are, by a clock of the test's making, and the workloads that they sign for."""

    def __init__(self) -> None:
        self.chance = entropy()
        self.authorities: Authorities = ()
        self.workloads = Workloads(lambda: self.authorities, entropy=self.chance)
        self.advance(START)

    def advance(self, now: datetime, *, out_for: timedelta = timedelta()) -> None:
        self.authorities = advance(
            self.authorities,
            now,
            out_for=out_for,
            names=DOMAIN,
            new_authority=new_workload_authority,
            policy=POLICY,
            entropy=self.chance,
        )

    def issuer(self, pair: Pair) -> str:
        """The certificate of the authority that signed it."""
        found = [one.certificate for one in self.authorities if _signed(parsed(one.certificate), pair)]
        return found[0] if found else ""


def _signed(authority: x509.Certificate, pair: Pair) -> bool:
    try:
        parsed(pair.certificate).verify_directly_issued_by(authority)
    except (InvalidSignature, ValueError):
        return False
    return True


@pytest.fixture
def hall() -> Hall:
    return Hall()


def test_each_has_a_certificate_of_its_own_that_says_who_it_is(hall: Hall) -> None:
    pairs = hall.workloads.pairs([EDGE, CART], START)
    assert set(pairs) == {EDGE, CART}
    for name, pair in pairs.items():
        found = parsed(pair.certificate)
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        assert (names.critical, list(names.value)) == (True, [x509.UniformResourceIdentifier(name)])
        assert not found.subject.rdns
        uses = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert set(uses) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
        assert parsed_key(pair.key).public_key() == found.public_key()
        assert (found.not_valid_before_utc, found.not_valid_after_utc) == (START - POLICY.backdated, START + DAY)
    assert parsed(pairs[EDGE].certificate).public_key() != parsed(pairs[CART].certificate).public_key()


def test_it_is_the_same_until_it_is_worn(hall: Hall) -> None:
    first = hall.workloads.pairs([CART], START)
    due = hall.workloads.next_due
    assert due
    assert START + 9 * HOUR < due <= START + 12 * HOUR
    assert hall.workloads.pairs([CART], due - MINUTE) == first
    second = hall.workloads.pairs([CART], due)
    assert second != first
    assert parsed(second[CART].certificate).not_valid_after_utc == due.replace(microsecond=0) + DAY


def test_many_are_not_replaced_at_once(hall: Hall) -> None:
    first = hall.workloads.pairs(IDS, START)
    begins = hall.workloads.next_due
    assert begins
    now, before, busiest = begins, first, 0
    while now < START + 12 * HOUR:
        now += 10 * MINUTE
        after = hall.workloads.pairs(IDS, now)
        busiest = max(busiest, sum(after[one] != before[one] for one in IDS))
        before = after
    assert all(before[one] != first[one] for one in IDS)
    assert busiest < len(IDS) / 5


def test_who_is_wanted_no_more_is_forgotten(hall: Hall) -> None:
    first = hall.workloads.pairs([EDGE, CART], START)
    assert hall.workloads.pairs([EDGE], START) == {EDGE: first[EDGE]}
    again = hall.workloads.pairs([EDGE, CART], START)
    assert again[EDGE] == first[EDGE]
    assert again[CART] != first[CART]
    assert hall.workloads.pairs([], START) == {}
    assert hall.workloads.next_due is None


def test_a_clock_that_is_not_in_its_time_gets_another(hall: Hall) -> None:
    first = hall.workloads.pairs([CART], START)
    assert hall.workloads.pairs([CART], START - 4 * MINUTE) == first
    hall.advance(START - HOUR)
    second = hall.workloads.pairs([CART], START - HOUR)
    assert parsed(second[CART].certificate).not_valid_before_utc < START - HOUR
    assert hall.issuer(second[CART])


def test_a_successor_is_in_the_bundle_a_day_before_it_signs(hall: Hall) -> None:
    hall.advance(SUCCESSION)
    old, new = hall.authorities
    assert (old.signs, new.signs) == (True, False)
    assert hall.workloads.bundle == old.certificate + new.certificate
    assert hall.issuer(hall.workloads.pairs([CART], SUCCESSION)[CART]) == old.certificate
    hall.advance(SUCCESSION, out_for=23 * HOUR)
    assert not hall.authorities[1].signs
    hall.advance(SUCCESSION + DAY, out_for=DAY)
    assert hall.workloads.bundle == old.certificate + new.certificate
    assert hall.issuer(hall.workloads.pairs([CART], SUCCESSION + DAY)[CART]) == new.certificate


def test_where_nobody_leads_for_a_day_the_successor_signs_before_the_old_one_ends(hall: Hall) -> None:
    hall.advance(SUCCESSION)
    old, new = hall.authorities
    for days in range(1, 119):
        hall.advance(SUCCESSION + days * DAY, out_for=23 * HOUR)
    assert [one.signs for one in hall.authorities] == [True, False]
    hall.advance(old.ends - 47 * HOUR, out_for=59 * MINUTE)
    assert [one.signs for one in hall.authorities] == [True, False]
    hall.advance(old.ends - 47 * HOUR, out_for=HOUR)
    assert [one.signs for one in hall.authorities] == [True, True]
    assert hall.issuer(hall.workloads.pairs([CART], old.ends - 47 * HOUR)[CART]) == new.certificate


def test_a_certificate_whose_authority_is_trusted_no_more_is_replaced_at_once(hall: Hall) -> None:
    first = hall.workloads.pairs([CART], START)
    hall.authorities = ()
    hall.advance(START)
    second = hall.workloads.pairs([CART], START)
    assert not hall.issuer(first[CART])
    assert hall.issuer(second[CART])
    assert hall.workloads.bundle == hall.authorities[0].certificate


def test_without_an_authority_nobody_gets_one_and_who_has_one_keeps_it(hall: Hall) -> None:
    first = hall.workloads.pairs([CART], START)
    hall.authorities = ()
    assert hall.workloads.pairs([CART, EDGE], START + 20 * HOUR) == first
    assert hall.workloads.bundle == ""


def test_none_outlives_its_authority(hall: Hall) -> None:
    pair = hall.workloads.pairs([CART], START + YEAR - HOUR)[CART]
    assert parsed(pair.certificate).not_valid_after_utc == START + YEAR


def test_five_hundred_are_issued_in_well_under_a_second(hall: Hall) -> None:
    workloads = Workloads(lambda: hall.authorities, entropy=ENTROPY)
    began = time.process_time()
    assert len(workloads.pairs(IDS, START)) == 500
    assert time.process_time() - began < 1


def test_keys_are_not_shown_by_accident(hall: Hall) -> None:
    pairs = hall.workloads.pairs([CART], START)
    assert "PRIVATE" not in repr((pairs, hall.workloads, hall.authorities))


spans = st.one_of(st.timedeltas(MINUTE, 2 * HOUR), st.timedeltas(HOUR, 100 * DAY))


@given(
    steps=st.lists(
        st.tuples(spans, st.timedeltas(timedelta(), 2 * DAY), st.sets(st.sampled_from(IDS[:5]))), max_size=30
    )
)
@settings(max_examples=60, deadline=None)
def test_whoever_is_wanted_always_shows_what_everybody_trusts(
    steps: list[tuple[timedelta, timedelta, set[str]]],
) -> None:
    hall, now = Hall(), START
    for span, out_for, wanted in steps:
        now += span
        told = hall.workloads.bundle
        hall.advance(now, out_for=out_for)
        found = hall.workloads.pairs(wanted, now)
        assert set(found) == wanted
        for pair in found.values():
            shown = parsed(pair.certificate)
            assert shown.not_valid_before_utc <= now < shown.not_valid_after_utc
            assert hall.issuer(pair) in hall.workloads.bundle
            if out_for < POLICY.overlap and any(one.certificate in told and one.valid(now) for one in hall.authorities):
                assert hall.issuer(pair) in told, "who has not heard of the news believes it too"
        due = hall.workloads.next_due
        assert (due is None) == (not wanted)
