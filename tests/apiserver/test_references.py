"""Secrets and ConfigMaps that a template reads, at a real API server, by an operator with the rights of the chart."""

import asyncio
import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from edgerun.api.meta import ObjectKey
from edgerun.api.resources import RESOURCES
from edgerun.errors import NotFoundError
from edgerun.infra.kubernetes import client as kubernetes
from edgerun.infra.kubernetes.client import Client
from edgerun.sources import references
from edgerun.translate.references import MARK, RECORD
from edgerun.translate.world import Referred
from support import chart
from support.apiserver import ApiServer
from support.chart import kubectl
from support.edits import edited
from support.installation import Installation, install, operating
from support.installation import origin_service as made
from support.poll import PATIENCE_S, eventually

WITHIN_S = PATIENCE_S
PERIOD_S = 0.3
QUIET_S = 2.0  # in which much would happen that should not
COMMAND = re.compile(r"Allow it here: kubectl (.+?);")

Object = Mapping[str, Any]


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "PERIOD_S", PERIOD_S)


@pytest.fixture
async def shop(client: Client, namespace: str) -> str:
    name = f"{namespace}-shop"
    await client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return name


@pytest.fixture
async def place(server: ApiServer, namespace: str, shop: str, tmp_path: Path) -> Installation:
    chart.needed()
    return install(server, namespace, shop, tmp_path)


class Shop:
    """An OriginService `cart` that reads the Secret `db`, and what becomes of it."""

    def __init__(self, client: Client, place: Installation) -> None:
        self.client, self.place = client, place
        self.origin, self.deployment, self.secret = (
            ObjectKey(kind, place.shop, name)
            for kind, name in (("OriginService", "cart"), ("Deployment", "cart-00001"), ("Secret", "db"))
        )

    async def open(self, **key: Any) -> None:
        reference = {"secretKeyRef": {"name": "db", "key": "password", **key}}
        container = {"image": "shop/cart:1", "env": [{"name": "PASSWORD", "valueFrom": reference}]}
        service = made(self.place.shop, "cart", containers=[container])
        service["spec"] |= {"secretRotation": "Rollout", "guard": "Disabled"}
        await self.client.create(service)

    async def write(self, password: str) -> str:
        """The version that it has now."""
        return str((await self.client.apply(self._secret(password)))["metadata"]["resourceVersion"])

    def _secret(self, password: str) -> dict[str, Any]:
        metadata = {"name": "db", "namespace": self.place.shop}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"password": password}}

    async def resolved(self, reason: str) -> str:
        """The message of the condition, as soon as that is its reason."""

        async def check() -> Object:
            raw = await self.client.get(self.origin)
            part = condition(raw, "ResolvedRefs")
            assert part.get("reason") == reason, yaml.safe_dump(raw.get("status"))
            return part

        return str((await eventually(check, within_s=WITHIN_S, step_s=0.1, what=reason))["message"])

    async def deployed(self, right: Callable[[Object], object], what: str) -> Object:
        async def check() -> Object:
            try:
                raw = await self.client.get(self.deployment)
            except NotFoundError:
                return {}
            assert right(raw), yaml.safe_dump(raw["metadata"])
            return raw

        return await eventually(check, within_s=WITHIN_S, step_s=0.1, what=what)

    async def notes(self, version: str) -> Object:
        return await self.deployed(lambda raw: record(raw) == f"Secret/db={version}", f"it is of version {version}")

    async def status(self, right: Callable[[Object], object], what: str) -> Object:
        async def check() -> Object:
            status: Object = (await self.client.get(self.origin)).get("status", {})
            assert right(status), yaml.safe_dump(status)
            return status

        return await eventually(check, within_s=WITHIN_S, step_s=0.1, what=what)

    async def allow(self) -> None:
        message = await self.resolved("RefNotPermitted")
        command = COMMAND.search(message)
        assert command, message
        await asyncio.to_thread(kubectl, self.place.server, *shlex.split(command[1]))

    async def forbid(self) -> None:
        await asyncio.to_thread(
            kubectl, self.place.server, "delete", "rolebinding", "edgerun-references", "-n", self.place.shop
        )

    async def replica(self, name: str) -> None:
        """A pod as the Deployment makes it now, and a kubelet runs it."""
        template = (await self.client.get(self.deployment))["spec"]["template"]
        metadata = {**template["metadata"], "name": name, "namespace": self.place.shop}
        account = {"name": "default", "namespace": self.place.shop}
        await self.client.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}
        await self.client.create({**pod, "spec": template["spec"]})
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
        await self.client.apply_status({**pod, "status": {"podIP": "10.1.2.4", "conditions": [ready]}})

    async def ends(self, name: str) -> None:
        key = ObjectKey("Pod", self.place.shop, name)
        await asyncio.to_thread(
            kubectl, self.place.server, "delete", "pod", name, "-n", key.namespace, "--grace-period=0", "--force"
        )


