"""Kopf as a sensor: every event of some kinds, told as it comes, and nothing ever written.

The only module that imports kopf. It runs in a thread and an event loop of its own, for a watch that gets any error but
410 ends it; then it is started anew. Its own way to end waits for tasks that may hang for ever, so it is not used.

Trap: after an interruption Kopf tells what exists, never what has vanished meanwhile. That is for the sweep.
"""

import asyncio
import logging
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Protocol

import kopf

from ..access import Login
from ..api import GROUP
from ..api.resources import Resource

BACKOFF_S = 1.0  # doubled at each end that comes soon
BACKOFF_LIMIT_S = 30.0
SOON_S = 60.0
STOP_S = 10.0  # when it takes longer, Kopf hangs
RECONNECT_S = 1.0
REQUEST_S = 30.0
CONNECT_S = 10.0
EXIT_ROUNDS = 5
EXIT_S = 0.5  # a handler only passes an event on
CLOSE_S = 0.25  # TLS is not closed at once, and nobody tells when it is
BACKOFFS_S = (0.5, 1.0, 2.0)  # then it asks anew: a server that is back is noticed within seconds
logger = logging.getLogger(__name__)

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Watched:
    """A kind, and which of its objects the server is to tell of."""

    resource: Resource
    label_selector: str = ""


class Listener(Protocol):
    """Who is told, in Kopf's thread. Neither may wait or raise."""

    def watching(self) -> None:
        """The watches begin, at first or again."""

    def event(self, type_: str | None, raw: Object) -> None:
        """As the API server says: ADDED, MODIFIED, DELETED; None for an object that was there before the watch."""


class _Connection(kopf.ConnectionInfo):
    """Verifies as every client of Kubernetes does: Python alone refuses, from 3.13 on, authorities of many clusters
    that lack a key identifier (RFC 5280, 4.2.1.1)."""

    def as_ssl_context(self) -> ssl.SSLContext:
        context = super().as_ssl_context()
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        return context


class Sensor:
    """No `namespaces` means the whole cluster."""

    def __init__(
        self, watched: Sequence[Watched], listener: Listener, login: Login, *, namespaces: Sequence[str] = ()
    ) -> None:
        self._watched, self._listener, self._login = watched, listener, login
        self._namespaces = namespaces
        self._thread = threading.Thread(target=self._live, name="kopf", daemon=True)
        self._stopped = threading.Event()
        self._end_run: Callable[[], object] = lambda: None
        self.runs = 0

    def start(self) -> None:
        logging.getLogger("kopf.objects").setLevel(logging.WARNING)  # else two lines for every event of every object
        logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)  # that signals are ours: we know
        # Each attempt of each watch, while the API server is away: the sweep says it once.
        logging.getLogger("kopf._cogs.clients.watching").setLevel(logging.CRITICAL)
        self._thread.start()

    async def stop(self) -> None:
        """Nothing is told any more when this returns, unless Kopf hangs."""
        self._stopped.set()
        self._end_run()
        if self._thread.ident is not None:
            await asyncio.to_thread(self._thread.join, STOP_S)

    @property
    def dead(self) -> bool:
        """Whether it was started, not stopped, and is gone all the same."""
        return self._thread.ident is not None and not self._stopped.is_set() and not self._thread.is_alive()

    def restart(self) -> None:
        """End the watches; they begin anew by themselves."""
        self._end_run()

    def _live(self) -> None:
        soon = 0
        while not self._stopped.is_set():
            began = time.monotonic()
            loop = asyncio.new_event_loop()
            loop.set_exception_handler(_aside)
            try:
                loop.run_until_complete(self._run())
            except (Exception, asyncio.CancelledError):
                logger.exception("the watches ended and begin anew")
            finally:
                loop.close()  # asyncio.run would wait for tasks that never end
            soon = soon + 1 if time.monotonic() - began < SOON_S else 0
            self._stopped.wait(min(BACKOFF_LIMIT_S, BACKOFF_S * 2 ** min(soon - 1, 10)) if soon else 0)

    async def _run(self) -> None:
        end, loop = asyncio.Event(), asyncio.get_running_loop()
        self._end_run = lambda: None if loop.is_closed() else loop.call_soon_threadsafe(end.set)
        if self._stopped.is_set():
            return
        self.runs += 1
        self._listener.watching()
        tasks = await kopf.spawn_tasks(
            registry=self._registry(),
            settings=_settings(self._watched),
            clusterwide=not self._namespaces,
            namespaces=self._namespaces,
            stop_flag=end,
        )
        done, others = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        await _ended(others)
        await _ended(asyncio.all_tasks() - {asyncio.current_task()})
        await asyncio.sleep(CLOSE_S)
        for task in done:
            task.result()

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry, id="login")(self._connection)
        for watched in self._watched:
            resource = watched.resource
            subscribe = kopf.on.event(
                group=resource.group,
                version=resource.version,
                plural=resource.plural,
                id=f"seen-{resource.plural}",
                registry=registry,
            )
            subscribe(self._handler(resource))
        return registry

    def _handler(self, resource: Resource) -> Any:
        typed = {"apiVersion": resource.api_version, "kind": resource.kind}

        async def seen(type: str | None, event: Mapping[str, Any], **_: Any) -> None:
            self._listener.event(type, {**event["object"], **typed})

        return seen

    async def _connection(self, **_: Any) -> kopf.ConnectionInfo:
        access = await self._login()
        return _Connection(
            server=access.server,
            insecure=not access.verify,
            ca_path=access.ca_file or None,
            certificate_path=access.certificate_file or None,
            private_key_path=access.key_file or None,
            token=access.token or None,
            proxy_url=access.proxy or None,
        )


async def _ended(tasks: AbstractSet[asyncio.Task[Any]]) -> None:
    """Cancel, more than once: a watch that was refused its credentials swallows it, and then waits for nothing."""
    for _ in range(EXIT_ROUNDS):
        for task in tasks:
            task.cancel()
        if not tasks:
            return
        _, tasks = await asyncio.wait(tasks, timeout=EXIT_S)
    logger.warning("left behind: %s", ", ".join(task.get_name() for task in tasks))


def _aside(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What tasks say that nobody asks any more, when several failed at once: one of them has been logged."""
    logger.debug("after the end: %s %s", context["message"], context.get("exception", ""))


def _settings(watched: Sequence[Watched]) -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.peering.standalone = True
    settings.posting.enabled = False
    settings.scanning.disabled = True  # it would have to read all CRDs and namespaces; ours are there before it starts
    settings.process.ultimate_exiting_timeout = None  # after it Kopf would kill the whole process
    settings.persistence.finalizer = f"{GROUP}/finalizer"  # never set; should it be, then it tells whose it is
    settings.watching.reconnect_backoff = RECONNECT_S
    settings.queueing.exit_timeout = EXIT_S
    settings.networking.request_timeout = REQUEST_S
    settings.networking.connect_timeout = CONNECT_S
    settings.networking.error_backoffs = BACKOFFS_S
    for one in watched:
        if one.label_selector:
            resource = one.resource
            settings.watching.label_selectors[resource.group, resource.version, resource.plural] = one.label_selector
    return settings
