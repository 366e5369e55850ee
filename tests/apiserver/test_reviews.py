"""Tokens of ServiceAccounts, as a real API server issues and judges them."""

import json
import subprocess
import time
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from tools.cluster import places

from edgerun.api.meta import ObjectKey
from edgerun.identity import Account, Reason, Unproven
from edgerun.infra.kubernetes.client import Client, access, connected
from edgerun.infra.kubernetes.reviews import Reviews
from edgerun.translate.channel import AUDIENCE
from support.apiserver import ApiServer, kubeconfig
from support.faults import FaultyApi

ISSUER = "https://kubernetes.default.svc"
HOUR_S = 3600
SKEW_S = 60  # by which the API server lets clocks differ


@dataclass(frozen=True)
class Registry:
    """Where the ServiceAccount `edge-a` of a namespace gets its tokens from."""

    server: ApiServer
    namespace: str
    uid: str

    @property
    def username(self) -> str:
        return f"system:serviceaccount:{self.namespace}:edge-a"

    def token(self, *flags: str, audience: str = AUDIENCE) -> str:
        asked = ("create", "token", "edge-a", "--namespace", self.namespace, "--audience", audience, *flags)
        command = (places.program("kubectl"), "--kubeconfig", self.server.kubeconfig, *asked)
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def forged(self, *, lasts_s: int, key: ec.EllipticCurvePrivateKey | None = None) -> str:
        """One such as the API server makes, signed by its own key when no other is given."""
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": [AUDIENCE],
            "sub": self.username,
            "iat": now - HOUR_S,
            "nbf": now - HOUR_S,
            "exp": now + lasts_s,
            "kubernetes.io": {
                "namespace": self.namespace,
                "serviceaccount": {"name": "edge-a", "uid": self.uid},
            },
        }
        return signed(claims, key or self._key())

    def _key(self) -> ec.EllipticCurvePrivateKey:
        (path,) = self.server.folder.rglob("tokens.key")
        key = load_pem_private_key(path.read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return key


@pytest.fixture
async def registry(server: ApiServer, client: Client, namespace: str) -> Registry:
    return await account(server, client, namespace)


@pytest.fixture
def reviews(client: Client) -> Reviews:
    return Reviews(client)


async def account(server: ApiServer, client: Client, namespace: str) -> Registry:
    metadata = {"name": "edge-a", "namespace": namespace}
    made = await client.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    return Registry(server, namespace, made["metadata"]["uid"])


async def test_a_token_for_us_tells_whose_it_is(registry: Registry, reviews: Reviews) -> None:
    assert await reviews(registry.token()) == Account(registry.username)


async def test_a_token_of_a_pod_tells_its_name(registry: Registry, reviews: Reviews, client: Client) -> None:
    pod = await client.create(_pod(registry.namespace))
    bound = ("--bound-object-kind", "Pod", "--bound-object-name", "edge-a-1")
    token, other = registry.token(*bound), registry.token(*bound, "--duration", "20m")
    assert await reviews(token) == Account(registry.username, pod="edge-a-1")
    await client.delete(ObjectKey("Pod", registry.namespace, "edge-a-1"), pod["metadata"]["uid"])
    assert reason(await reviews(other)) == Reason.REJECTED, "its pod is no more; the API server remembers `token` 10 s"


@pytest.mark.parametrize("audience", [ISSUER, "edgerun-xds/", "edgerun", "https://edgerun-xds"])
async def test_a_token_for_others_is_none_for_us(registry: Registry, reviews: Reviews, audience: str) -> None:
    assert reason(await reviews(registry.token(audience=audience))) == Reason.AUDIENCE


async def test_a_token_of_another_namespace_says_so(
    server: ApiServer, client: Client, registry: Registry, reviews: Reviews
) -> None:
    await client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"{registry.namespace}-2"}})
    other = await account(server, client, f"{registry.namespace}-2")
    assert await reviews(other.token()) == Account(f"system:serviceaccount:{registry.namespace}-2:edge-a")


async def test_a_token_of_an_account_that_is_deleted_is_no_more(
    registry: Registry, reviews: Reviews, client: Client
) -> None:
    token = registry.token()
    await client.delete(ObjectKey("ServiceAccount", registry.namespace, "edge-a"), registry.uid)
    assert reason(await reviews(token)) == Reason.REJECTED
    await account(registry.server, client, registry.namespace)
    assert reason(await reviews(token)) == Reason.REJECTED, "another one of that name is another one"


async def test_a_token_ends(registry: Registry, reviews: Reviews) -> None:
    assert await reviews(registry.forged(lasts_s=HOUR_S)) == Account(registry.username)
    assert reason(await reviews(registry.forged(lasts_s=-SKEW_S - 5))) == Reason.REJECTED


async def test_a_token_that_the_api_server_did_not_sign_is_none(registry: Registry, reviews: Reviews) -> None:
    other = registry.forged(lasts_s=HOUR_S, key=ec.generate_private_key(ec.SECP256R1()))
    for token in (other, registry.token()[:-8] + "AAAAAAAA", "x", "a.b.c"):
        found = await reviews(token)
        assert reason(found) == Reason.REJECTED
        assert token not in str(found) or len(token) < 8


async def test_without_an_api_server_nothing_is_said_of_the_token(
    registry: Registry, faulty: FaultyApi, tmp_path: Path
) -> None:
    token, config = registry.token(), kubeconfig(tmp_path / "config", faulty.address)
    async with connected(config) as client:
        reviews = Reviews(client)
        assert await reviews(token) == Account(registry.username)
        faulty.down = True
        assert reason(await reviews(token)) == Reason.UNAVAILABLE
        faulty.down, faulty.strangers = False, 2
        assert reason(await reviews(token)) == Reason.UNAVAILABLE, "it is we who are not known"
        assert await reviews(token) == Account(registry.username)


async def test_an_operator_that_may_not_ask_says_nothing_of_the_token(registry: Registry, tmp_path: Path) -> None:
    address = (await access(registry.server.kubeconfig)).server
    config = kubeconfig(tmp_path / "config", address, token=registry.token(audience=ISSUER))
    async with connected(config) as client:
        found = await Reviews(client)(registry.token())
    assert reason(found) == Reason.UNAVAILABLE
    assert "tokenreviews" in str(found)


def reason(found: Account | Unproven) -> Reason:
    assert isinstance(found, Unproven), found
    return found.reason


def signed(claims: dict[str, Any], key: ec.EllipticCurvePrivateKey) -> str:
    text = ".".join(_base64(json.dumps(part).encode()) for part in ({"alg": "ES256", "typ": "JWT"}, claims))
    r, s = decode_dss_signature(key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{text}.{_base64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _pod(namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "edge-a-1", "namespace": namespace},
        "spec": {
            "serviceAccountName": "edge-a",
            "automountServiceAccountToken": False,
            "containers": [{"name": "edge", "image": "none"}],
        },
    }
