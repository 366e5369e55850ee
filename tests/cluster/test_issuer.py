"""A program that verifies for itself, as one outside of the cluster has to: by what the issuer publishes, with PyJWT.

The documents are read through the edge, by the route that docs/operations.md shows.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
import pytest
import yaml

from edgerun.api.meta import ObjectKey
from edgerun.translate.guard_policy import CREDENTIAL_HEADER
from edgerun.translate.identities import origin_id, subject
from support.cluster import Address
from support.release import Release
from support.shop import Shop, edge_route
from support.sites import origin
from support.standalone import Answer, fetch
from support.strongroom import TRUST_DOMAIN

Kubectl = Callable[..., str]

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("own_cluster")]
PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
CHAPTER = "### A verifier outside of the cluster"


@pytest.fixture
def shop(kubectl: Kubectl, image: str) -> Shop:
    """One with a program that tells what it is shown."""
    found = Shop.of(kubectl)
    found.open(origin("echo", image, replicas=1, guard="Disabled"), edge_route("echo", found.host("echo"), "echo"))
    return found


@pytest.fixture
def issuer_route(release: Release) -> Iterator[dict[str, Any]]:
    """The one of the page, as it stands there."""
    block = PAGE.read_text().partition(CHAPTER)[2].partition("```yaml\n")[2].partition("```")[0]
    route: dict[str, Any] = yaml.safe_load(block)
    release.kubectl("apply", "--filename=-", stdin=block)
    release.kubectl("wait", "--for=condition=Ready", "edgeroute/issuer", "--timeout=60s")
    yield route
    release.kubectl("delete", "edgeroute", "issuer")


async def asked(edge: Address, host: str, path: str = "/") -> Answer:
    answer = await fetch(edge.port, path, address=edge.host, host=host)
    assert answer.status in (200, 404), answer
    return answer


async def test_who_reads_the_issuers_documents_can_verify_a_credential_without_us(
    shop: Shop, issuer_route: dict[str, Any], release: Release
) -> None:
    with release.edge() as edge:
        (host,) = issuer_route["spec"]["hostnames"]
        found = json.loads((await asked(edge, host, "/.well-known/openid-configuration")).body)
        keys = json.loads((await asked(edge, host, urlsplit(found["jwks_uri"]).path)).body)
        seen = dict(json.loads((await asked(edge, shop.host("echo"))).body)["headers"])
        assert (await asked(edge, host, "/metrics")).status == 404, "nothing else of the operator is to be had there"
    shown = {name.lower(): value for name, value in seen.items()}[CREDENTIAL_HEADER].removeprefix("Bearer ")
    key = jwt.PyJWKSet.from_dict(keys)[jwt.get_unverified_header(shown)["kid"]]
    audience = origin_id(TRUST_DOMAIN, ObjectKey("OriginService", shop.namespace, "echo"))
    claims = jwt.decode(shown, key, algorithms=["ES256"], audience=audience, issuer=found["issuer"])
    assert claims["sub"] == subject(shop.namespace, "default")
