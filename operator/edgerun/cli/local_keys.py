"""The signing keys of a running `edgerun local`. They are in its memory, so it is asked to do what is to be done."""

from pathlib import Path

import msgspec

from ..credentials.keyring import POLICY
from ..credentials.listing import Listing
from ..errors import SettingsError
from ..infra.local import instance
from ..runtime.key_desk import ASKED, Reply
from . import local_instances
from .keychain import Operator


class LocalKeys:
    def __init__(self, running: instance.Instance) -> None:
        self._running = running

    async def listing(self) -> Listing:
        return await self._asked("list")

    async def rotate(self) -> Listing:
        return await self._asked("rotate")

    async def revoke(self, kid: str) -> Listing:
        return await self._asked("revoke", kid)

    async def operator(self) -> Operator:
        return Operator(POLICY.interval, runs=True, public=False)

    async def _asked(self, *words: str) -> Listing:
        reply = msgspec.json.decode(await local_instances.answer(self._running, ASKED, *words), type=Reply)
        if reply.problem:
            raise SettingsError(reply.problem)
        return reply.listing


def of(directory: Path) -> LocalKeys:
    """Raises NotRunningError when nothing serves that folder, SettingsError when it is not clear what does."""
    return LocalKeys(local_instances.one(directory))
