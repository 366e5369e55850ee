"""What a case about credentials is made of: the keys, and ways to make a token that is wrong in one thing.

The guard's JWKS holds more than it may believe in. Trap: a claim is of the moment at which the case is made.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from support.tokens import Key, Signer, compact, encoded, jwks, without

from .guarded import Headers, bearer, claims, head, token

UNAUTHORIZED, FORBIDDEN = 401, 403
CREDENTIAL = "x-edgerun-authorization"


@dataclass(frozen=True)
class Keys:
    """`good`, `next` and both `twins`, which share a name, are the issuer's; the others are in its JWKS all the same,
    except for the `stranger`, who calls itself by the name of the good one."""

    good: Key = field(default_factory=lambda: Key("k1"))
    next: Key = field(default_factory=lambda: Key("k2"))
    twins: tuple[Key, Key] = field(default_factory=lambda: (Key("twin"), Key("twin")))
    nameless: Key = field(default_factory=lambda: Key("nameless"))
    stranger: Key = field(default_factory=lambda: Key("k1"))
    rsa2048: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))
    p384: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP384R1()))
    okp: ed25519.Ed25519PrivateKey = field(default_factory=ed25519.Ed25519PrivateKey.generate)
    secret: bytes = b"a secret that everybody who reads the keys knows"

    def jwks(self) -> str:
        return jwks(
            *(self.good, self.next, *self.twins),
            without(self.nameless.jwk(), "kid"),
            self._rsa(),
            self._p384(),
            {"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": encoded(self.okp.public_key().public_bytes_raw())},
            {"kty": "oct", "kid": "oct", "alg": "HS256", "k": encoded(self.secret)},
        )

    def _rsa(self) -> dict[str, str]:
        numbers = self.rsa2048.public_key().public_numbers()
        n, e = numbers.n.to_bytes(256, "big"), numbers.e.to_bytes(3, "big")
        return {"kty": "RSA", "kid": "rsa", "alg": "RS256", "n": encoded(n), "e": encoded(e)}

    def _p384(self) -> dict[str, str]:
        numbers = self.p384.public_key().public_numbers()
        x, y = (encoded(number.to_bytes(48, "big")) for number in (numbers.x, numbers.y))
        return {"kty": "EC", "crv": "P-384", "kid": "p384", "alg": "ES384", "x": x, "y": y}

    def es384(self, signed: bytes) -> bytes:
        r, s = decode_dss_signature(self.p384.sign(signed, ec.ECDSA(hashes.SHA384())))
        return r.to_bytes(48, "big") + s.to_bytes(48, "big")


Make = Callable[[Keys], Headers]


@dataclass(frozen=True)
class Case:
    name: str
    make: Make
    why: str  # is part of what the log says
    status: int = UNAUTHORIZED

    def __str__(self) -> str:
        return self.name


def policy(name: str) -> str:
    return f"matched_policy[{name}]"


def claim(why: str, **others: Any) -> tuple[Make, str]:
    """A token whose claims differ in this, signed as it should be."""
    return lambda keys: bearer(token(keys.good, **others)), why


def moment(claim: str, seconds: float, why: str) -> tuple[Make, str]:
    """A token one of whose times is so far from now."""
    return lambda keys: bearer(token(keys.good, **{claim: int(time.time() + seconds)})), why


def lacking(claim: str, why: str) -> tuple[Make, str]:
    return lambda keys: bearer(compact(head(keys.good), without(claims(), claim), keys.good.sign)), why


def payload(text: str | bytes, why: str) -> tuple[Make, str]:
    return lambda keys: bearer(compact(head(keys.good), text, keys.good.sign)), why


def header(why: str, **others: Any) -> tuple[Make, str]:
    """A token whose header differs in this, signed as it should be."""
    return lambda keys: bearer(compact(head(keys.good, **others), claims(), keys.good.sign)), why


def signed(sign: Callable[[Keys], Signer], why: str, **header: Any) -> tuple[Make, str]:
    return lambda keys: bearer(compact(head(keys.good, **header), claims(), sign(keys))), why


def text_of(change: Callable[[str], str], why: str) -> tuple[Make, str]:
    """What a client makes of a good token."""
    return lambda keys: bearer(change(token(keys.good))), why


def brought(headers: Callable[[str], Headers], why: str) -> tuple[Make, str]:
    """How a client brings a good token."""
    return lambda keys: headers(token(keys.good)), why


def duplicated(name: str, value: Any) -> str:
    """The claims as JSON in which `name` comes twice."""
    return json.dumps(claims())[:-1] + f", {json.dumps(name)}: {json.dumps(value)}}}"


def cut(text: str, part: int, length: int) -> str:
    parts = text.split(".")
    parts[part] = parts[part][:length]
    return ".".join(parts)


def p256_numbers(keys: Keys) -> bytes:
    numbers = keys.good.private.public_key().public_numbers()
    return b"\x04" + numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")
