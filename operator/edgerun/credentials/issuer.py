"""What verifiers outside read about the issuer of the edge's tokens: OpenID Connect discovery and its JSON Web Key Set.

Both are public, hold no private half, and say how long they may be kept. Verifiers that get their keys from the control
plane itself never ask for them.
Trap: they are found at paths below the issuer's URL, which is compared character by character: a verifier that is given
it with another `/` at the end refuses every token.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from .keys import ALGORITHM, KeySet

DISCOVERY_PATH = "/.well-known/openid-configuration"
JWKS_PATH = "/openid/v1/jwks"  # where Kubernetes has its own
MAX_AGE = timedelta(minutes=5)


class Document(NamedTuple):
    """As an answer to GET and HEAD; the first three are what a page has."""

    status: int
    body: bytes
    media: str
    cache_control: str


def documents(keys: KeySet, issuer: str, *, max_age: timedelta = MAX_AGE) -> Mapping[str, Document]:
    """By the path below the issuer's URL."""
    cached = f"public, max-age={int(max_age.total_seconds())}"
    found = {
        DISCOVERY_PATH: (discovery(issuer), "application/json"),
        JWKS_PATH: (jwks(keys), "application/jwk-set+json"),
    }
    return {path: Document(200, msgspec.json.encode(body), media, cached) for path, (body, media) in found.items()}


def discovery(issuer: str) -> Mapping[str, object]:
    """What OpenID Connect Discovery 1.0 requires of an issuer whom nobody logs in with."""
    return {
        "issuer": issuer,
        "jwks_uri": f"{issuer}{JWKS_PATH}",
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
    }


def jwks(keys: KeySet) -> Mapping[str, object]:
    """The keys by which a token may be signed that is valid, or will soon be."""
    return {"keys": [key.jwk for key in keys.keys if key.phase.trusted]}


def issuer_problem(url: str) -> str:
    """What is wrong with it as an issuer, "" when nothing is."""
    wanted = "give https://HOST, with a port and a path if you like, and without a / at the end"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return f"{url!r} is no URL; {wanted}"
    plain = url.isascii() and url.isprintable() and not set(url) & set(' "\\?#@')
    if parts.scheme != "https" or not url.startswith("https://") or not host or not plain or url.endswith("/"):
        return f"{url!r} cannot be an issuer; {wanted}"
    return ""
