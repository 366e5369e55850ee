"""The rollouts of a running `edgerun local`: it is asked, and told. What is written in its folder is the user's own."""

from pathlib import Path

import msgspec

from ..errors import SettingsError
from ..infra.local import instance
from ..runtime.rollout_desk import ASKED, Reply
from ..translate.revisions.judgement import Order
from . import local_instances
from .rollouts import Seen, seen


class LocalRollouts:
    def __init__(self, running: instance.Instance, namespace: str, service: str) -> None:
        self._running, self._name = running, f"{namespace}/{service}"

    async def seen(self) -> Seen:
        reply = await self._asked("status", self._name)
        return seen(reply.service, reply.revisions)

    async def order(self, order: Order) -> None:
        await self._asked(order.verb, self._name, order.revision_name)

    async def lead_to(self, revision: str) -> tuple[str, ...]:
        where = (await self._asked("status", self._name)).where
        raise SettingsError(
            f"{where} is yours to edit; write into the spec of {self._name}:\n"
            f"  traffic:\n  - {{revisionName: {revision}, percent: 100}}"
        )

    async def _asked(self, *words: str) -> Reply:
        reply = msgspec.json.decode(await local_instances.answer(self._running, ASKED, *words), type=Reply)
        if reply.problem:
            raise SettingsError(reply.problem)
        return reply


def of(directory: Path, namespace: str, service: str) -> LocalRollouts:
    """Raises NotRunningError when nothing serves that folder, SettingsError when it is not clear what does."""
    return LocalRollouts(local_instances.one(directory), namespace, service)
