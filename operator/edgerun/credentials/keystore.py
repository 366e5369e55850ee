"""The keys in their Secret: read, and changed by one write at a time, whoever else writes.

Everybody acts on what is stored and was read, never on what they would like to store: a key that lost against another
control plane's has never been one.
Trap: a Secret that is deleted or cannot be read means other keys, at once. That is how an administrator says that all
of them have leaked; until verifiers and edges have heard of the new one, no token is good.
"""

import logging
from collections.abc import Callable

from ..errors import ConflictError, NotFoundError
from .keys import KeySet, decoded, encoded
from .rotation import Vault

ATTEMPTS = 5  # against others who write
logger = logging.getLogger(__name__)

Change = Callable[[KeySet], KeySet]


async def changed(vault: Vault, change: Change) -> KeySet:
    """What is stored after `change`, which may be asked again about what others have stored meanwhile.

    Raises what `change` raises, and ApiError when the Secret cannot be read or written. Only ConflictError and
    NotFoundError tell that nothing was written: any other one may have been the loss of an answer.
    """
    for attempt in range(1, ATTEMPTS + 1):
        stored, version = await _read(vault)
        wanted = change(stored)
        if wanted == stored:
            break
        try:
            await vault.write(encoded(wanted), version)
        except (ConflictError, NotFoundError):
            if attempt == ATTEMPTS:
                raise
        else:
            return wanted
    return stored


async def _read(vault: Vault) -> tuple[KeySet, str]:
    found = await vault.read()
    if found is None:
        return KeySet(), ""
    data, version = found
    try:
        return decoded(data), version
    except ValueError as error:
        logger.error("the signing keys are made anew, for the Secret cannot be read: %s", error)
        return KeySet(), version