def condition(raw: Object, type_: str) -> Object:
    parts = raw.get("status", {}).get("conditions", ())
    return next((part for part in parts if part["type"] == type_), {})


def record(deployment: Object) -> str:
    return str(deployment["metadata"].get("annotations", {}).get(RECORD, ""))


def mark(deployment: Object) -> str:
    return str(deployment["spec"]["template"]["metadata"].get("annotations", {}).get(MARK, ""))


@pytest.fixture
def cart(client: Client, place: Installation) -> Shop:
    return Shop(client, place)


async def test_without_the_right_the_condition_has_the_command_that_gives_it_and_heals_by_it(cart: Shop) -> None:
    await cart.open()
    version = await cart.write("one")
    async with operating(cart.place.settings()):
        message = await cart.resolved("RefNotPermitted")
        assert f"--serviceaccount={cart.place.namespace}:edgerun" in message
        before = await cart.deployed(lambda raw: True, "it is there, and serves")
        assert (record(before), mark(before)) == ("", "")
        await cart.allow()
        await cart.resolved("ResolvedRefs")
        after = await cart.notes(version)
        assert after["spec"] == before["spec"], "no pod is replaced for it"


async def test_by_the_charts_value_it_needs_nobody(
    server: ApiServer, client: Client, namespace: str, shop: str, tmp_path: Path
) -> None:
    cart = Shop(client, install(server, namespace, shop, tmp_path, secretRotation={"enabled": True}))
    await cart.open()
    version = await cart.write("one")
    async with operating(cart.place.settings()):
        await cart.notes(version)


async def test_one_that_is_missing_is_named_and_heals_when_it_appears(cart: Shop) -> None:
    await cart.open()
    async with operating(cart.place.settings()):
        await cart.allow()
        assert await cart.resolved("ReferenceNotFound") == (
            'spec.template.spec.containers[0].env[0].valueFrom.secretKeyRef.name: Secret "db" not found in namespace '
            f"{cart.place.shop}; new replicas wait for it"
        )
        version = await cart.write("one")
        await cart.resolved("ResolvedRefs")
        assert mark(await cart.notes(version)) == "", "its pods waited, and have started by themselves"


async def test_each_change_is_one_rollout_and_an_operator_that_starts_anew_is_none(cart: Shop) -> None:
    await cart.open()
    first = await cart.write("one")
    settings = cart.place.settings()
    async with operating(settings):
        await cart.allow()
        made = await cart.notes(first)
        changed = await cart.notes(await cart.write("two"))
        assert mark(changed)
        assert changed["metadata"]["generation"] == made["metadata"]["generation"] + 1
        before, origin = changed, await settled(cart)
    async with operating(settings):
        await asyncio.sleep(QUIET_S)
        assert await cart.client.get(cart.deployment) == before
        assert await cart.client.get(cart.origin) == origin
        after = await cart.notes(await cart.write("three"))
        assert after["metadata"]["generation"] == before["metadata"]["generation"] + 1


async def settled(cart: Shop) -> Object:
    """The OriginService, when nothing of it has changed for a while."""
    seen: Object = {}
    while (now := await cart.client.get(cart.origin)) != seen:
        seen = now
        await asyncio.sleep(QUIET_S)
    return seen


