"""Signing keys as values, and as the data of a Secret."""

from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from jwt.algorithms import ECAlgorithm

from edgerun.credentials.keys import (
    Entered,
    Key,
    KeySet,
    Phase,
    decoded,
    encoded,
    entered,
    new,
    new_private,
    opened,
    signed,
)
from support.authorities import START
from support.keyrings import private

HOUR = timedelta(hours=1)


@pytest.fixture
def key() -> Key:
    return new(private(), START)


@pytest.fixture
def keys() -> KeySet:
    """One in each phase."""
    each = []
    for number, phase in enumerate(Phase, start=1):
        key = new(private(number), START)
        each.append(key if phase is Phase.PENDING else entered(key, phase, START + HOUR))
    return KeySet(tuple(each), rotate=True)


def test_a_kid_is_the_thumbprint_of_the_public_half() -> None:
    """The coordinates of RFC 7517 A.1; its thumbprint was made with openssl and basenc."""
    x, y = "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"
    key = Key(x=x, y=y, private="", history=(Entered(Phase.RETIRED, START),))
    assert key.kid == "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s"


def test_coordinates_keep_their_zeros() -> None:
    key = new(private(2**200 + 39), START)
    assert (len(key.x), len(key.y)) == (43, 43)
    assert len({new(private(n), START).x for n in range(1, 400)}) == 399
    assert {len(new(private(n), START).x) for n in range(1, 400)} == {43}


def test_the_jwk_is_the_public_half(key: Key) -> None:
    assert set(key.jwk) == {"kty", "crv", "x", "y", "use", "alg", "kid"}
    assert (key.jwk["kty"], key.jwk["crv"], key.jwk["use"], key.jwk["alg"]) == ("EC", "P-256", "sig", "ES256")
    public = ECAlgorithm.from_jwk(dict(key.jwk))
    assert public.public_numbers() == private().public_key().public_numbers()


def test_the_private_half_is_not_in_what_is_printed(key: Key) -> None:
    secret = key.private.splitlines()[1]
    assert secret
    for text in (repr(key), str(key), repr(KeySet((key,))), f"{key.history}"):
        assert secret not in text
        assert "PRIVATE" not in text


def test_a_key_enters_phases_and_remembers_when(key: Key) -> None:
    published = entered(key, Phase.PUBLISHED, START + HOUR)
    signing = entered(published, Phase.SIGNING, START + 2 * HOUR)
    assert (signing.phase, signing.since) == (Phase.SIGNING, START + 2 * HOUR)
    assert signing.history[:2] == (Entered(Phase.PENDING, START), Entered(Phase.PUBLISHED, START + HOUR))
    assert signing.private == key.private
    assert (signing.kid, key.phase) == (key.kid, Phase.PENDING)


def test_no_key_goes_back(key: Key) -> None:
    signing = entered(key, Phase.SIGNING, START)
    with pytest.raises(AssertionError, match="does not go from SIGNING to PUBLISHED"):
        entered(signing, Phase.PUBLISHED, START)


@pytest.mark.parametrize("phase", [Phase.RETIRING, Phase.RETIRED, Phase.REVOKED])
def test_a_key_that_signs_no_more_has_no_private_half(key: Key, phase: Phase) -> None:
    assert entered(entered(key, Phase.SIGNING, START), phase, START).private == ""


def test_trusted_is_who_may_have_signed_a_valid_token_or_soon_will() -> None:
    assert [phase for phase in Phase if phase.trusted] == [Phase.PUBLISHED, Phase.SIGNING, Phase.RETIRING]


def test_a_signature_is_64_bytes_and_always_the_same() -> None:
    one = new_private()
    assert signed(one, b"a") == signed(one, b"a") != signed(one, b"b")
    assert len(signed(one, b"a")) == 64
    assert ECAlgorithm(ECAlgorithm.SHA256).verify(b"a", one.public_key(), signed(one, b"a"))


def test_what_is_encoded_is_decoded(keys: KeySet) -> None:
    assert decoded(encoded(keys)) == keys
    assert decoded(encoded(KeySet())) == KeySet()
    assert [key.kid for key in decoded(encoded(keys)).keys] == [key.kid for key in keys.keys]
    assert opened(keys.keys[0]).private_numbers().private_value == 1


def _without_zone(state: dict[str, list[dict[str, object]]]) -> None:
    state["keys"][0]["history"] = [{"phase": 1, "at": "2026-01-01T00:00:00"}]


def _backwards(state: dict[str, list[dict[str, object]]]) -> None:
    at = START.isoformat()
    state["keys"][0]["history"] = [{"phase": 2, "at": at}, {"phase": 1, "at": at}]


def _no_history(state: dict[str, list[dict[str, object]]]) -> None:
    state["keys"][0]["history"] = []


def _other_half(state: dict[str, list[dict[str, object]]]) -> None:
    state["keys"][0]["private"] = state["keys"][1]["private"]


def _no_half(state: dict[str, list[dict[str, object]]]) -> None:
    state["keys"][0]["private"] = ""


def _other_curve(state: dict[str, list[dict[str, object]]]) -> None:
    form = Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    state["keys"][0]["private"] = generate_private_key(SECP384R1()).private_bytes(*form).decode()


def _twice(state: dict[str, list[dict[str, object]]]) -> None:
    state["keys"].append(state["keys"][-1])


def _two_sign(state: dict[str, list[dict[str, object]]]) -> None:
    for one in state["keys"][:2]:
        one["history"] = [{"phase": 3, "at": START.isoformat()}]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_without_zone, "an instant without a time zone"),
        (_backwards, "out of order"),
        (_no_history, "out of order"),
        (_other_half, "do not belong together"),
        (_no_half, "cannot be read"),
        (_other_curve, "not one of P-256"),
        (_twice, "holds a key twice"),
        (_two_sign, "more than one key that signs"),
    ],
)
def test_what_is_spoiled_is_refused(
    keys: KeySet, spoil: Callable[[dict[str, list[dict[str, object]]]], None], words: str
) -> None:
    state = msgspec.json.decode(encoded(keys)["keys.json"])
    spoil(state)
    with pytest.raises(ValueError, match=words) as raised:
        decoded({"keys.json": msgspec.json.encode(state)})
    assert keys.keys[0].private.splitlines()[1] not in str(raised.value)


@pytest.mark.parametrize("data", [{}, {"keys.json": b""}, {"keys.json": b'{"keys": [{"private": "oops"}]}'}])
def test_what_is_no_state_is_refused_and_not_quoted(data: dict[str, bytes]) -> None:
    with pytest.raises(ValueError, match=r"keys\.json") as raised:
        decoded(data)
    assert "oops" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_instants_are_of_any_zone_and_stay_the_same(key: Key) -> None:
    when = datetime.fromisoformat("2026-01-01T05:00:00+05:00")
    stored = decoded(encoded(KeySet((entered(key, Phase.PUBLISHED, when),))))
    assert stored.keys[0].since == START
