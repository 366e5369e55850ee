"""What a running instance answers about its keys."""

from datetime import UTC, datetime

import msgspec

from edgerun.credentials.keyring import POLICY, UNKNOWN, advance
from edgerun.credentials.keys import KeySet, new_private
from edgerun.credentials.keystore import changed
from edgerun.credentials.vaults import MemoryVault
from edgerun.runtime.key_desk import answer


async def begun() -> tuple[MemoryVault, KeySet]:
    vault = MemoryVault()
    now = datetime.now(UTC)
    return vault, await changed(vault, lambda keys: advance(keys, now, UNKNOWN, POLICY, new_key=new_private))


async def test_it_lists_rotates_and_revokes() -> None:
    vault, keys = await begun()
    signing, published = (key.kid for key in keys.keys)
    listed = await answer(vault, ["list"])
    assert (listed.listing.signing, listed.listing.next, listed.problem) == (signing, published, "")
    assert (await answer(vault, ["rotate"])).listing.rotate
    revoked = await answer(vault, ["revoke", signing])
    assert [key.phase for key in revoked.listing.keys] == ["Revoked", "Signing", "Published"]
    assert (await answer(vault, ["list"])).listing == revoked.listing


async def test_what_cannot_be_is_answered_with_what_can() -> None:
    vault, keys = await begun()
    assert f"there is no key none; there are {keys.keys[0].kid}" in (await answer(vault, ["revoke", "none"])).problem
    assert "ask list, rotate or revoke KID" in (await answer(vault, ["burn"])).problem
    assert (await answer(vault, ["list"])).listing.signing == keys.keys[0].kid


async def test_no_answer_holds_a_private_half() -> None:
    vault, keys = await begun()
    told = msgspec.json.encode(await answer(vault, ["list"])).decode()
    for key in keys.keys:
        assert not [line for line in key.private.splitlines() if line in told]
