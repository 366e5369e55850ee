"""Secrets and ConfigMaps that a template reads, with real pods that read them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from support.cluster import Address
from support.load import Result, load
from support.pods import origin_program
from support.poll import eventually, eventually_sync
from support.release import NAMESPACE, Release
from support.shop import Shop, edge_route, origin_service
from support.standalone import fetch

Kubectl = Callable[..., str]

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400), pytest.mark.usefixtures("own_cluster")]
ANYWHERE = "0.0.0.0"
WITHIN_S = 90
AFTERWARDS_S = 8  # what is wrong with a change shows when the old pods go


def secret(word: str, address: str = ANYWHERE) -> dict[str, Any]:
    """By it a replica knows what to call itself, and where to listen."""
    data = {"word": word, "address": address}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "greeting"}, "stringData": data}


def reading(image: str, *, rotation: str = "Rollout", **pod: Any) -> dict[str, Any]:
    """An OriginService whose replicas do."""
    service = origin_service("cart", image, replicas=2, **pod)
    service["spec"]["secretRotation"] = rotation
    (container,) = service["spec"]["template"]["spec"]["containers"]
    container["env"] = [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": "greeting", "key": key}}}
        for name, key in (("ADDRESS", "address"), ("NAME", "word"))
    ]
    return service


@pytest.fixture
def shop(kubectl: Kubectl, release: Release) -> Shop:
    return Shop.of(kubectl)


@pytest.fixture
def allowed(shop: Shop) -> None:
    """Whoever owns the namespace lets the operator see what changes."""
    account = f"--serviceaccount={NAMESPACE}:edgerun"
    shop.kubectl("create", "rolebinding", "edgerun-references", "--clusterrole=edgerun-references", account)


@pytest.fixture
def edge(shop: Shop, allowed: None, image: str, release: Release) -> Iterator[Address]:
    """Where the edge is, with replicas behind it that say `one`."""
    shop.apply(secret("one"))
    shop.open(reading(image), edge_route("cart", shop.host("cart"), "cart"))
    with release.edge() as edge:
        yield edge


@asynccontextmanager
async def under_load(shop: Shop, edge: Address) -> AsyncIterator[Result]:
    """Requests go on while the block runs and a while after, and none of them may fail."""
    calls = load(edge.port, address=edge.host, host=shop.host("cart"), connections=4, max_seconds=300)
    async with calls as result:
        yield result
        await asyncio.sleep(AFTERWARDS_S)
    assert result.sent > 100, result
    assert not result.failed, result


async def said(shop: Shop, edge: Address) -> set[str | None]:
    """What ten answers call their replica."""
    answers = [await fetch(edge.port, "/", address=edge.host, host=shop.host("cart")) for _ in range(10)]
    return {answer.header("x-origin") for answer in answers}


async def says(shop: Shop, edge: Address, word: str) -> None:
    """Returns when all of them do: the last old replica is gone."""

    async def replaced() -> bool:
        return await said(shop, edge) == {word}

    await eventually(replaced, within_s=WITHIN_S, step_s=0.5, what=word)


def version(shop: Shop) -> str:
    return str(shop.get("secret", "greeting")["metadata"]["resourceVersion"])


def serving(shop: Shop) -> str:
    """The version of the Secret that the status tells."""
    used = shop.get("originservice", "cart").get("status", {}).get("references", ())
    return next((str(one["version"]) for one in used if one["kind"] == "Secret"), "")


def condition(shop: Shop, type_: str) -> dict[str, Any]:
    return shop.condition("originservice", "cart", type_)


async def test_a_secret_that_changes_replaces_the_pods_and_no_request_is_lost(shop: Shop, edge: Address) -> None:
    assert await said(shop, edge) == {"one"}
    assert serving(shop) == version(shop)
    async with under_load(shop, edge):
        for word in ("two", "three"):
            await asyncio.to_thread(shop.apply, secret(word))
            await says(shop, edge, word)

            async def told() -> bool:
                return await asyncio.to_thread(serving, shop) == await asyncio.to_thread(version, shop)

            await eventually(told, within_s=WITHIN_S, step_s=0.5, what=f"the status tells of {word}")
    assert _rollouts(shop) == 3, "one for each, and the first"


async def test_a_secret_with_which_nothing_starts_replaces_nothing(shop: Shop, edge: Address) -> None:
    before = version(shop)
    async with under_load(shop, edge):
        await asyncio.to_thread(shop.apply, secret("two", address="nowhere.invalid"))
        await asyncio.to_thread(shop.until, "originservice", "cart", "False", "CrashLoopBackOff")
        assert await said(shop, edge) == {"one"}
        assert await asyncio.to_thread(serving, shop) == before
        await asyncio.to_thread(shop.apply, secret("two"))
        await says(shop, edge, "two")
        await asyncio.to_thread(shop.until, "originservice", "cart", "True")


def _rollouts(shop: Shop) -> int:
    """How many templates the Deployment has had."""
    deployment = shop.get("deployment", "cart-00001")
    return int(deployment["metadata"]["annotations"]["deployment.kubernetes.io/revision"])


def test_a_secret_that_is_missing_is_named_and_pods_start_by_themselves_when_it_appears(
    shop: Shop, allowed: None, image: str
) -> None:
    shop.apply(origin_program(), reading(image))
    missing = shop.until("originservice", "cart", "False")["message"]
    assert "containers[0].env[0].valueFrom.secretKeyRef.name" in missing
    eventually_sync(
        lambda: condition(shop, "ResolvedRefs")["reason"] == "ReferenceNotFound", within_s=WITHIN_S, step_s=0.5
    )
    kubelet = (
        'secret "greeting" not found; spec.template.spec.containers[0].env[0].valueFrom.secretKeyRef.name names it'
    )
    eventually_sync(lambda: kubelet in condition(shop, "ContainerHealthy")["message"], within_s=WITHIN_S, step_s=0.5)
    shop.apply(secret("one"))
    shop.open(reading(image))
    assert condition(shop, "ResolvedRefs")["status"] == "True"
    assert _rollouts(shop) == 1


def test_without_any_right_a_kubelets_words_and_the_volumes_that_it_waits_for_are_told(shop: Shop, image: str) -> None:
    volumes = [{"name": "origin", "configMap": {"name": "origin"}}, {"name": "a", "secret": {"secretName": "files"}}]
    shop.apply(origin_program(), secret("one"), reading(image, rotation="Ignore", volumes=volumes))
    wanted = 'Secret "files" (spec.template.spec.volumes[1].secret.secretName)'
    eventually_sync(lambda: wanted in condition(shop, "ContainerHealthy")["message"], within_s=WITHIN_S, step_s=0.5)
    shop.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "files"}, "stringData": {"a": "b"}})
    shop.open(reading(image, rotation="Ignore", volumes=volumes))
