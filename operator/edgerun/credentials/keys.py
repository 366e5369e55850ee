"""The keys that sign the edge's tokens, as values and as the data of one Secret.

A key is called by the RFC 7638 thumbprint of its public half, so two control planes cannot mean different keys by one
name. Its history tells when it entered which phase; what becomes of it next is keyring's.
Trap: an instant here is what somebody's clock said. It may be an hour off, and later than now.
"""

from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import IntEnum
from hashlib import sha256

import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from .certificates import parsed_key

ALGORITHM = "ES256"
COORDINATE_BYTES = 32
_STATE = "keys.json"

Private = EllipticCurvePrivateKey
NewKey = Callable[[], Private]


class Phase(IntEnum):
    """In the order in which a key goes through them, never back; it may skip to REVOKED from any."""

    PENDING = 1  # stored, and told to nobody
    PUBLISHED = 2  # verifiers are told to trust it
    SIGNING = 3
    RETIRING = 4  # trusted as long as a token by it may be valid
    RETIRED = 5
    REVOKED = 6

    @property
    def trusted(self) -> bool:
        return self in (Phase.PUBLISHED, Phase.SIGNING, Phase.RETIRING)


@dataclass(frozen=True, slots=True)
class Entered:
    phase: Phase
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """`x` and `y` are the public half as in a JWK. `private` is PEM, and "" once nobody may sign with it any more.

    `life` is the longest life of any token that it may have signed.
    """

    x: str
    y: str
    private: str = field(repr=False)
    history: tuple[Entered, ...]
    life: timedelta = timedelta()

    @property
    def kid(self) -> str:
        canonical = f'{{"crv":"P-256","kty":"EC","x":"{self.x}","y":"{self.y}"}}'  # RFC 7638, 3.2
        return _base64url(sha256(canonical.encode()).digest())

    @property
    def phase(self) -> Phase:
        return self.history[-1].phase

    @property
    def since(self) -> datetime:
        """When it entered its phase."""
        return self.history[-1].at

    @property
    def jwk(self) -> Mapping[str, str]:
        """The public half, for verifiers."""
        usage = {"use": "sig", "alg": ALGORITHM, "kid": self.kid}
        return {"kty": "EC", "crv": "P-256", "x": self.x, "y": self.y} | usage


@dataclass(frozen=True, slots=True)
class KeySet:
    """Those that are over first, then the oldest first. `rotate`: the next is to sign, however young this one is."""

    keys: tuple[Key, ...] = ()
    rotate: bool = False

    @property
    def signing(self) -> Key | None:
        return next(iter(self.at(Phase.SIGNING)), None)

    def at(self, *phases: Phase) -> tuple[Key, ...]:
        return tuple(key for key in self.keys if key.phase in phases)


def new_private() -> Private:
    return generate_private_key(SECP256R1())


def new(private: Private, now: datetime) -> Key:
    """A pending key."""
    x, y = _coordinates(private)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return Key(x=x, y=y, private=pem, history=(Entered(Phase.PENDING, now),))


def entered(key: Key, phase: Phase, now: datetime) -> Key:
    """The key in a later phase. From RETIRING on its private half is no more."""
    assert phase > key.phase, f"{key.kid} does not go from {key.phase.name} to {phase.name}"
    private = "" if phase >= Phase.RETIRING else key.private
    return replace(key, private=private, history=(*key.history, Entered(phase, now)))


def opened(key: Key) -> Private:
    """Its private half, to sign with."""
    return parsed_key(key.private)


def signed(private: Private, message: bytes) -> bytes:
    """The signature as RFC 7518, 3.4 has it; always the same one for the same message (RFC 6979)."""
    r, s = decode_dss_signature(private.sign(message, ECDSA(SHA256(), deterministic_signing=True)))
    return r.to_bytes(COORDINATE_BYTES, "big") + s.to_bytes(COORDINATE_BYTES, "big")


def encoded(keys: KeySet) -> Mapping[str, bytes]:
    """As the data of a Secret."""
    return {_STATE: msgspec.json.encode(keys)}


def decoded(data: Mapping[str, bytes]) -> KeySet:
    """Raises ValueError, which quotes nothing, when `data` is not what `encoded` makes."""
    if _STATE not in data:
        raise ValueError(f"there is no {_STATE} in it")
    try:
        found = msgspec.json.decode(data[_STATE], type=KeySet)
    except msgspec.MsgspecError:  # its words could hold a part of a key
        raise ValueError(f"its {_STATE} holds no keys") from None
    for key in found.keys:
        _check(key)
    if len({key.kid for key in found.keys}) < len(found.keys):
        raise ValueError(f"its {_STATE} holds a key twice")
    if len(found.at(Phase.SIGNING)) > 1:
        raise ValueError(f"its {_STATE} holds more than one key that signs")
    return found


def _check(key: Key) -> None:
    phases = [one.phase for one in key.history]
    if not phases or phases != sorted(set(phases)):
        raise ValueError(f"its {_STATE} holds a key whose phases are out of order")
    if any(one.at.tzinfo is None for one in key.history):
        raise ValueError(f"its {_STATE} holds an instant without a time zone")
    if key.phase < Phase.RETIRING and _coordinates(opened(key)) != (key.x, key.y):
        raise ValueError(f"its {_STATE} holds a key whose halves do not belong together")


def _coordinates(private: Private) -> tuple[str, str]:
    if not isinstance(private.curve, SECP256R1):
        raise ValueError("a private key is not one of P-256")
    numbers = private.public_key().public_numbers()
    x, y = (_base64url(one.to_bytes(COORDINATE_BYTES, "big")) for one in (numbers.x, numbers.y))
    return x, y


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
