"""The tokens of an edge, as a verifier that is not ours reads them, and when each is replaced."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun.credentials.keys import Key, Phase, entered, new, new_private
from edgerun.credentials.tokens import (
    AUDIENCE_LIMIT,
    Terms,
    Token,
    Wallet,
    audience_problem,
    compared,
    confusable,
    mint,
    renewal,
    subject_problem,
)
from edgerun.translate.identities import Claim, subject
from support.authorities import START
from support.keyrings import jtis, private

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
TERMS = Terms(issuer="https://edge.example")
CART = Claim(subject("shop", "edge"), "https://cart.shop.svc")
PAY = Claim(subject("shop", "edge"), "https://pay.shop.svc")


def signing(number: int = 1, *, life: timedelta = HOUR) -> Key:
    return replace(entered(new(private(number), START), Phase.SIGNING, START), life=life)


def minted(claim: Claim = CART, *, now: datetime = START, key: Key | None = None, terms: Terms = TERMS) -> Token:
    return mint(claim, now, key or signing(), terms, jti="one")


def read(token: Token, key: Key) -> dict[str, object]:
    """As any verifier does: signature, issuer, audience; the time is not today's."""
    required = {"require": ["iss", "sub", "aud", "iat", "nbf", "exp", "jti"]}
    late = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
    return jwt.decode(
        token.value,
        jwt.PyJWK(dict(key.jwk)),
        algorithms=["ES256"],
        issuer=TERMS.issuer,
        audience=token.claim.audience,
        options={**required, **late},
    )


def test_a_token_says_who_calls_whom_and_until_when() -> None:
    token = minted(now=START + timedelta(microseconds=999_999))
    began = int(START.timestamp())
    assert read(token, signing()) == {
        "iss": "https://edge.example",
        "sub": "system:serviceaccount:shop:edge",
        "aud": "https://cart.shop.svc",
        "iat": began,
        "nbf": began - 10,
        "exp": began + 3600,
        "jti": "one",
    }
    assert (token.issued, token.expires, token.kid) == (START, START + HOUR, signing().kid)


def test_its_header_names_the_key_and_nothing_else() -> None:
    assert jwt.get_unverified_header(minted().value) == {"alg": "ES256", "kid": signing().kid, "typ": "JWT"}


def test_a_token_of_now_is_good_to_a_strict_verifier() -> None:
    now = datetime.now(START.tzinfo)
    key = replace(entered(new(new_private(), now), Phase.SIGNING, now), life=HOUR)
    token = minted(now=now, key=key)
    assert jwt.decode(token.value, jwt.PyJWK(dict(key.jwk)), algorithms=["ES256"], audience=CART.audience)


def test_another_key_did_not_sign_it() -> None:
    with pytest.raises(jwt.InvalidSignatureError):
        read(minted(), signing(2))


def test_the_same_makes_the_same_bytes() -> None:
    assert minted() == minted()
    assert minted().value != minted(PAY).value


def test_a_token_is_not_in_what_is_printed() -> None:
    token = minted()
    wallet = Wallet({CART: token})
    for text in (repr(token), repr(wallet)):
        assert not [part for part in token.value.split(".") if part in text]


def test_no_token_outlives_what_its_key_promises() -> None:
    token = minted(key=signing(life=5 * MINUTE))
    assert token.expires == START + 5 * MINUTE


def test_a_wallet_gets_what_is_wanted_and_forgets_what_is_not() -> None:
    key, jti = signing(), jtis()
    both = Wallet().renewed({CART, PAY}, START, key, TERMS, jti=jti)
    assert set(both.tokens) == {CART, PAY}
    assert both.kids == {key.kid}
    assert {read(token, key)["jti"] for token in both.tokens.values()} == {"jti-1", "jti-2"}
    one = both.renewed({PAY}, START + MINUTE, key, TERMS, jti=jti)
    assert one.tokens == {PAY: both.tokens[PAY]}
    assert both.renewed([], START, key, TERMS) == Wallet()


def test_nothing_is_due_before_its_time() -> None:
    key = signing()
    wallet = Wallet().renewed({CART, PAY}, START, key, TERMS)
    for minutes in range(24):
        assert not wallet.due({CART, PAY}, START + minutes * MINUTE, key.kid, TERMS)
        assert wallet.renewed({CART, PAY}, START + minutes * MINUTE, key, TERMS) == wallet
    assert wallet.due({CART, PAY}, START + 30 * MINUTE, key.kid, TERMS) == (CART, PAY)


def test_the_next_one_is_due_when_the_wallet_says() -> None:
    key = signing()
    wallet = Wallet().renewed({CART, PAY}, START, key, TERMS)
    at = wallet.next_due(TERMS)
    assert at
    assert not wallet.due({CART, PAY}, at - timedelta(microseconds=1), key.kid, TERMS)
    assert len(wallet.due({CART, PAY}, at, key.kid, TERMS)) == 1
    assert Wallet().next_due(TERMS) is None


def test_another_key_makes_all_due_at_once() -> None:
    wallet = Wallet().renewed({CART, PAY}, START, signing(1), TERMS)
    assert wallet.due({CART, PAY}, START, signing(2).kid, TERMS) == (CART, PAY)
    assert wallet.renewed({CART, PAY}, START, signing(2), TERMS).kids == {signing(2).kid}


