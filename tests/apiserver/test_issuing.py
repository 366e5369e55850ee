"""Keys in a real Secret, a guard that shows a real token: what an operator hands out, and to whom."""

import asyncio
import json
import urllib.request
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from envoy.config.core.v3 import extension_pb2
from envoy.extensions.filters.http.jwt_authn.v3 import config_pb2
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2

from edgerun.api.meta import ObjectKey
from edgerun.api.originservice import GUARD_CONTAINER
from edgerun.credentials.issuer import DISCOVERY_PATH, JWKS_PATH
from edgerun.credentials.keyring import POLICY, revoke
from edgerun.credentials.keys import new_private
from edgerun.credentials.keystore import changed
from edgerun.infra.kubernetes.client import Client
from edgerun.infra.kubernetes.vault import SecretVault
from edgerun.runtime.cluster import ClusterRuntime
from edgerun.settings import ClusterSettings
from edgerun.translate.channel import AUDIENCE
from edgerun.translate.guard_policy import VERIFICATION
from edgerun.translate.identities import WORKLOAD_SECRET
from edgerun.translate.labels import origin_labels
from edgerun.translate.plan import EXTENSION, SECRET
from support import chart
from support.apiserver import ApiServer
from support.chart import kubectl
from support.installation import Installation, install, operating, origin_service
from support.poll import PATIENCE_S, eventually
from support.xds import Client as XdsClient
from support.xds import connected

WITHIN_S = PATIENCE_S


@pytest.fixture
async def place(server: ApiServer, client: Client, namespace: str, tmp_path: Path) -> Installation:
    chart.needed()
    shop = f"{namespace}-shop"
    await client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": shop}})
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": shop}}
    await client.apply(account)
    await client.create(origin_service(shop, "cart"))
    return install(server, namespace, shop, tmp_path)


async def make_pod(client: Client, namespace: str, name: str, **labels: str) -> None:
    """As a Deployment's controller, a scheduler and a kubelet would."""
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}
    containers = [{"name": "app", "image": "app"}]
    spec = {"containers": containers, "initContainers": [{"name": GUARD_CONTAINER, "image": "guard"}]}
    await client.create({**pod, "spec": spec})
    conditions = [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]
    await client.apply_status({**pod, "status": {"podIP": "10.1.2.5", "conditions": conditions}})


def token(place: Installation, pod: str) -> str:
    """Of the ServiceAccount `default` of the shop, bound to a pod."""
    bound = ("--bound-object-kind", "Pod", "--bound-object-name", pod, "--audience", AUDIENCE)
    return kubectl(place.server, "create", "token", "default", "-n", place.shop, *bound).strip()


def calling(
    runtime: ClusterRuntime, settings: ClusterSettings, token: str, fleet: str
) -> AbstractAsyncContextManager[XdsClient]:
    installation = runtime.controller.store.installation
    assert installation
    name = f"{settings.xds_service}.{settings.namespace}.svc"
    return connected(
        f"localhost:{settings.xds_port}",
        fleet=fleet,
        options=[("grpc.ssl_target_name_override", name)],
        metadata=[("authorization", f"Bearer {token}")],
        ca=installation.trust_bundle.encode(),
    )


async def refusal(runtime: ClusterRuntime, settings: ClusterSettings, token: str) -> grpc.StatusCode:
    async with calling(runtime, settings, token, "guard") as stranger:
        code: grpc.StatusCode = await stranger.call.code()
        return code


def read(settings: ClusterSettings, path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{settings.http_port}{path}", timeout=5) as answer:
        return json.loads(answer.read())


def published(settings: ClusterSettings) -> set[str]:
    return {key["kid"] for key in read(settings, JWKS_PATH)["keys"]}


def trusted(response: Any) -> set[str]:
    """The keys of the guard's policy."""
    (one,) = (one for one in response.resources if one.name == VERIFICATION)
    extension = extension_pb2.TypedExtensionConfig.FromString(one.resource.value)
    config = config_pb2.JwtAuthentication.FromString(extension.typed_config.value)
    (provider,) = config.providers.values()
    return {key["kid"] for key in json.loads(provider.local_jwks.inline_string)["keys"]}


async def test_a_guard_gets_the_keys_and_its_certificate_and_hears_of_a_revocation(
    place: Installation, client: Client
) -> None:
    settings = place.settings()
    await make_pod(client, place.shop, "cart-1", **origin_labels("cart"))
    await make_pod(client, place.shop, "stray")
    fleet = f"guard/{place.shop}/cart"
    async with operating(settings) as runtime:
        await eventually(lambda: runtime.leading.listening, within_s=WITHIN_S)
        async with calling(runtime, settings, token(place, "cart-1"), "guard/shop/other") as guard:
            answer = await guard.ask(EXTENSION, VERIFICATION)
            known = trusted(answer)
            assert known == await asyncio.to_thread(published, settings)
            (found,) = (await guard.ask(SECRET, WORKLOAD_SECRET)).resources
            pair = secret_pb2.Secret.FromString(found.resource.value).tls_certificate
            assert pair.certificate_chain.inline_string.startswith("-----BEGIN CERTIFICATE-----")
            assert [one.fleet for one in runtime.controller.server.proxies()] == [fleet]
            old = runtime.issuing.holder.keys.signing
            assert old
            vault = SecretVault(client, place.namespace, f"{settings.name}-keys")
            await changed(vault, lambda keys: revoke(keys, old.kid, datetime.now(UTC), POLICY, new_key=new_private))
            while old.kid in known:
                known = trusted(await guard.take())
            assert old.kid not in await asyncio.to_thread(published, settings)
        assert await refusal(runtime, settings, token(place, "stray")) == grpc.StatusCode.UNAVAILABLE
        document = await asyncio.to_thread(read, settings, DISCOVERY_PATH)
        assert document["issuer"] == f"https://{settings.name}.{settings.namespace}.svc"


async def test_a_guard_whose_pod_is_gone_is_not_let_in_again(place: Installation, client: Client) -> None:
    settings = place.settings()
    await make_pod(client, place.shop, "cart-1", **origin_labels("cart"))
    shown = token(place, "cart-1")
    async with operating(settings) as runtime:
        await eventually(lambda: runtime.leading.listening, within_s=WITHIN_S)
        async with calling(runtime, settings, shown, "") as guard:
            await guard.ask(EXTENSION, VERIFICATION, node="cart-1")
        key = ObjectKey("Pod", place.shop, "cart-1")
        kubectl(place.server, "delete", "pod", "cart-1", "-n", place.shop, "--grace-period=0", "--force")
        await eventually(lambda: runtime.origins.observing.guards.pod(key) is None, within_s=WITHIN_S)
        assert await refusal(runtime, settings, shown) in (
            grpc.StatusCode.UNAVAILABLE,  # while the review is remembered
            grpc.StatusCode.UNAUTHENTICATED,
        )


async def test_a_successor_goes_on_with_the_same_keys(place: Installation, client: Client) -> None:
    async with operating(place.settings("edgerun-0")) as first:
        await eventually(lambda: first.leading.listening and first.issuing.holder.keys.signing, within_s=WITHIN_S)
        before = first.issuing.holder.keys
    async with operating(place.settings("edgerun-1")) as second:
        await eventually(lambda: second.leading.listening and second.issuing.holder.fresh, within_s=WITHIN_S)
        after = second.issuing.holder.keys
    assert {key.kid for key in after.keys} >= {key.kid for key in before.keys}
    assert after.signing == before.signing
