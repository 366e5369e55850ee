"""Guards in front of real pods: nobody gets around them, and nothing that is changed about them costs a request.

The tests build on one another's release: two origins, `cart` behind an edge under load and `till` in a namespace of its
own, are changed again and again, and what all of that has left behind is searched for secrets at the end.
Trap: the network of this cluster enforces no NetworkPolicy. Of these it is only shown that they are there.
"""

import asyncio
import functools
import json
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edgerun.api.meta import ObjectKey
from edgerun.translate.guard_policy import CREDENTIAL_HEADER
from edgerun.translate.identities import edge_id, origin_id, subject
from support.cluster import Address, told
from support.evidence import gathered
from support.images import also_called
from support.load import Result, load
from support.namespaces import namespace
from support.outsiders import GUARD_PORT, Outsider
from support.pods import origin_program
from support.poll import eventually
from support.release import NAMESPACE, Release
from support.shop import Shop, edge_route, origin_service
from support.sieve import holding, suspicious
from support.standalone import Answer, fetch
from support.strongroom import TRUST_DOMAIN, Strongroom, token
from support.wire import authority, workload

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400), pytest.mark.usefixtures("own_cluster")]
EDGERUN = Path(sys.executable).with_name("edgerun")
ROLLED_OUT = "--timeout=180s"
EDGE = edge_id(TRUST_DOMAIN, "default")
PORT, OTHER_PORT = 8080, 9090
REPLICAS = 2


def origin(
    name: str, image: str, *, replicas: int = REPLICAS, port: int = PORT, concurrency: int = 0, **spec: Any
) -> Any:
    made = origin_service(name, image, replicas=replicas, containerConcurrency=concurrency)
    (container,) = made["spec"]["template"]["spec"]["containers"]
    container["ports"] = [{"containerPort": port}]
    return {**made, "spec": {**made["spec"], **spec}}


@dataclass(frozen=True, slots=True)
class Site:
    """`cart` in the shop, with the edge in front of it; `till` in the bank."""

    release: Release
    image: str
    shop: Shop
    bank: Shop
    edge: Address

    @property
    def audience(self) -> str:
        return origin_id(TRUST_DOMAIN, ObjectKey("OriginService", self.shop.namespace, "cart"))

    async def get(self, host: str = "cart", **options: Any) -> Answer:
        return await fetch(self.edge.port, "/", address=self.edge.host, host=self.shop.host(host), **options)

    async def cart(self, **changes: Any) -> None:
        """The cart with these settings, until nothing is left of the one before."""
        await asyncio.to_thread(self.shop.open, origin("cart", self.image, **changes))
        await self.settled()

    async def settled(self) -> None:
        await asyncio.to_thread(self.shop.kubectl, "rollout", "status", "deployment/cart", ROLLED_OUT)
        await eventually(lambda: len(self.pods()) == REPLICAS, within_s=60, step_s=0.5)

    def pods(self, of: str = "cart") -> list[dict[str, Any]]:
        """Those that end included."""
        selector = f"--selector=edgerun.dev/origin-service={of}"
        listed: list[dict[str, Any]] = json.loads(self.shop.kubectl("get", "pods", selector, "--output=json"))["items"]
        return listed

    def address(self) -> str:
        """Of one of the cart's pods."""
        return str(self.pods()[0]["status"]["podIP"])

    @asynccontextmanager
    async def under_load(self) -> AsyncIterator[Result]:
        """Requests for the cart go on while the block runs, and none of them may fail."""
        host, where = self.shop.host("cart"), self.edge
        async with load(
            where.port, address=where.host, host=host, connections=4, max_seconds=300, pause_s=0.01
        ) as result:
            yield result
        assert result.answered > 100, result
        assert not result.failed, result


@pytest.fixture(scope="module")
def site(release: Release, image: str) -> Iterator[Site]:
    with namespace() as here, namespace() as there:
        shop, bank = Shop.of(here), Shop.of(there)
        bank.apply(origin_program(), origin("till", image, replicas=1))
        shop.open(origin("cart", image), edge_route("cart", shop.host("cart"), "cart"))
        bank.until("originservice", "till", "True")
        with release.edge() as edge:
            yield Site(release, image, shop, bank, edge)


@pytest.fixture(scope="module")
def outsider(release: Release, image: str) -> Iterator[Outsider]:
    with namespace() as kubectl:
        yield Outsider.placed(Shop.of(kubectl), image)


@pytest.fixture
def strongroom(release: Release) -> Strongroom:
    return Strongroom(release)


async def keys(release: Release, *words: str) -> str:
    command = (EDGERUN, "keys", words[0], "--kubeconfig", release.kubeconfig, *words[1:])
    return await asyncio.to_thread(told, *command)


