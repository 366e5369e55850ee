"""Guards in front of real pods: nobody gets around them, and nothing that is changed about them costs a request.

The tests build on one another's release: two origins, `cart` behind an edge under load and `till` in a namespace of its
own, are changed again and again, and what all of that has left behind is searched for secrets at the end.
Trap: the network of this cluster enforces no NetworkPolicy. Of these it is only shown that they are there.
"""

import asyncio
import functools
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgerun.translate.guard_policy import CREDENTIAL_HEADER
from edgerun.translate.identities import edge_id, subject
from support.cluster import told
from support.evidence import gathered
from support.images import also_called
from support.namespaces import namespace
from support.outsiders import GUARD_PORT, Outsider
from support.pods import origin_program
from support.poll import eventually
from support.release import NAMESPACE, Release
from support.shop import Shop, edge_route
from support.sieve import holding, suspicious
from support.sites import REPLICAS, Site, address, audience, guarded_by, origin, pods, scaled
from support.strongroom import TRUST_DOMAIN, Strongroom, token
from support.wire import authority, workload

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400), pytest.mark.usefixtures("own_cluster")]
EDGERUN = Path(sys.executable).with_name("edgerun")
EDGE = edge_id(TRUST_DOMAIN, "default")
OTHER_PORT = 9090


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
    where = (f"--kubeconfig={release.kubeconfig}", *words[1:])
    return await asyncio.to_thread(told, EDGERUN, "keys", words[0], *where)


async def test_nobody_speaks_to_a_guard_without_a_certificate_of_an_edge(
    site: Site, outsider: Outsider, strongroom: Strongroom
) -> None:
    where = await address(site.shop, "cart")
    good = token(strongroom.signing(), subject(site.shop.namespace, "default"), audience(site.shop, "cart"))
    forged = workload(authority(TRUST_DOMAIN), EDGE)
    guards = strongroom.certificate(audience(site.shop, "cart"))
    assert "CERTIFICATE_REQUIRED" in (await outsider.ask(where, token=good)).error.upper()
    assert "UNKNOWN_CA" in (await outsider.ask(where, forged, good)).error.upper()
    assert (await outsider.ask(where, guards, good)).error
    assert (await outsider.ask(where, strongroom.certificate(EDGE), good)).status == 200


async def test_who_has_stolen_a_certificate_of_an_edge_still_wants_a_credential(
    site: Site, outsider: Outsider, strongroom: Strongroom
) -> None:
    where, stolen, key = await address(site.shop, "cart"), strongroom.certificate(EDGE), strongroom.signing()
    stranger = subject(outsider.shop.namespace, "default")
    assert (await outsider.ask(where, stolen)).status == 401
    assert (await outsider.ask(where, stolen, token(key, stranger, audience(site.shop, "cart")))).status == 403


