"""Knocks at the pods of revisions that a request waits for, so that nobody waits for the kubelet's next look.

Only while a revision wakes is it asked after, and only the pods that it wakes with: whoever starts otherwise is ready
when the kubelet says so. Each pod is asked as soon as it has an address, and again soon; the longer it has been waited
for, the less often.

Trap: an address where nobody is yet may swallow a connection, and so does a NetworkPolicy that does not let us in. So
each try has an end, and so many at most are under way; the kubelet's word comes anyway.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Set
from dataclasses import dataclass, field

from ..api.meta import ObjectKey
from ..infra import probes
from ..sources.store import Store
from ..translate.doors import Door, Question
from ..translate.world import Sleep
from .answers import Answers
from .observing import service_of

PAUSE_S, LONGEST_PAUSE_S = 0.025, 1.0
PART = 40  # of the time that a pod was waited for, as a pause
CONNECT_S, ANSWER_S = 0.25, 1.0
TRIES = 64  # at once
logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Knocking:
    """`wake` tells it that a revision is waking; it sees by itself when none is any more."""

    store: Store
    answers: Answers
    _woken: asyncio.Event = field(default_factory=asyncio.Event)
    _room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(TRIES))
    _asked: set[Door] = field(default_factory=set)

    def wake(self) -> None:
        self._woken.set()

    async def run(self, leads: Callable[[], Awaitable[None]]) -> None:
        """Knock while `leads` returns, until cancelled."""
        async with asyncio.TaskGroup() as visits:
            while True:
                await leads()
                if not self._waking():
                    self._woken.clear()
                    await self._woken.wait()
                    continue
                try:
                    self._send(visits)
                except Exception:  # a mistake of ours about one pod must not keep all others waiting
                    logger.exception("not all pods are knocked at: the others are left to their kubelets")
                    await asyncio.sleep(LONGEST_PAUSE_S)
                await asyncio.sleep(PAUSE_S)

    def _send(self, visits: asyncio.TaskGroup) -> None:
        """Somebody to each pod where nobody is."""
        for key in self._waking():
            for door in self._doors(key) - self._asked:
                self._asked.add(door)
                visits.create_task(self._visit(key, door))

    def _waking(self) -> Set[ObjectKey]:
        return {key for key, epoch in self.store.epochs.items() if epoch.sleep is Sleep.WAKING}

    def _doors(self, key: ObjectKey) -> Set[Door]:
        revision, epoch = self.store.revisions.get(key), self.store.epochs.get(key)
        if revision is None or epoch is None or epoch.sleep is not Sleep.WAKING:
            return frozenset()
        return self.answers.doors(service_of(revision), key.name)

    async def _visit(self, key: ObjectKey, door: Door) -> None:
        """Until somebody answers, or nobody waits for it any more."""
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            while door in self._doors(key):
                if await self._answers(door):
                    self._hear(key, door)
                    break
                await asyncio.sleep(pause_s(clock() - began))
        except Exception:  # of one pod, which stays among those that are asked: nobody else goes there
            logger.exception("%s is left to its kubelet", door.pod)
        else:
            self._asked.discard(door)

    def _hear(self, key: ObjectKey, door: Door) -> None:
        if door in self._doors(key):
            self.answers.hear(service_of(self.store.revisions[key]), key.name, door)

    async def _answers(self, door: Door) -> bool:
        async with self._room:
            try:
                async with asyncio.timeout(ANSWER_S):
                    for question in door.questions:
                        if not await _answers(door.address, question):
                            return False
            except (OSError, TimeoutError):
                return False
        return True


async def _answers(address: str, asked: Question) -> bool:
    return await probes.answers(
        address, asked.port, path=asked.path, headers=asked.headers, tls=asked.tls, connect_s=CONNECT_S
    )


def pause_s(waited_s: float) -> float:
    """Until the next try."""
    return min(max(PAUSE_S, waited_s / PART), LONGEST_PAUSE_S)