async def test_nobody_speaks_to_a_guard_without_a_certificate_of_an_edge(
    site: Site, outsider: Outsider, strongroom: Strongroom
) -> None:
    address = site.address()
    good = token(strongroom.signing(), subject(site.shop.namespace, "default"), site.audience)
    forged = workload(authority(TRUST_DOMAIN), EDGE)
    guards = strongroom.certificate(site.audience)
    assert "CERTIFICATE_REQUIRED" in (await outsider.ask(address, token=good)).error.upper()
    assert "UNKNOWN_CA" in (await outsider.ask(address, forged, good)).error.upper()
    assert (await outsider.ask(address, guards, good)).error
    assert (await outsider.ask(address, strongroom.certificate(EDGE), good)).status == 200


async def test_who_has_stolen_a_certificate_of_an_edge_still_wants_a_credential(
    site: Site, outsider: Outsider, strongroom: Strongroom
) -> None:
    address, stolen, key = site.address(), strongroom.certificate(EDGE), strongroom.signing()
    stranger = subject(outsider.shop.namespace, "default")
    assert (await outsider.ask(address, stolen)).status == 401
    assert (await outsider.ask(address, stolen, token(key, stranger, site.audience))).status == 403


def test_the_way_around_a_guard_is_closed_by_a_network_policy_where_these_are_enforced(site: Site) -> None:
    policy = site.shop.get("networkpolicy", "edgerun-cart")["spec"]
    (rule,) = policy["ingress"]
    (who,) = rule["from"]
    assert rule["ports"] == [{"port": GUARD_PORT, "protocol": "TCP"}], "the app's own port is not among them"
    assert who["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}}
    pods = json.dumps(site.pods()[0]["metadata"]["labels"])
    assert all(f'"{name}": "{value}"' in pods for name, value in policy["podSelector"]["matchLabels"].items())


async def test_nothing_that_a_client_says_in_the_edges_name_arrives(site: Site) -> None:
    said = [("x-edgerun-caller", "root"), (CREDENTIAL_HEADER, "Bearer a.b.c"), ("X-Edgerun-Caller", "root")]
    seen = await headers(site, said)
    assert [one for one in seen if "edgerun" in one[0]] == [
        ("x-edgerun-caller", subject(site.shop.namespace, "default"))
    ]


async def headers(site: Site, given: Any = ()) -> list[tuple[str, str]]:
    """What arrives at the cart."""
    answer = await site.get(headers=given)
    assert answer.status == 200, answer
    return [(name.lower(), value) for name, value in json.loads(answer.body)["headers"]]


async def test_an_origin_of_another_namespace_answers_those_that_it_names(site: Site) -> None:
    route = edge_route("till", site.shop.host("till"), "till")
    (rule,) = route["spec"]["rules"]
    rule["origins"][0]["service"]["namespace"] = site.bank.namespace
    site.shop.apply(route)
    site.shop.until("edgeroute", "till", "False", "OriginNotFound")
    assert (await site.get("till")).status == 500
    let_in = {"invokers": [{"namespace": site.shop.namespace, "serviceAccountName": "default"}]}
    site.bank.apply(origin("till", site.image, replicas=1, access=let_in))
    site.shop.until("edgeroute", "till", "True")
    seen = dict(json.loads((await site.get("till")).body)["headers"])
    assert seen["x-edgerun-caller"] == subject(site.shop.namespace, "default")
    site.bank.apply(origin("till", site.image, replicas=1))
    applied = time.monotonic()
    await eventually(functools.partial(_refused, site), within_s=10, step_s=0.02)
    assert time.monotonic() - applied < 1
    site.shop.until("edgeroute", "till", "False", "OriginNotFound")


async def _refused(site: Site) -> bool:
    return (await site.get("till")).status == 500


async def test_a_revoked_key_is_refused_within_a_second_and_no_request_of_the_edge_is(
    site: Site, outsider: Outsider, strongroom: Strongroom
) -> None:
    """That the next key signs is waited for elsewhere: verifiers outside have ten minutes to read it."""
    key, stolen = strongroom.signing(), strongroom.certificate(EDGE)
    credential = token(key, subject(site.shop.namespace, "default"), site.audience)
    async with site.under_load():
        await keys(site.release, "rotate")
        listed = json.loads(await keys(site.release, "list", "--output=json"))
        assert (listed["signing"], listed["rotate"]) == (key.kid, True)
        async with outsider.asking(site.address(), stolen, credential) as said:
            await eventually(lambda: len(said.at(200)) > 10, within_s=20)
            await keys(site.release, "revoke", "--yes", key.kid)
            revoked = time.time()
            await eventually(lambda: len(said.at(401)) > 10, within_s=10)
        await eventually(functools.partial(_signed_by, strongroom, listed["next"]), within_s=10)
        assert (await site.get()).status == 200
    print(f"refused {max(said.at(200)) - revoked:.2f} s after the command")
    assert max(said.at(200)) < min(min(said.at(401)), revoked + 1)
    assert {one.status for one in said.lines} == {200, 401}


def _signed_by(strongroom: Strongroom, kid: str) -> bool:
    return strongroom.signing().kid == kid


async def test_while_the_operator_is_away_all_goes_on_and_what_is_new_waits_for_it(site: Site) -> None:
    before = {pod["metadata"]["name"] for pod in site.pods()}
    async with site.under_load() as result:
        await scaled(site, 0)
        await asyncio.to_thread(site.shop.kubectl, "rollout", "restart", "deployment/cart")
        new = await eventually(lambda: waiting(site, before), within_s=60, step_s=0.3)
        answered = result.answered
        await eventually(lambda: result.answered > answered + 200, within_s=60)
        assert waiting(site, before) == new
        await scaled(site, REPLICAS)
        await site.settled()
    assert not before & {pod["metadata"]["name"] for pod in site.pods()}
    for kind, shop, name in (("originservice", site.bank, "till"), *((kind, site.shop, "cart") for kind in _KINDS)):
        shop.until(kind, name, "True")


_KINDS = ("originservice", "edgeroute")


async def scaled(site: Site, replicas: int) -> None:
    """The operator has so many replicas, and no more."""
    kubectl = functools.partial(asyncio.to_thread, site.release.kubectl)
    await kubectl("scale", "deployment/edgerun", f"--replicas={replicas}")
    if replicas:
        await kubectl("rollout", "status", "deployment/edgerun", ROLLED_OUT)
    else:
        selector = "--selector=app.kubernetes.io/component=operator"
        await kubectl("wait", "--for=delete", "pod", selector, ROLLED_OUT)


def waiting(site: Site, before: set[str]) -> str:
    """The new pod, whose app is ready and whose guard has not been told anything."""
    (new,) = (pod for pod in site.pods() if pod["metadata"]["name"] not in before)
    (guard,) = (one for one in new["status"].get("initContainerStatuses", ()) if one["name"] == "edgerun-guard")
    (app,) = new["status"]["containerStatuses"]
    assert (app["ready"], guard["started"], guard["ready"]) == (True, True, False), new["status"]
    return str(new["metadata"]["name"])


async def test_another_image_reaches_every_guard_and_no_request_is_lost(site: Site) -> None:
    tag = f"{site.image.rpartition(':')[2]}-next"
    also_called(site.release.kubeconfig, site.image, tag)
    async with site.under_load():
        await asyncio.to_thread(site.release.upgrade, {"image.tag": tag})
        for shop, name in ((site.shop, "cart"), (site.bank, "till")):
            await eventually(functools.partial(guarded_by, shop, name, tag), within_s=60, step_s=0.5)
        await site.settled()


def guarded_by(shop: Shop, name: str, tag: str) -> bool:
    """Whether this is the image of the guards, and they are all there."""
    found = shop.get("deployment", name)
    (guard,) = (one for one in found["spec"]["template"]["spec"]["initContainers"] if one["name"] == "edgerun-guard")
    status = found["status"]
    current = status.get("observedGeneration") == found["metadata"]["generation"]
    numbers = {status.get(one) for one in ("replicas", "updatedReplicas", "readyReplicas")}
    return guard["image"].endswith(f":{tag}") and current and numbers == {found["spec"]["replicas"]}


async def test_a_guard_comes_and_goes_and_changes_and_no_request_is_lost(site: Site) -> None:
    async with site.under_load():
        await site.cart(guard="Disabled")
        assert dict(await headers(site))[CREDENTIAL_HEADER].startswith("Bearer ")
        await site.cart(concurrency=2)
        assert CREDENTIAL_HEADER not in dict(await headers(site))
        await site.cart(concurrency=2, port=OTHER_PORT)
        await site.cart(port=OTHER_PORT, guard="Disabled")


async def test_no_secret_is_anywhere_but_where_it_belongs(site: Site, strongroom: Strongroom) -> None:
    """An app without a guard is shown what the edge shows guards: a credential that is good now."""
    received = {dict(await headers(site))[CREDENTIAL_HEADER].removeprefix("Bearer ") for _ in range(10)}
    found = await asyncio.to_thread(gathered, site.release, (site.shop.namespace, site.bank.namespace))
    secrets = {*received, *found.tokens, *strongroom.private_keys()}
    where_it_belongs = {"": site.release.kubectl("get", "secrets", "--output=json")}
    assert all(holding(where_it_belongs, [one]) for one in strongroom.private_keys()), "the search is blind"
    assert len(received) == 1
    assert len(found.tokens) == 2 * REPLICAS + 1, "of the operator, of the edge, and of the guard"
    assert suspicious(found.texts) == []
    assert holding(found.texts, secrets) == []
    assert {"objects", "helm", "render"} <= found.texts.keys()
    shown = [text for where, text in found.texts.items() if "/config_dump" in where]
    assert len(shown) == 3, "two edges and a guard"
    assert all("[redacted]" in text and '"workload"' in text for text in shown)
