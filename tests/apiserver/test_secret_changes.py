"""Who listens to changes of one Secret hears of each within a second, whatever becomes of the connection."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgerun.api.meta import ObjectKey
from edgerun.infra.kubernetes.client import Client, connected
from edgerun.infra.kubernetes.vault import SecretVault
from support.apiserver import kubeconfig
from support.faults import FaultyApi
from support.poll import eventually

NAME = "edgerun-keys"


@pytest.fixture
def vault(client: Client, namespace: str) -> SecretVault:
    return SecretVault(client, namespace, NAME)


@asynccontextmanager
async def through(faulty: FaultyApi, folder: Path, namespace: str) -> AsyncIterator[SecretVault]:
    async with connected(kubeconfig(folder / "kubeconfig", faulty.address)) as client:
        yield SecretVault(client, namespace, NAME)


@dataclass(eq=False)
class Told:
    """Counts what `changes` tells."""

    times: int = 0

    async def listen(self, vault: SecretVault) -> None:
        async for _ in vault.changes():
            self.times += 1

    async def more(self, than: int) -> bool:
        await eventually(lambda: self.times > than)
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


async def test_whoever_listens_hears_what_anybody_writes(vault: SecretVault, client: Client, namespace: str) -> None:
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
    async with through(faulty, tmp_path, namespace) as vault, listening(vault) as told:
        for _ in range(3):
            before = await quiet(told)
            await eventually(lambda: faulty.watches == 1)
            faulty.cut()
            assert await told.more(than=before)


async def test_an_api_server_that_was_away_and_whose_credentials_have_changed_is_watched_again(
    faulty: FaultyApi, namespace: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with through(faulty, tmp_path, namespace) as vault, listening(vault) as told:
        before = await quiet(told)
        faulty.down = True
        faulty.cut()
        await eventually(lambda: "are not told, and are noticed late" in caplog.text)
        faulty.strangers = 1
        faulty.down = False
        await eventually(lambda: told.times > before)
    assert "made up, 401" in caplog.text
