"""What an instance answers about its signing keys, and what it does with them when asked. No private half leaves it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

import msgspec

from ..credentials.keyring import POLICY, revoke, rotate
from ..credentials.keys import KeySet, new_private
from ..credentials.keystore import Change, changed
from ..credentials.listing import Listing, listing
from ..credentials.rotation import Vault

ASKED = "keys"  # how a question begins that is for here


class Reply(msgspec.Struct, frozen=True):
    """`problem` says why nothing was changed, "" when it was."""

    listing: Listing
    problem: str = ""


async def answer(vault: Vault, words: Sequence[str]) -> Reply:
    """To `list`, `rotate` or `revoke KID`."""
    match words:
        case ["list"]:
            return await _changed(vault, _as_they_are)
        case ["rotate"]:
            return await _changed(vault, rotate)
        case ["revoke", kid]:
            now = datetime.now(UTC)
            return await _changed(vault, partial(revoke, kid=kid, now=now, policy=POLICY, new_key=new_private))
        case _:
            found = await _changed(vault, _as_they_are)
            return Reply(found.listing, f"{' '.join(words)!r} is no question; ask list, rotate or revoke KID")


async def _changed(vault: Vault, change: Change) -> Reply:
    try:
        return Reply(listing(await changed(vault, change)))
    except LookupError as error:
        return Reply(listing(await changed(vault, _as_they_are)), str(error))


def _as_they_are(keys: KeySet) -> KeySet:
    return keys
