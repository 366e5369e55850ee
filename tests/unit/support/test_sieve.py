"""The sieve for secrets: what it holds back, however it was put down, and what it lets through."""

import base64
import json
from collections.abc import Callable

import pytest

from support.sieve import holding, suspicious
from support.tokens import Key, compact
from support.wire import EDGE_ID, authority, workload

PAIR = workload(authority(), EDGE_ID)
TOKEN = compact({"alg": "ES256", "kid": "k", "typ": "JWT"}, {"sub": "somebody", "aud": "cart"}, Key("k").sign)
SECRETS = {"a token": TOKEN, "a private key": PAIR.key}
FORMS: dict[str, Callable[[str], str]] = {
    "as it is": lambda secret: secret,
    "in a header": lambda secret: f"authorization: Bearer {secret}\r\n",
    "in JSON": lambda secret: json.dumps({"a": f"Bearer {secret}"}),
    "in JSON in JSON": lambda secret: json.dumps(json.dumps({"a": secret})),
    **{
        f"in base64, {before} bytes later": lambda secret, before=before: (  # type: ignore[misc]
            base64.b64encode(f"{'x' * before}{secret} and more".encode()).decode()
        )
        for before in range(4)
    },
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_that_is_known_is_found(secret: str, form: str) -> None:
    texts = {"here": FORMS[form](SECRETS[secret]), "there": "nothing"}
    assert holding(texts, ["another", SECRETS[secret]]) == ["here"]


@pytest.mark.parametrize("form", FORMS)
def test_any_private_key_is_noticed(form: str) -> None:
    (found,) = suspicious({"here": FORMS[form](PAIR.key), "there": "nothing"})
    assert found.startswith("here: ")


def test_any_token_is_noticed_and_no_more_of_it_is_told_than_tells_what_it_is() -> None:
    (found,) = suspicious({"a log": f'{{"header": "Bearer {TOKEN}"}}'})
    assert len(found) < len(TOKEN) / 2


def test_a_token_without_its_beginning_is_found() -> None:
    assert holding({"here": TOKEN[20:]}, [TOKEN]) == ["here"]


def test_what_is_public_passes() -> None:
    public = {"here": PAIR.certificate, "there": json.dumps(Key("k").jwk()), "elsewhere": TOKEN.partition(".")[0]}
    assert holding(public, SECRETS.values()) == []
    assert suspicious(public) == []