def test_a_shorter_life_makes_long_ones_due() -> None:
    wallet = Wallet().renewed({CART}, START, signing(), TERMS)
    assert wallet.due({CART}, START, signing().kid, replace(TERMS, life=HOUR / 2)) == (CART,)
    assert not wallet.due({CART}, START, signing().kid, replace(TERMS, life=2 * HOUR))


def test_what_a_clock_that_was_ahead_has_issued_is_replaced() -> None:
    wallet = Wallet().renewed({CART}, START + HOUR, signing(), TERMS)
    assert wallet.due({CART}, START, signing().kid, TERMS) == (CART,)
    assert not wallet.due({CART}, START + 59 * MINUTE, signing().kid, TERMS), "a minute is nothing"


names = st.from_regex(r"[a-z]{1,20}", fullmatch=True)


@given(st.builds(Claim, st.builds(subject, names, names), names), st.integers(60, 86400))
def test_replacement_is_at_half_life_or_somewhat_before(claim: Claim, life_s: int) -> None:
    token = Token(claim, "k", START, START + timedelta(seconds=life_s), "")
    part = (renewal(token, TERMS) - START) / timedelta(seconds=life_s)
    assert 0.4 <= part <= 0.5
    assert renewal(replace(token, value="another", kid="another"), TERMS) == renewal(token, TERMS)


def test_replacements_are_spread() -> None:
    claims = [Claim(subject("shop", "edge"), f"https://origin-{number}") for number in range(100)]
    wallet = Wallet({one: Token(one, "k", START, START + HOUR, "") for one in claims})
    due = [len(wallet.due(claims, START + minutes * MINUTE, "k", TERMS)) for minutes in (24, 25, 26, 27, 28, 29, 30)]
    assert due == sorted(due)
    assert all(5 <= after - before <= 30 for before, after in pairwise(due))


@given(st.builds(Claim, st.builds(subject, names, names), names), st.floats(0.1, 0.9))
def test_no_token_is_due_when_it_is_made(claim: Claim, renewed_at: float) -> None:
    terms = replace(TERMS, life=5 * MINUTE, renewed_at=renewed_at)
    token = Token(claim, "k", START, START + terms.life, "")
    assert renewed_at / 2 <= (renewal(token, terms) - START) / terms.life <= renewed_at + 1e-6
    assert not Wallet({claim: token}).due({claim}, START + timedelta(seconds=14), "k", terms)


@pytest.mark.parametrize(
    "text",
    ["system:serviceaccount:shop:edge", "system:serviceaccount:a:b.c-d.e", f"system:serviceaccount:{'a' * 63}:x"],
)
def test_a_service_account_is_a_subject(text: str) -> None:
    assert not subject_problem(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "edge",
        "system:serviceaccount:shop",
        "system:serviceaccount:shop:",
        "system:serviceaccount::edge",
        "system:serviceaccount:Shop:edge",
        "system:serviceaccount:shop:edge\n",
        "system:serviceaccount:shop:edge:more",
        "system:serviceaccount:a.b:edge",
        f"system:serviceaccount:{'a' * 64}:x",
        f"system:serviceaccount:a:{'.'.join(['a' * 63] * 4)}",
        "system:serviceaccount:shop:-edge",
        "SYSTEM:serviceaccount:shop:edge",
    ],
)
def test_anything_else_is_none(text: str) -> None:
    assert "system:serviceaccount:NAMESPACE:NAME" in subject_problem(text)


@pytest.mark.parametrize(
    "text", ["https://cart.shop.svc", "https://a/b/", "spiffe://a/ns/b/origin/c", "cart", "a" * AUDIENCE_LIMIT]
)
def test_an_audience_is_a_url_or_a_name(text: str) -> None:
    assert not audience_problem(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is no audience"),
        ("a b", "is no audience"),
        ("a\n", "is no audience"),
        ('a"b', "is no audience"),
        ("a\\b", "is no audience"),
        ("bücher", "is no audience"),
        ("https://", "nothing of the audience"),
        ("http:///", "nothing of the audience"),
        ("/", "nothing of the audience"),
        ("a" * (AUDIENCE_LIMIT + 1), "at most 255 characters, not 256"),
    ],
)
def test_an_audience_that_is_none_is_told_why(text: str, words: str) -> None:
    assert words in audience_problem(text)


def test_audiences_that_are_taken_for_one_another_are_named() -> None:
    alike = ["https://app/", "app", "http://app", "HTTPS://App", "https://app//"]
    assert confusable([*alike, "https://app/v1", "https://other", "https://other"]) == (tuple(sorted(alike)),)
    assert confusable(["https://app", "app2", "spiffe://app"]) == ()


@given(st.text("ahtps:/.", max_size=20), st.text("ahtps:/.", max_size=20))
def test_what_envoy_takes_for_the_same_is_confusable(one: str, other: str) -> None:
    if one != other and _as_envoy(one) == _as_envoy(other):
        assert compared(one) == compared(other)
        assert confusable([one, other])


def _as_envoy(audience: str) -> str:
    """jwt_verify_lib's sanitizeAudience."""
    for scheme in ("http://", "https://"):
        if audience.startswith(scheme):
            audience = audience.removeprefix(scheme)
            break
    return audience.removesuffix("/")
