"""Who is let in to the control plane of a release, asked with the tokens that a cluster gives out."""

import asyncio
import json
from collections.abc import Callable, Iterator

import grpc
import pytest

from edgerun.translate.channel import AUDIENCE, CA_CERTIFICATES
from edgerun.translate.plan import CLUSTER
from support.cluster import Address, reached
from support.poll import eventually
from support.release import NAMESPACE, Release
from support.shop import Shop, edge_route
from support.xds import connected, names

Kubectl = Callable[..., str]

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("own_cluster")]
TRIES = 5


@pytest.fixture
def control_plane(kubectl: Kubectl, release: Release, cluster: object) -> Iterator[Address]:
    """Where the leader is, when the default fleet is there."""
    shop = Shop.of(kubectl)
    shop.open(edge_route("any", shop.host("any")))
    with reached(release.kubeconfig, NAMESPACE, "edgerun-xds", port="xds") as address:
        yield address


def token(release: Release, account: str, audience: str = AUDIENCE, namespace: str = NAMESPACE) -> str:
    asked = ("create", "token", account, f"--namespace={namespace}", f"--audience={audience}")
    return release.kubectl(*asked).strip()


async def verdict(release: Release, at: Address, *authorization: str) -> grpc.StatusCode | str:
    """Why the stream was refused, or "served".

    Who is refused at once may still be writing, and gRPC then says no more than that (INTERNAL): it is asked again.
    """
    for _ in range(TRIES):
        found = await _verdict(release, at, *authorization)
        if found is not grpc.StatusCode.INTERNAL:
            break
    return found


async def _verdict(release: Release, at: Address, *authorization: str) -> grpc.StatusCode | str:
    config = json.loads(release.kubectl("get", "configmap", "edge-default", "--output=json"))
    ca = config["data"][CA_CERTIFICATES].encode()
    service = f"edgerun-xds.{NAMESPACE}.svc"
    options = [("grpc.ssl_target_name_override", service), ("grpc.default_authority", service)]
    metadata = [("authorization", one) for one in authorization]
    async with connected(f"{at.host}:{at.port}", metadata=metadata, ca=ca, options=options) as client:
        try:
            await client.subscribe(CLUSTER)
            names(await client.hear())
        except grpc.aio.AioRpcError as error:
            return error.code()
    return "served"


async def test_the_token_of_an_edge_pod_opens_the_door(release: Release, control_plane: Address) -> None:
    bearer = f"Bearer {token(release, 'edge-default')}"
    assert await verdict(release, control_plane, bearer) == "served"


async def test_nobody_enters_without_one(release: Release, control_plane: Address) -> None:
    assert await verdict(release, control_plane) is grpc.StatusCode.UNAUTHENTICATED


async def test_a_token_for_another_audience_is_refused(release: Release, control_plane: Address) -> None:
    other = f"Bearer {token(release, 'edge-default', 'https://kubernetes.default.svc')}"
    assert await verdict(release, control_plane, other) is grpc.StatusCode.UNAUTHENTICATED


async def test_an_account_of_the_same_name_in_a_namespace_of_a_user_is_refused(
    release: Release, control_plane: Address, kubectl: Kubectl
) -> None:
    kubectl("create", "serviceaccount", "edge-default")
    foreign = f"Bearer {token(release, 'edge-default', namespace=Shop.of(kubectl).namespace)}"
    assert await verdict(release, control_plane, foreign) is grpc.StatusCode.PERMISSION_DENIED


async def test_the_operators_own_account_is_no_proxy(release: Release, control_plane: Address) -> None:
    own = f"Bearer {token(release, 'edgerun')}"
    assert await verdict(release, control_plane, own) is grpc.StatusCode.PERMISSION_DENIED


async def test_who_was_refused_is_counted_and_no_token_is_in_the_log(release: Release, control_plane: Address) -> None:
    secret = token(release, "edge-default", "https://kubernetes.default.svc")
    assert await verdict(release, control_plane, f"Bearer {secret}") is grpc.StatusCode.UNAUTHENTICATED
    leader = release.kubectl("get", "lease/edgerun", "--output=jsonpath={.spec.holderIdentity}")

    async def told() -> bool:
        log = await asyncio.to_thread(release.kubectl, "logs", leader)
        assert secret not in log
        assert secret.rpartition(".")[0] not in log
        return "audience" in log

    await eventually(told)
