"""The authorities in a real Secret, with others who write it too."""

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgerun.api.meta import ObjectKey
from edgerun.credentials.authority import decoded
from edgerun.credentials.serving import Serving
from edgerun.errors import ConflictError, NotFoundError
from edgerun.infra.kubernetes.client import Client, connected
from edgerun.infra.kubernetes.vault import SecretVault
from support.apiserver import kubeconfig
from support.authorities import NAMES
from support.faults import FaultyApi
from support.poll import eventually


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


@dataclass(eq=False)
class Told:
    """Counts what `changes` tells."""

    times: int = 0

    async def listen(self, vault: SecretVault) -> None:
        async for _ in vault.changes():
            self.times += 1

    async def more(self, than: int) -> bool:
        await eventually(lambda: self.times > than, within_s=1.0)
        return True


@asynccontextmanager
async def listening(vault: SecretVault) -> AsyncIterator[Told]:
    told = Told()
    task = asyncio.create_task(told.listen(vault))
    try:
        await eventually(lambda: told.times > 0)
        yield told
    finally:
        task.cancel()
        await asyncio.wait([task])


async def quiet(told: Told) -> int:
    """What has been told when nothing more is being told."""
    seen = -1

    def same() -> bool:
        nonlocal seen
        before, seen = seen, told.times
        return before == seen

    await eventually(same, step_s=0.1)
    return seen


async def test_whoever_listens_hears_within_a_second_what_anybody_writes(
    vault: SecretVault, client: Client, namespace: str
) -> None:
    async with listening(vault) as told:
        before = await quiet(told)
        await vault.write({"a": b"1"}, "")
        assert await told.more(than=before), "it is made"
        before = await quiet(told)
        found = await vault.read()
        assert found
        await vault.write({"a": b"2"}, found[1])
        assert await told.more(than=before), "it is written"
        before = await quiet(told)
        uid = (await client.get(ObjectKey("Secret", namespace, NAME)))["metadata"]["uid"]
        await client.delete(ObjectKey("Secret", namespace, NAME), uid)
        assert await told.more(than=before), "it is deleted"


async def test_nobody_hears_of_other_secrets(vault: SecretVault, client: Client, namespace: str) -> None:
    async with listening(vault) as told:
        before = await quiet(told)
        await SecretVault(client, namespace, f"{NAME}-other").write({"a": b"1"}, "")
        assert await quiet(told) == before


async def test_a_watch_that_is_cut_off_begins_again_and_tells_so(
    faulty: FaultyApi, namespace: str, tmp_path: Path
) -> None:
    async with connected(kubeconfig(tmp_path / "k", faulty.address)) as client:
        async with listening(SecretVault(client, namespace, NAME)) as told:
            for _ in range(3):
                before = await quiet(told)
                await eventually(lambda: faulty.watches == 1)
                faulty.cut()
                assert await told.more(than=before)


async def test_an_api_server_that_was_away_and_whose_credentials_have_changed_is_watched_again(
    faulty: FaultyApi, namespace: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with connected(kubeconfig(tmp_path / "k", faulty.address)) as client:
        async with listening(SecretVault(client, namespace, NAME)) as told:
            before = await quiet(told)
            faulty.down = True
            faulty.cut()
            await eventually(lambda: "are not told, and are noticed late" in caplog.text)
            faulty.strangers = 1
            faulty.down = False
            await eventually(lambda: told.times > before)
    assert "made up, 401" in caplog.text


def _rotation(client: Client, namespace: str, told: list[str]) -> Serving:
    vault = SecretVault(client, namespace, NAME)
    return Serving(vault, names=NAMES, may_write=lambda: True, changed=told.append)
