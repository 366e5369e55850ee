"""The signing keys in a real Secret, by control planes that end between any two steps."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import pytest

from edgerun.credentials.keyring import POLICY, UNKNOWN, Evidence, advance, revoke, rotate
from edgerun.credentials.keys import KeySet, Phase, new_private
from edgerun.credentials.keystore import Change, changed
from edgerun.infra.kubernetes.client import Client
from edgerun.infra.kubernetes.vault import SecretVault
from support.authorities import START

DAY = timedelta(days=1)


class EndedError(Exception):
    """The process is no more."""


@dataclass
class Mortal:
    """A vault whose user ends at the given step: each read and each write has a moment before it and one after."""

    vault: SecretVault
    ends_at: int = -1
    step: int = 0

    async def read(self) -> tuple[Mapping[str, bytes], str] | None:
        self._live()
        found = await self.vault.read()
        self._live()
        return found

    async def write(self, data: Mapping[str, bytes], version: str) -> None:
        self._live()
        await self.vault.write(data, version)
        self._live()

    def _live(self) -> None:
        if self.step == self.ends_at:
            raise EndedError
        self.step += 1


@pytest.fixture
def vault(client: Client, namespace: str) -> SecretVault:
    return SecretVault(client, namespace, "edgerun-keys")


def first_key(keys: KeySet) -> KeySet:
    return advance(keys, START, UNKNOWN, POLICY, new_key=new_private)


def next_key(keys: KeySet) -> KeySet:
    """With evidence that everybody knows everything, for long."""
    kids = frozenset(key.kid for key in keys.keys)
    lasted = {(key.kid, key.phase): DAY for key in keys.keys}
    return advance(keys, START + DAY, Evidence(verifiers=(kids,), lasted=lasted), POLICY, new_key=new_private)


def without(kid: str, keys: KeySet) -> KeySet:
    return revoke(keys, kid, START + DAY, POLICY, new_key=new_private)


@pytest.mark.parametrize("ends_at", range(4))
async def test_whoever_comes_after_a_crash_finds_a_good_state_and_goes_on(vault: SecretVault, ends_at: int) -> None:
    for change in (first_key, rotate, next_key):
        await _crashes(vault, change, ends_at)
        await changed(vault, change)
    keys = await _stored(vault)
    signing = keys.signing
    assert signing
    assert keys.at(Phase.RETIRING, Phase.RETIRED), "it has rotated"
    await _crashes(vault, partial(without, signing.kid), ends_at)
    keys = await changed(vault, partial(without, signing.kid))
    assert [key.phase for key in keys.keys if key.kid == signing.kid] == [Phase.REVOKED]
    assert keys.signing
    assert await changed(vault, first_key) == keys, "nothing is left to do"


async def test_what_was_written_before_a_crash_is_what_goes_on(vault: SecretVault) -> None:
    await _crashes(vault, first_key, 3)
    written = await _stored(vault)
    assert written.signing
    assert await changed(vault, first_key) == written, "no key is made in vain"


async def test_of_many_that_begin_and_revoke_at_once_all_agree(client: Client, namespace: str) -> None:
    vaults = [SecretVault(client, namespace, "edgerun-keys") for _ in range(4)]
    sets = await asyncio.gather(*(changed(one, first_key) for one in vaults))
    assert set(sets) == {sets[0]}
    signing, published = sets[0].keys
    await asyncio.gather(*(changed(one, partial(without, signing.kid)) for one in vaults))
    keys = await _stored(vaults[0])
    assert [key.phase for key in keys.keys] == [Phase.REVOKED, Phase.SIGNING, Phase.PUBLISHED]
    assert keys.signing
    assert keys.signing.kid == published.kid


async def test_the_secret_holds_no_private_half_of_a_key_that_is_over(vault: SecretVault) -> None:
    await changed(vault, first_key)
    before = (await _stored(vault)).keys[0]
    await changed(vault, next_key)
    found = await vault.read()
    assert found
    assert before.private.splitlines()[1].encode() not in found[0]["keys.json"]
    assert before.x.encode() in found[0]["keys.json"]


async def _crashes(vault: SecretVault, change: Change, at: int) -> None:
    before = await _stored(vault)
    if change(before) == before:
        return
    with pytest.raises(EndedError):
        await changed(Mortal(vault, at), change)
    after = await _stored(vault)
    assert not after.keys or len(after.at(Phase.SIGNING)) == 1
    assert (after == before) is (at < 3), "a step is taken as a whole or not at all"


async def _stored(vault: SecretVault) -> KeySet:
    return await changed(vault, lambda keys: keys)