async def test_a_right_that_is_lost_and_given_again_replaces_no_pod(cart: Shop) -> None:
    await cart.open()
    version = await cart.write("one")
    settings = cart.place.settings()
    async with operating(settings):
        await cart.allow()
        before = await cart.notes(version)
        await cart.forbid()
        await cart.resolved("RefNotPermitted")
        assert await cart.client.get(cart.deployment) == before
    async with operating(settings):
        await asyncio.sleep(QUIET_S)
        await cart.allow()
        await cart.resolved("ResolvedRefs")
        await asyncio.sleep(QUIET_S)
        assert await cart.client.get(cart.deployment) == before


async def test_what_changed_while_nobody_led_is_rolled_out_by_the_next_leader(cart: Shop) -> None:
    await cart.open()
    first = await cart.write("one")
    settings = cart.place.settings()
    async with operating(settings):
        await cart.allow()
        before = await cart.notes(first)
    second = await cart.write("two")
    async with operating(settings):
        after = await cart.notes(second)
        assert after["metadata"]["generation"] == before["metadata"]["generation"] + 1


async def test_a_replica_that_leads_no_longer_knows_no_version_and_sees_them_anew_when_it_leads_again(
    cart: Shop,
) -> None:
    """Another one may have rolled out newer versions meanwhile."""
    await cart.open()
    first = await cart.write("one")
    async with operating(cart.place.settings()) as runtime:
        await cart.allow()
        await cart.notes(first)
        runtime._lost()
        assert runtime.controller.store.referred == Referred()
        second = await cart.write("two")
        await asyncio.sleep(QUIET_S)
        assert runtime.controller.store.referred == Referred()
        runtime._gained()
        await cart.notes(second)


async def test_a_secret_that_changes_with_its_template_is_seen_at_once(
    cart: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else pods would be replaced twice, one after the other."""
    await cart.open()
    first = await cart.write("one")
    async with operating(cart.place.settings()):
        await cart.allow()
        await cart.notes(first)
        monkeypatch.setattr(references, "PERIOD_S", 10 * WITHIN_S)
        await asyncio.sleep(QUIET_S)  # the next look is far away now
        second = await cart.write("two")
        await edited(
            cart.client,
            cart.origin,
            lambda found: found["spec"]["template"]["spec"]["containers"][0].update(image="shop/cart:2"),
        )
        cart.deployment = cart.deployment._replace(name="cart-00002")
        after = await cart.notes(second)
        (container,) = after["spec"]["template"]["spec"]["containers"]
        assert container["image"] == "shop/cart:2"


async def test_the_status_has_the_version_of_the_pods_that_serve(cart: Shop) -> None:
    await cart.open()
    first = await cart.write("one")

    def serves(version: str) -> Callable[[Object], bool]:
        used = [{"kind": "Secret", "name": "db", "version": version}]
        return lambda status: bool(status.get("references") == used)

    async with operating(cart.place.settings()):
        await cart.allow()
        await cart.notes(first)
        await cart.replica("cart-1")
        await cart.status(serves(first), "the first version serves")
        second = await cart.write("two")
        await cart.notes(second)
        status = await cart.status(
            lambda status: condition({"status": status}, "ContainerHealthy").get("status") != "True", "it is replaced"
        )
        assert serves(first)(status), "the old pod does"
        assert status["url"] == "http://10.1.2.4:8080"
        await cart.replica("cart-2")
        await cart.status(serves(second), "the second version serves")
        await cart.ends("cart-1")
        assert condition(await cart.client.get(cart.origin), "Ready")["status"] == "True"


async def test_contents_are_not_even_sent(client: Client, shop: str) -> None:
    metadata = {"name": "db", "namespace": shop}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"password": "hunter2"}}
    written = await client.create(secret)
    current = {"db": written["metadata"]["resourceVersion"]}
    versions, listed = await client.versions("Secret", namespace=shop, fresh=True)
    assert versions == current
    assert int(listed) >= int(current["db"])

    async def remembered() -> bool:
        versions, _ = await client.versions("Secret", namespace=shop, fresh=False)
        return versions == current

    await eventually(remembered, within_s=WITHIN_S)
    path = RESOURCES["Secret"].path(shop)
    (item,) = (await client._call("GET", path, accept=kubernetes._METADATA_LIST, timeout_s=5))["items"]
    assert item.keys() <= {"apiVersion", "kind", "metadata"}
