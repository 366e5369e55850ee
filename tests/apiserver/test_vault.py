"""The authorities in a real Secret, with others who write it too."""

import asyncio
from base64 import b64decode

import pytest

from edgerun.api.meta import ObjectKey
from edgerun.credentials.authority import decoded
from edgerun.credentials.serving import Serving
from edgerun.errors import ConflictError, NotFoundError
from edgerun.infra.kubernetes.client import Client
from edgerun.infra.kubernetes.vault import SecretVault
from support.authorities import NAMES

NAME = "edgerun-ca"


@pytest.fixture
def vault(client: Client, namespace: str) -> SecretVault:
    return SecretVault(client, namespace, NAME)


async def test_what_is_written_is_read(vault: SecretVault, client: Client, namespace: str) -> None:
    assert await vault.read() is None
    await vault.write({"a": b"\x00\xff", "b": b""}, "")
    found = await vault.read()
    assert found
    assert found[0] == {"a": b"\x00\xff", "b": b""}
    await vault.write({"b": b"2"}, found[1])
    stored = await client.get(ObjectKey("Secret", namespace, NAME))
    assert (stored["type"], stored["data"]) == ("Opaque", {"b": "Mg=="})
    assert stored["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "edgerun"}


async def test_only_the_version_that_was_read_is_replaced(vault: SecretVault, client: Client, namespace: str) -> None:
    await vault.write({"a": b"1"}, "")
    with pytest.raises(ConflictError):
        await vault.write({"a": b"2"}, "")
    found = await vault.read()
    assert found
    await vault.write({"a": b"2"}, found[1])
    with pytest.raises(ConflictError):
        await vault.write({"a": b"3"}, found[1])
    stored = await client.get(ObjectKey("Secret", namespace, NAME))
    await client.delete(ObjectKey("Secret", namespace, NAME), stored["metadata"]["uid"])
    with pytest.raises((ConflictError, NotFoundError)):
        await vault.write({"a": b"3"}, stored["metadata"]["resourceVersion"])
    assert await vault.read() is None


async def test_many_that_begin_at_once_agree(client: Client, namespace: str) -> None:
    told: list[str] = []
    rotations = [_rotation(client, namespace, told) for _ in range(8)]
    await asyncio.gather(*(one.tend() for one in rotations))
    assert len(told) == 8
    assert len(set(told)) == 1
    stored = await client.get(ObjectKey("Secret", namespace, NAME))
    data = {name: b64decode(value) for name, value in stored["data"].items()}
    assert data["ca.crt"].decode() == told[0]
    assert len(decoded(data)) == 1


async def test_an_owner_takes_it_away(client: Client, namespace: str) -> None:
    metadata = {"name": "a", "namespace": namespace}
    owner = await client.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": owner["metadata"]["uid"]}
    await SecretVault(client, namespace, NAME, owner=reference).write({}, "")
    stored = await client.get(ObjectKey("Secret", namespace, NAME))
    assert stored["metadata"]["ownerReferences"] == [reference]


async def test_what_others_have_put_beside_the_data_stays(vault: SecretVault, client: Client, namespace: str) -> None:
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "1", "controller": True}
    labels = {"backup": "never", "app.kubernetes.io/managed-by": "edgerun"}
    metadata = {"name": NAME, "namespace": namespace, "labels": labels, "ownerReferences": [owner]}
    await client.create({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata})
    found = await vault.read()
    assert found
    await vault.write({"a": b"1"}, found[1])
    stored = await client.get(ObjectKey("Secret", namespace, NAME))
    assert (stored["data"], stored["metadata"]["labels"]) == ({"a": "MQ=="}, labels)
    assert stored["metadata"]["ownerReferences"] == [owner]


def _rotation(client: Client, namespace: str, told: list[str]) -> Serving:
    vault = SecretVault(client, namespace, NAME)
    return Serving(vault, names=NAMES, may_write=lambda: True, changed=told.append)
