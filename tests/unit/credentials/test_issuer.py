"""What verifiers outside read about the issuer."""

from datetime import timedelta

import jwt
import msgspec
import pytest

from edgerun.credentials.issuer import DISCOVERY_PATH, JWKS_PATH, documents, issuer_problem
from edgerun.credentials.keys import KeySet, Phase, entered, new
from edgerun.credentials.tokens import Terms, mint
from edgerun.translate.identities import Claim, subject
from support.authorities import START
from support.keyrings import private

ISSUER = "https://edge.example/tokens"
PENDING = new(private(9), START)
KEYS = KeySet((PENDING, *(entered(new(private(n), START), n, START) for n in Phase if n > Phase.PENDING)))


def test_discovery_says_where_the_keys_are() -> None:
    document = documents(KEYS, ISSUER)[DISCOVERY_PATH]
    assert document[:1] + document[2:] == (200, "application/json", "public, max-age=300")
    assert msgspec.json.decode(document.body) == {
        "issuer": ISSUER,
        "jwks_uri": ISSUER + JWKS_PATH,
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    }


def test_the_keys_are_those_that_are_trusted() -> None:
    document = documents(KEYS, ISSUER, max_age=timedelta(minutes=10))[JWKS_PATH]
    assert document.cache_control == "public, max-age=600"
    told = {key["kid"] for key in msgspec.json.decode(document.body)["keys"]}
    assert told == {key.kid for key in KEYS.at(Phase.PUBLISHED, Phase.SIGNING, Phase.RETIRING)}


def test_no_document_holds_a_private_half() -> None:
    everything = b"".join(document.body for document in documents(KEYS, ISSUER).values())
    for key in msgspec.json.decode(documents(KEYS, ISSUER)[JWKS_PATH].body)["keys"]:
        assert set(key) == {"kty", "crv", "x", "y", "use", "alg", "kid"}
    for key in KEYS.keys:
        lines = key.private.splitlines()[1:-1]
        assert not [line for line in lines if line.encode() in everything]


def test_a_stranger_verifies_a_token_by_the_documents_alone() -> None:
    signing = KEYS.signing
    assert signing
    claim = Claim(subject("shop", "edge"), "https://elsewhere.example")
    token = mint(claim, START, signing, Terms(issuer=ISSUER), jti="one")
    found = jwt.PyJWKSet.from_json(documents(KEYS, ISSUER)[JWKS_PATH].body.decode())
    key = found[jwt.get_unverified_header(token.value)["kid"]]
    late = {"verify_exp": False}
    read = jwt.decode(token.value, key, algorithms=["ES256"], audience=claim.audience, issuer=ISSUER, options=late)
    assert read["sub"] == claim.subject


def test_documents_of_no_keys_are_documents() -> None:
    assert msgspec.json.decode(documents(KeySet(), ISSUER)[JWKS_PATH].body) == {"keys": []}


@pytest.mark.parametrize("url", ["https://edge.example", "https://edge.example:8443/a/b", "https://[::1]:1"])
def test_a_url_of_https_is_an_issuer(url: str) -> None:
    assert not issuer_problem(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "edge.example",
        "http://edge.example",
        "HTTPS://edge.example",
        "https://",
        "https://edge.example/",
        "https://edge.example?x",
        "https://edge.example#x",
        "https://me@edge.example",
        "https://edge.example/a b",
        "https://edge.example\n",
        "https://bücher.example",
        "https://edge.example:port",
        "https://[::1",
    ],
)
def test_any_other_is_none_and_says_the_way_out(url: str) -> None:
    assert "give https://HOST" in issuer_problem(url)
