"""`edgerun keys` against a real API server: without the Secret or the right to it, and beside others who write."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from edgerun.api.meta import ObjectKey
from edgerun.credentials.keyring import POLICY, UNKNOWN, Evidence, advance, rotate
from edgerun.credentials.keys import KeySet, Phase, new_private
from edgerun.credentials.keystore import changed
from edgerun.infra.kubernetes.client import Client, Object
from edgerun.infra.kubernetes.vault import SecretVault
from support.apiserver import ApiServer
from support.commands import InCluster
from support.faults import FaultyApi, Passing
from support.poll import eventually

DAY = timedelta(days=1)
SECRET = "edgerun-keys"
OWNER = {"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "1"}


@pytest.fixture
def keys(server: ApiServer, namespace: str, capsys: pytest.CaptureFixture[str]) -> InCluster:
    return InCluster("keys", server.kubeconfig, namespace, capsys)


@pytest.fixture
async def vault(client: Client, namespace: str) -> SecretVault:
    """With a key that signs and one that is published."""
    vault = SecretVault(client, namespace, SECRET, owner=OWNER)
    await changed(vault, first)
    return vault


def first(keys: KeySet) -> KeySet:
    return advance(keys, datetime.now(UTC), UNKNOWN, POLICY, new_key=new_private)


def with_evidence(keys: KeySet) -> KeySet:
    """As an operator whose guards know everything."""
    lasted = {(key.kid, key.phase): DAY for key in keys.keys}
    return advance(keys, datetime.now(UTC), Evidence(verifiers=(), lasted=lasted), POLICY, new_key=new_private)


async def stored(vault: SecretVault) -> KeySet:
    return await changed(vault, lambda keys: keys)


def phases(keys: KeySet) -> list[str]:
    return [key.phase.name for key in keys.keys]


async def test_keys_are_listed_and_no_private_half_is(keys: InCluster, vault: SecretVault) -> None:
    there = await stored(vault)
    said = await keys("list")
    assert said.code == 0
    for key in there.keys:
        assert f"{key.kid}   {key.phase.name.capitalize()}" in said.out
        assert key.private.splitlines()[1] not in said.out + said.err
    listed = json.loads((await keys("list", "--output", "json")).out)
    assert [one["kid"] for one in listed["keys"]] == [key.kid for key in there.keys]


async def test_what_is_due_is_worked_out_from_the_operators_own_flags(
    keys: InCluster, vault: SecretVault, client: Client, namespace: str
) -> None:
    await client.create(deployment(namespace, "--key-interval=1h30m"))
    said = await keys("list")
    assert ", in 89m" in said.out
    assert "! the operator does not run" in said.out


def deployment(namespace: str, *flags: str) -> Object:
    labels = {"app": "edgerun"}
    container = {"name": "operator", "image": "i", "args": ["controller", *flags]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "edgerun", "namespace": namespace},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


async def test_a_rotation_is_a_wish_that_an_operator_fulfils(keys: InCluster, vault: SecretVault) -> None:
    signing, published = (await stored(vault)).keys
    said = await keys("rotate")
    assert said.code == 0
    assert said.out.startswith(f"{signing.kid} signs until {published.kid} does")
    there = await stored(vault)
    assert (there.rotate, there.signing) == (True, signing)
    assert "was asked for" in (await keys("list")).out
    there = await changed(vault, with_evidence)
    assert there.signing
    assert (there.rotate, there.signing.kid) == (False, published.kid)


async def test_who_waits_hears_when_another_key_signs(keys: InCluster, vault: SecretVault) -> None:
    waiting = asyncio.create_task(keys("rotate", "--wait"))

    async def asked_for() -> bool:
        return (await stored(vault)).rotate

    await eventually(asked_for)
    assert not waiting.done()
    there = await changed(vault, with_evidence)
    assert there.signing
    said = await waiting
    assert (said.code, said.out.splitlines()[-1]) == (0, f"{there.signing.kid} signs")


async def test_who_waits_in_vain_is_told_so(keys: InCluster, vault: SecretVault) -> None:
    said = await keys("rotate", "--wait", "--timeout", "0.2")
    assert said.code == 1
    assert "still signs; the wish stays" in said.err
    assert (await stored(vault)).rotate


async def test_a_revoked_key_is_over_and_the_next_one_signs(keys: InCluster, vault: SecretVault) -> None:
    signing, published = (await stored(vault)).keys
    said = await keys("revoke", signing.kid[:10] if signing.kid[0] != "-" else signing.kid, "--yes")
    assert said.code == 0
    assert f"{signing.kid} is revoked; {published.kid} signs" in said.out
    there = await stored(vault)
    assert phases(there) == ["REVOKED", "SIGNING", "PUBLISHED"]
    assert there.keys[0].private == ""
    again = await keys("revoke", signing.kid, "--yes")
    assert again.code == 0
    assert f"{signing.kid} is revoked already, since 2" in again.out
    assert await stored(vault) == there


async def test_nothing_is_revoked_unless_somebody_confirms(keys: InCluster, vault: SecretVault) -> None:
    before = await stored(vault)
    said = await keys("revoke", before.keys[0].kid)
    assert said.code == 2
    assert "nobody is there to confirm this; give --yes if it is meant" in said.err
    said = await keys("revoke", "unknown", "--yes")
    assert said.code == 2
    assert f"there is no key 'unknown'; there are:\n  {before.keys[0].kid}  Signing" in said.err
    assert await stored(vault) == before


async def test_two_who_revoke_different_keys_at_once_both_do(keys: InCluster, vault: SecretVault) -> None:
    signing, published = (await stored(vault)).keys
    codes = await asyncio.gather(*(keys.ran("revoke", one.kid, "--yes") for one in (signing, published)))
    assert codes == [0, 0]
    there = await stored(vault)
    assert {key.kid for key in there.at(Phase.REVOKED)} == {signing.kid, published.kid}
    assert there.signing
    assert there.at(Phase.PUBLISHED)


async def test_what_somebody_else_writes_meanwhile_is_not_lost(
    keys: InCluster, vault: SecretVault, faulty: FaultyApi, tmp_path: Path
) -> None:
    through = keys.at(faulty.address, tmp_path)
    signing, published = (await stored(vault)).keys
    first_of_all = True

    async def rotated_first(request: web.Request, passing: Passing) -> web.Response:
        nonlocal first_of_all
        if first_of_all:
            first_of_all = False
            await changed(vault, lambda keys: with_evidence(rotate(keys)))
        return await passing()

    faulty.tamper = rotated_first
    assert (await through("revoke", signing.kid, "--yes")).code == 0
    there = await stored(vault)
    [revoked] = there.at(Phase.REVOKED)
    assert revoked.kid == signing.kid
    assert Phase.RETIRING in [one.phase for one in revoked.history], "it was revoked after it had been replaced"
    assert there.signing
    assert there.signing.kid == published.kid


async def test_what_others_have_put_on_the_secret_stays(
    keys: InCluster, vault: SecretVault, client: Client, namespace: str
) -> None:
    before = await client.get(ObjectKey("Secret", namespace, SECRET))
    labelled = {**before, "metadata": {**before["metadata"], "labels": {"backup": "never"}}}
    await client.replace(labelled)
    assert (await keys("rotate")).code == 0
    metadata = (await client.get(ObjectKey("Secret", namespace, SECRET)))["metadata"]
    assert metadata["labels"]["backup"] == "never"
    assert metadata["ownerReferences"] == [OWNER]


@pytest.mark.parametrize("words", [("list",), ("rotate",), ("revoke", "a", "--yes")])
async def test_where_no_operator_is_installed_nothing_is_made(
    keys: InCluster, client: Client, namespace: str, words: tuple[str, ...]
) -> None:
    said = await keys(*words)
    assert said.code == 2
    assert f"there is no Secret {namespace}/{SECRET}, which an operator makes when it first runs" in said.err
    assert "--namespace, and its Deployment with --name" in said.err
    assert await SecretVault(client, namespace, SECRET).read() is None


async def test_a_secret_that_cannot_be_read_is_left_alone_and_not_shown(
    keys: InCluster, client: Client, namespace: str
) -> None:
    vault = SecretVault(client, namespace, SECRET)
    await vault.write({"keys.json": b"-----BEGIN PRIVATE KEY----- oops"}, "")
    for action in ("list", "rotate"):
        said = await keys(action)
        assert said.code == 2
        assert "its keys.json holds no keys; an operator that runs makes all keys anew" in said.err
        assert "oops" not in said.err
    found = await vault.read()
    assert found
    assert b"oops" in found[0]["keys.json"]


async def test_an_unreachable_cluster_is_told_with_the_way_out(keys: InCluster, tmp_path: Path) -> None:
    said = await keys.at("http://127.0.0.1:1", tmp_path)("list")
    assert said.code == 2
    assert "see what `kubectl cluster-info` says, or choose another cluster with --kubeconfig FILE" in said.err


@pytest.mark.parametrize(
    ("user", "way"),
    [
        ({"token": "made up"}, "log in to the cluster, or choose another one"),
        ({}, "kubectl create rolebinding NAME --namespace {} --role=edgerun-keys --user=USER"),
    ],
    ids=["unknown", "without rights"],
)
async def test_who_may_not_is_told_who_can_change_that(
    keys: InCluster, tmp_path: Path, user: dict[str, str], way: str
) -> None:
    said = await (await keys.by(user, tmp_path))("list")
    assert said.code == 2
    assert way.format(keys.namespace) in said.err


async def test_a_context_can_be_chosen(keys: InCluster, vault: SecretVault, tmp_path: Path) -> None:
    given: Any = yaml.safe_load(keys.kubeconfig.read_text())
    [context] = given["contexts"]
    given["contexts"] = [{**context, "name": "right"}, {"name": "wrong", "context": {"cluster": "no", "user": "no"}}]
    given["current-context"] = "wrong"
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(given))
    chosen = replace(keys, kubeconfig=path)
    assert (await chosen("list", "--context", "right")).code == 0
    assert (await chosen("list")).code == 2