async def test_the_way_around_a_guard_is_closed_by_a_network_policy_where_these_are_enforced(site: Site) -> None:
    policy = site.shop.get("networkpolicy", "edgerun-cart")["spec"]
    (rule,) = policy["ingress"]
    (who,) = rule["from"]
    assert rule["ports"] == [{"port": GUARD_PORT, "protocol": "TCP"}], "the app's own port is not among them"
    assert who["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}}
    labels = (await pods(site.shop, "cart"))[0]["metadata"]["labels"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()


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


async def test_an_origin_of_another_namespace_answers_those_that_it_names(
    site: Site, outsider: Outsider, strongroom: Strongroom
) -> None:
    """Of others the edge knows no such origin, and its guard refuses what the edge would show it."""
    shown = token(strongroom.signing(), subject(site.shop.namespace, "default"), audience(site.bank, "till"))
    guard = functools.partial(outsider.ask, await address(site.bank, "till"), strongroom.certificate(EDGE), shown)
    route = edge_route("till", site.shop.host("till"), "till")
    (rule,) = route["spec"]["rules"]
    rule["origins"][0]["service"]["namespace"] = site.bank.namespace
    site.shop.apply(route)
    site.shop.until("edgeroute", "till", "False", "OriginNotFound")
    assert ((await site.get("till")).status, (await guard()).status) == (500, 403)
    let_in = {"invokers": [{"namespace": site.shop.namespace, "serviceAccountName": "default"}]}
    site.bank.apply(origin("till", site.image, replicas=1, access=let_in))
    site.shop.until("edgeroute", "till", "True")
    seen = dict(json.loads((await site.get("till")).body)["headers"])
    assert (seen["x-edgerun-caller"], (await guard()).status) == (subject(site.shop.namespace, "default"), 200)
    site.bank.apply(origin("till", site.image, replicas=1))
    await eventually(functools.partial(_refused, site), step_s=0.02)
    assert (await guard()).status == 403
    site.shop.until("edgeroute", "till", "False", "OriginNotFound")


async def _refused(site: Site) -> bool:
    return (await site.get("till")).status == 500


async def test_a_revoked_key_is_refused_for_good_and_no_request_of_the_edge_is(
    site: Site, outsider: Outsider, strongroom: Strongroom
) -> None:
    """That the next key signs is waited for elsewhere: verifiers outside have ten minutes to read it."""
    where, key, stolen = await address(site.shop, "cart"), strongroom.signing(), strongroom.certificate(EDGE)
    credential = token(key, subject(site.shop.namespace, "default"), audience(site.shop, "cart"))
    async with site.under_load():
        await keys(site.release, "rotate")
        listed = json.loads(await keys(site.release, "list", "--output=json"))
        assert (listed["signing"], listed["rotate"]) == (key.kid, True)
        async with outsider.asking(where, stolen, credential) as said:
            await eventually(lambda: len(said.at(200)) > 10)
            await keys(site.release, "revoke", "--yes", key.kid)
            await eventually(lambda: len(said.at(401)) > 10)
        assert (await asyncio.to_thread(strongroom.signing)).kid == listed["next"]
        assert (await site.get()).status == 200
    assert max(said.at(200)) < min(said.at(401))
    assert {one.status for one in said.lines} == {200, 401}


async def test_while_the_operator_is_away_all_goes_on_and_what_is_new_waits_for_it(site: Site) -> None:
    before = await names(site)
    async with site.under_load() as result:
        await scaled(site.release, 0)
        await asyncio.to_thread(site.shop.kubectl, "rollout", "restart", site.newest())
        new = await eventually(functools.partial(waiting, site, before), step_s=0.3)
        answered = result.answered
        await eventually(lambda: result.answered > answered + 200)
        assert await waiting(site, before) == new
        await scaled(site.release, REPLICAS)
        await site.settled()
    assert not before & await names(site)
    site.bank.until("originservice", "till", "True")
    for kind, name in (("originservice", "cart"), ("edgeroute", "cart"), ("edgeproxy", "default")):
        site.shop.until(kind, name, "True")


async def names(site: Site) -> set[str]:
    """Of the cart's pods."""
    return {pod["metadata"]["name"] for pod in await pods(site.shop, "cart")}


async def waiting(site: Site, before: set[str]) -> str:
    """The new pod, whose app is ready and whose guard has not been told anything."""
    new = [pod for pod in await pods(site.shop, "cart") if pod["metadata"]["name"] not in before]
    parts = ("initContainerStatuses", "containerStatuses")
    states = [(one["started"], one["ready"]) for pod in new for part in parts for one in pod["status"].get(part, ())]
    assert states == [(True, False), (True, True)], "a guard, and an app"
    return str(new[0]["metadata"]["name"])


async def test_another_image_reaches_every_guard_and_no_request_is_lost(site: Site) -> None:
    tag = f"{site.image.rpartition(':')[2]}-next"
    also_called(site.release.kubeconfig, site.image, tag)
    async with site.under_load():
        await asyncio.to_thread(site.release.upgrade, {"image.tag": tag})
        for shop, name in ((site.shop, "cart"), (site.bank, "till")):
            await eventually(functools.partial(guarded_by, shop, name, tag), step_s=0.5)
        await site.settled()


async def test_a_guard_comes_and_goes_and_changes_and_no_request_is_lost(site: Site) -> None:
    """Each change comes while the pods of the one before still end."""
    async with site.under_load():
        await site.cart(guard="Disabled")
        await eventually(functools.partial(_shown_the_credential, site))
        await site.cart(concurrency=2)
        await site.cart(concurrency=2, port=OTHER_PORT)
        await eventually(functools.partial(_shown_the_caller, site))
        await site.cart(port=OTHER_PORT, guard="Disabled")
        await site.settled()


async def _shown_the_credential(site: Site) -> bool:
    return dict(await headers(site)).get(CREDENTIAL_HEADER, "").startswith("Bearer ")


async def _shown_the_caller(site: Site) -> bool:
    seen = dict(await headers(site))
    return "x-edgerun-caller" in seen and CREDENTIAL_HEADER not in seen


async def test_no_secret_is_anywhere_but_where_it_belongs(
    site: Site, outsider: Outsider, strongroom: Strongroom
) -> None:
    """An app without a guard is shown what the edge shows guards: a credential that is good now."""
    received = dict(await headers(site))[CREDENTIAL_HEADER].removeprefix("Bearer ")
    refused = token(strongroom.signing(), subject(site.shop.namespace, "default"), audience(site.bank, "till"))
    guard, stolen = await address(site.bank, "till"), strongroom.certificate(EDGE)
    assert [(await outsider.ask(guard, stolen, one)).status for one in (received, refused)] == [401, 403]
    found = await asyncio.to_thread(gathered, site.release, (site.shop.namespace, site.bank.namespace))
    private = {*strongroom.private_keys(), stolen.key}
    where_it_belongs = {"": site.release.kubectl("get", "secrets", "--output=json")}
    assert all(holding(where_it_belongs, [one]) for one in strongroom.private_keys()), "the search is blind"
    assert len(found.tokens) == 2 * REPLICAS + 1, "of the operator, of the edge, and of the guard"
    assert suspicious(found.texts) == []
    assert holding(found.texts, {received, refused, *found.tokens, *private}) == []
    assert {"objects", "helm", "render"} <= found.texts.keys()
    (log,) = (text for where, text in found.texts.items() if where.startswith("log of till"))
    assert "token-aud" in log or "Jwt" in log, "why it was refused is told"
    shown = [text for where, text in found.texts.items() if "/config_dump" in where]
    assert len(shown) == 3, "two edges and a guard"
    assert all("[redacted]" in text and '"workload"' in text for text in shown)
