"""Standalone mode: a folder of YAML, a real Envoy, origins as local processes, and nothing else.

The same store, translator and xDS server as in a cluster; only the source and the infrastructure differ.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from ..api import originrevision
from ..api.meta import ObjectKey
from ..credentials.vaults import MemoryVault
from ..infra import envoy
from ..infra.local import control, instance
from ..infra.local.instance import Instance
from ..infra.local.leash import Leash
from ..infra.local.ports import free_port
from ..settings import LocalSettings
from ..sources.documents import FileProblem
from ..sources.files import Folder
from ..translate.plan import Plan
from . import key_desk, local_parts, rollout_desk
from .audience import Audience
from .controller import Controller
from .envoy import refusal
from .passage import Passage
from .report import report
from .revising import Revising
from .scaling import Scaled, Scaling
from .waking import Waking

LISTENING_WITHIN_S = 60.0
READY_WITHIN_S = 60.0  # on a machine that is busy with something else a start takes many times as long


@asynccontextmanager
async def running(settings: LocalSettings, audience: Audience) -> AsyncIterator["LocalRuntime"]:
    """Serve the folder of `settings` until the block is left; no process is left behind, however it ends.

    Raises EdgerunError when it cannot be served.
    """
    envoy.self_check()
    free_port(settings.port, settings.address)
    here = instance.create(settings.directory.resolve())
    leash = Leash(here.id, here.directory)
    try:
        await leash.start()
        runtime = LocalRuntime(settings, audience, here, leash)
        async with runtime.serving():
            yield runtime
    finally:
        await leash.stop()


class LocalRuntime:
    """The parts of one running `edgerun local`."""

    def __init__(self, settings: LocalSettings, audience: Audience, here: Instance, leash: Leash) -> None:
        self._settings, self._audience, self._here, self._leash = settings, audience, here, leash
        standalone = local_parts.Standalone(settings, audience, here, leash)
        self.controller = Controller(local_parts.listener(settings), self._act, self._tell, refusal)
        self._wire, self._keys = local_parts.wire(), MemoryVault()
        self.issuing = local_parts.issuing(self.controller, self._keys, self._wire)
        self.edge = local_parts.edge(standalone)
        self._waking = Waking(self.controller.store, Passage.of(self.controller), told=self._scaled)
        self._origins = local_parts.origins(standalone, self._waking.observe, self.controller.caught_up)
        self._scaling = Scaling(
            self.controller.store,
            self.controller.loads,
            local=True,
            told=self._scaled,
            world=self.controller.world,
            rest=self._waking.rest,
        )
        self._revising = Revising(self.controller, local=True)
        self._desk = rollout_desk.Desk(self.controller, self._revising.orders)
        self._folder = Folder(settings.directory, self.controller.store.apply)
        self._problems: tuple[FileProblem, ...] = ()
        self._told = asyncio.Event()
        self._stopping = False

    async def listening(self) -> None:
        """Return when the edge accepts requests. Raises TimeoutError that says how far it got."""
        await self.edge.ready(LISTENING_WITHIN_S)

    async def ready(self) -> None:
        """Return when the edge accepts requests and every object is Ready or refused, or had its time to become it."""
        await self.listening()
        try:
            async with asyncio.timeout(READY_WITHIN_S):
                while not self.controller.board.settled:
                    self._told.clear()
                    await self._told.wait()
        except TimeoutError:
            return

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Everything at work; stopped in order when the block is left."""
        async with asyncio.TaskGroup() as group:
            tasks: list[asyncio.Task[None]] = []
            try:
                await self.controller.server.start(f"unix:{self._here.xds_socket}")
                tasks += [group.create_task(work, name=name) for name, work in self._first_tasks()]
                self._folder.scan()
                self._looked()
                await self._wire.ready()
                await self.issuing.ready()
                self.controller.rebuild()
                tasks += [group.create_task(work, name=name) for name, work in self._tasks()]
                yield
            finally:
                await self._stop()
                for task in tasks:
                    task.cancel()

    def _first_tasks(self) -> tuple[tuple[str, Coroutine[Any, Any, None]], ...]:
        """Of those without whom nothing can be published."""
        return (("wire", self._wire.run()), ("issuing", self.issuing.run()))

    def _tasks(self) -> tuple[tuple[str, Coroutine[Any, Any, None]], ...]:
        return (
            ("keeper", self._leash.run()),
            ("controller", self.controller.run()),
            ("files", self._folder.watch(self._looked)),
            ("origins", self._origins.run()),
            ("scaling", self._scaling.run()),
            ("waking", self._waking.run()),
            ("revising", self._revising.run()),
            ("edge", self.edge.run()),
            ("control", control.serve(self._here.control_socket, self._answer)),
        )

    async def _stop(self) -> None:
        """The edge first: what it still owes its clients needs the origins. Nobody needs to hear how it all ends."""
        self._stopping = True
        await self.edge.stop()
        await self._origins.stop()
        await self.controller.server.stop(grace_s=1.0)

    def _looked(self) -> None:
        if self._folder.problems != self._problems:
            self._problems = self._folder.problems
            self._audience.problems(self._problems)

    def _act(self, plan: Plan) -> None:
        self._origins.apply(plan.running)

    def _scaled(self, scaled: Scaled) -> None:
        self._audience.output(f"{scaled.key.namespace}/{scaled.key.name}", f"edgerun: {scaled}")

    def _tell(self, keys: tuple[ObjectKey, ...]) -> None:
        self._told.set()
        for key in () if self._stopping else keys:
            line = self.controller.board.lines.get(key)
            if key.kind != originrevision.KIND:  # their service's status has it all
                self._audience.status(key, line.status if line else None)

    async def _answer(self, question: str) -> bytes:
        if question.startswith(key_desk.ASKED):
            return msgspec.json.encode(await key_desk.answer(self._keys, question.split()[1:]))
        if question.startswith(rollout_desk.ASKED):
            return msgspec.json.encode(self._desk.answer(question.split()[1:]))
        return msgspec.json.encode(report(self.controller, str(self._settings.directory.absolute()), self._problems))
