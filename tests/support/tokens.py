"""Credentials for tests, made of their parts by hand, so that every part can be wrong.

`Key` signs with ES256; `token` is what the issuer makes. Trap: a JWS is signed as it is written, so whoever changes a
part has to sign it again, unless it is the signature that is to be wrong.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
Signer = Callable[[bytes], bytes]
Json = Mapping[str, Any]


@dataclass(frozen=True)
class Key:
    """A signing key of the issuer."""

    kid: str
    private: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def jwk(self, **others: Any) -> dict[str, Any]:
        numbers = self.private.public_key().public_numbers()
        x, y = (encoded(number.to_bytes(32, "big")) for number in (numbers.x, numbers.y))
        return {"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": self.kid, "x": x, "y": y} | others

    def pem(self) -> bytes:
        form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        return self.private.public_key().public_bytes(*form)

    def sign(self, signed: bytes) -> bytes:
        r, s = decode_dss_signature(self.der(signed))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def malleated(self, signed: bytes) -> bytes:
        """The other signature that everybody can make of this one."""
        signature = self.sign(signed)
        s = P256_ORDER - int.from_bytes(signature[32:], "big")
        return signature[:32] + s.to_bytes(32, "big")

    def der(self, signed: bytes) -> bytes:
        return self.private.sign(signed, ec.ECDSA(SHA256()))


def jwks(*keys: Json | Key) -> str:
    return json.dumps({"keys": [key.jwk() if isinstance(key, Key) else key for key in keys]})


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def compact(header: Json | str | bytes, payload: Json | str | bytes, sign: Signer) -> str:
    """A JWS in its compact form. A part that is not a mapping is taken as it is."""
    signed = f"{encoded(_bytes(header))}.{encoded(_bytes(payload))}"
    return f"{signed}.{encoded(sign(signed.encode()))}"


def _bytes(part: Json | str | bytes) -> bytes:
    if isinstance(part, bytes):
        return part
    return (part if isinstance(part, str) else json.dumps(part, separators=(",", ":"))).encode()


def hs256(secret: bytes) -> Signer:
    return lambda signed: hmac.new(secret, signed, hashlib.sha256).digest()


def rs256(private: rsa.RSAPrivateKey) -> Signer:
    return lambda signed: private.sign(signed, padding.PKCS1v15(), SHA256())


def unsigned(_signed: bytes) -> bytes:
    return b""


def without(mapping: Json, *names: str) -> dict[str, Any]:
    return {name: value for name, value in mapping.items() if name not in names}
