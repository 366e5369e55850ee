"""Old revisions go from a real API server with all that was made of them, by the rights of the chart; those that are of
use stay, and so do those that this operator cannot read.

Nothing behind the API server makes pods or collects garbage: what goes was deleted by the operator.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgerun.api.meta import ObjectKey
from edgerun.api.originrevision import KIND
from edgerun.api.originservice import OriginService
from edgerun.errors import NotFoundError
from edgerun.infra.kubernetes.client import Client
from edgerun.translate.revisions.objects import KEEP
from edgerun.translate.revisions.revision import Revision
from edgerun.translate.revisions.wishes import ORDER
from edgerun.translate.workloads import origin_revision
from support import chart
from support.apiserver import ApiServer
from support.edits import edited, respecified
from support.installation import Installation, install, operating, origin_service
from support.poll import eventually

LEAST = 20  # so many that are of no use are kept, be they as old as can be
LONG = timedelta(hours=49)
NEWEST = 26
TAGGED, KEPT, PINNED = "cart-00001", "cart-00002", "cart-00003"

Object = dict[str, Any]


def called(number: int) -> str:
    return f"cart-{number:05}"


class Shop:
    """An OriginService `cart` with many revisions, as an operator has made them: the first runs, and so does the
    newest."""

    def __init__(self, client: Client, place: Installation) -> None:
        self.client, self.place = client, place
        self.clock = timedelta()

    def key(self, kind: str, name: str) -> ObjectKey:
        return ObjectKey(kind, self.place.shop, name)

    async def has(self, newest: int, **spec: Any) -> OriginService:
        made = origin_service(self.place.shop, "cart")
        for number in range(newest, 0, -1):
            made["spec"]["template"]["spec"]["containers"] = [{"image": f"shop/cart:{number}"}]
            if number == newest:
                raw = await self.client.create({**made, "spec": {**made["spec"], **spec}})
            service = msgspec.convert({**raw, "spec": made["spec"]}, OriginService)
            revision = Revision(
                name=called(number), number=number, template=service.spec.template, created=datetime.now(UTC)
            )
            await self.client.create(origin_revision(service, revision))
        return msgspec.convert(raw, OriginService)

    async def pod(self, revision: str) -> None:
        async def deployed() -> Any:
            try:
                return await self.client.get(self.key("Deployment", revision))
            except NotFoundError:
                return None

        template = (await eventually(deployed, step_s=0.1, what=f"Deployment {revision}"))["spec"]["template"]
        metadata = {"name": f"{revision}-x", "namespace": self.place.shop, "labels": template["metadata"]["labels"]}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}
        await self.client.create({**pod, "spec": template["spec"]})
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
        await self.client.apply_status({**pod, "status": {"podIP": "127.0.0.1", "conditions": [ready]}})

    async def names(self, kind: str) -> list[str]:
        return sorted(one["metadata"]["name"] for one in await self.client.list_(kind, namespace=self.place.shop))

    @asynccontextmanager
    async def operated(self) -> AsyncIterator[None]:
        """By an operator whose clock can be set ahead."""
        async with operating(self.place.settings()) as runtime:
            runtime.controller.clock = lambda: datetime.now(UTC) + self.clock
            yield

    async def ready(self, revision: str) -> None:
        async def check() -> bool:
            conditions = (await self.client.get(self.key(KIND, revision))).get("status", {}).get("conditions", ())
            return any((one["type"], one["status"]) == ("Ready", "True") for one in conditions)

        await eventually(check, step_s=0.1)

    async def serves(self, *expected: Object) -> None:
        async def check() -> bool:
            status = (await self.client.get(self.key("OriginService", "cart"))).get("status", {})
            assert status.get("traffic") == list(expected), status
            return True

        await eventually(check, step_s=0.1)


@pytest.fixture
async def shop(server: ApiServer, client: Client, namespace: str, tmp_path: Path) -> Shop:
    chart.needed()
    name = f"{namespace}-shop"
    await client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    account = {"name": "default", "namespace": name}
    await client.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
    return Shop(client, install(server, namespace, name, tmp_path))


async def test_revisions_of_no_use_go_with_their_deployments_and_the_others_stay(shop: Shop) -> None:
    latest = {"latestRevision": True, "percent": 90}
    pinned = {"revisionName": PINNED, "percent": 10}
    tagged = {"revisionName": TAGGED, "tag": "old", "percent": 0}
    await shop.has(NEWEST, traffic=[latest, pinned, tagged])
    await edited(shop.client, shop.key(KIND, KEPT), lambda raw: raw["metadata"].update(annotations={KEEP: "true"}))
    every = [called(number) for number in range(1, NEWEST + 1)]
    async with shop.operated():
        for revision in (TAGGED, PINNED, called(NEWEST)):
            await shop.pod(revision)
        await shop.serves(
            {"revisionName": PINNED, "percent": 10},
            {"revisionName": called(NEWEST), "percent": 90},
            {"revisionName": TAGGED, "tag": "old"},
        )

        async def put_aside() -> bool:
            assert await shop.names("Deployment") == every
            found = await shop.client.list_(KIND, namespace=shop.place.shop)
            idle = [one["metadata"]["name"] for one in found if one.get("status", {}).get("lastActive")]
            assert idle == [KEPT, *every[3:-1]]
            return True

        await eventually(put_aside, step_s=0.2)
        assert await shop.names(KIND) == every
        shop.clock = LONG

        async def collected() -> bool:
            left = [*every[:3], *every[-LEAST - 1 :]]
            assert await shop.names(KIND) == left
            assert await shop.names("Deployment") == left
            return True

        await eventually(collected, step_s=0.2)


async def test_all_that_is_made_of_a_service_is_owned_by_it_and_goes_with_it(shop: Shop) -> None:
    service = await shop.has(2)
    kinds = ("Deployment", KIND, "ConfigMap", "NetworkPolicy")
    async with shop.operated():
        await shop.pod(called(2))
        await shop.serves({"revisionName": called(2), "percent": 100})
        for kind in kinds:
            found = await shop.client.list_(kind, namespace=shop.place.shop)
            mine = [one for one in found if one["metadata"]["name"] != "kube-root-ca.crt"]
            assert mine, kind
            for one in mine:
                (owner,) = one["metadata"]["ownerReferences"]
                assert (owner["kind"], owner["name"], owner["uid"]) == ("OriginService", "cart", service.metadata.uid)
                assert owner["controller"]
        await shop.client.delete(service.key, service.metadata.uid)

        async def gone() -> bool:
            assert not [await shop.names(kind) for kind in ("Deployment", KIND) if await shop.names(kind)]
            return True

        await eventually(gone, step_s=0.2)
    assert not await shop.client.list_(KIND, namespace=shop.place.shop)


@asynccontextmanager
async def loose(client: Client, plural: str) -> AsyncIterator[None]:
    """Objects of that kind may be anything, as if a newer version had other types."""
    key = ObjectKey("CustomResourceDefinition", "", f"{plural}.edgerun.dev")
    strict = (await client.get(key))["spec"]
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {**strict["versions"][0], "schema": {"openAPIV3Schema": anything}}
    await respecified(client, key, versions=[version])
    try:
        yield
    finally:
        await respecified(client, key, versions=strict["versions"])


@pytest.fixture
async def loosened(client: Client) -> AsyncIterator[None]:
    async with loose(client, "originrevisions"):
        yield


async def retyped(shop: Shop, revision: str, caplog: pytest.LogCaptureFixture, **container: Any) -> Any:
    """As a newer version may have written it; an operator that reads it has said so."""
    key = shop.key(KIND, revision)

    async def stored() -> Any:
        """A definition that was changed takes a moment to be in force."""
        await edited(shop.client, key, lambda raw: raw["spec"]["template"]["spec"]["containers"][0].update(container))
        found = await shop.client.get(key)
        assert found["spec"]["template"]["spec"]["containers"][0].items() >= container.items()
        return found

    with caplog.at_level(logging.ERROR):
        found = await eventually(stored, step_s=0.5)
        await eventually(lambda: f"{key} cannot be read, and is left alone" in caplog.text)
    return found


async def test_a_revision_that_cannot_be_read_is_named_and_left_alone_and_all_others_go_on(
    shop: Shop, loosened: None, caplog: pytest.LogCaptureFixture
) -> None:
    await shop.has(3)
    strange = called(1)
    async with shop.operated():
        await shop.pod(called(3))
        await shop.serves({"revisionName": called(3), "percent": 100})
        deployment = await shop.client.get(shop.key("Deployment", strange))
        written = await retyped(shop, strange, caplog, ports="of the future")
        await respecified(shop.client, shop.key("OriginService", "cart"), template=_image("shop/cart:new"))
        await shop.pod(called(4))
        await shop.serves({"revisionName": called(4), "percent": 100})
    async with shop.operated():
        await shop.serves({"revisionName": called(4), "percent": 100})
        await shop.ready(called(4))
        assert await shop.client.get(shop.key(KIND, strange)) == written
        assert await shop.client.get(shop.key("Deployment", strange)) == deployment
        assert called(2) in await shop.names("Deployment")


async def test_a_revision_that_serves_goes_on_when_a_part_of_it_cannot_be_read(
    shop: Shop, loosened: None, caplog: pytest.LogCaptureFixture
) -> None:
    strange = called(1)
    all_of_it = {"revisionName": strange, "percent": 100}
    await shop.has(2, traffic=[all_of_it])
    async with shop.operated():
        await shop.pod(strange)
        await shop.serves(all_of_it)
        deployment = await shop.client.get(shop.key("Deployment", strange))
        await retyped(shop, strange, caplog, imagePullPolicy={"of": "the future"})
    await respecified(shop.client, shop.key("OriginService", "cart"), template=_image("shop/cart:new"))
    async with shop.operated():
        await shop.pod(called(3))
        await shop.ready(called(3))
        await shop.serves(all_of_it)
        assert await shop.client.get(shop.key("Deployment", strange)) == deployment


async def test_what_another_version_wrote_into_a_status_costs_no_number_and_brings_nothing_back(shop: Shop) -> None:
    client, key = shop.client, shop.key("OriginService", "cart")
    before, rejected = ({"revisionName": called(number), "percent": 100} for number in (1, 2))
    await shop.has(1)
    async with shop.operated():
        await shop.pod(called(1))
        await shop.serves(before)
        await respecified(client, key, template=_image("shop/cart:bad"))
        await shop.pod(called(2))
        await shop.serves(rejected)
        await edited(client, key, lambda raw: raw["metadata"].update(annotations={ORDER: f"undo/{called(2)}"}))
        await shop.serves(before)
    await edited(client, key, lambda raw: raw["metadata"]["annotations"].pop(ORDER))
    async with loose(client, "originservices"):
        await restated(client, key, revisionNumber="9", latestCreatedRevisionName=called(9), rejected=[called(2)])
        async with shop.operated():

            async def read() -> Object:
                status: Object = (await client.get(key))["status"]
                assert status["revisionNumber"] == 9
                return status

            status = await eventually(read, step_s=0.1)
            assert status["traffic"] == [before]
            assert [one["revisionName"] for one in status["rollout"]["rejected"]] == [called(2)]
            await respecified(client, key, template=_image("shop/cart:new"))
            await shop.pod(called(10))
            await shop.serves({"revisionName": called(10), "percent": 100})


async def restated(client: Client, key: ObjectKey, *, rejected: Any, **fields: Any) -> None:
    """The status, as a newer version may have written it."""
    found = await client.get(key)
    status = found["status"] | fields | {"rollout": found["status"]["rollout"] | {"rejected": rejected}}
    names = {name: found["metadata"][name] for name in ("name", "namespace")}

    async def stored() -> bool:
        """A definition that was changed takes a moment to be in force."""
        await client.apply_status({**found, "metadata": names, "status": status})
        assert (await client.get(key))["status"] == status
        return True

    await eventually(stored, step_s=0.5)


def _image(name: str) -> Object:
    return {"spec": {"containers": [{"image": name}]}}
