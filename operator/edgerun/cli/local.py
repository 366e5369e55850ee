"""`edgerun local`: serve a folder until Ctrl-C; with a tour, show that it serves."""

import argparse
import asyncio
import gc
import shutil
import signal
import sys
from collections.abc import Coroutine
from typing import Any

from ..errors import SettingsError
from ..runtime.local import READY_WITHIN_S, LocalRuntime, running
from ..settings import GC_THRESHOLDS, LocalSettings
from .console import Console
from .tables import coloured
from .tour import Tour, read_tour, shown, take

IMPATIENT_S = 3.0  # until what is not ready yet is told, though it may still become it


async def run(options: argparse.Namespace) -> int:
    """Exit code 0, or 1 when a request of the tour went wrong."""
    gc.set_threshold(*GC_THRESHOLDS)
    settings = _settings(options)
    tour = read_tour(options.tour) if options.tour else None
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    console = Console()
    async with running(settings, console) as runtime:
        impatience = asyncio.get_running_loop().call_later(IMPATIENT_S, _say_what_is_awaited, settings, console)
        await _until(stop, runtime.ready())
        impatience.cancel()
        console.started()
        if stop.is_set():
            return 0
        print(coloured(f"edge on {_edge_url(settings)}, serving {settings.directory}", "cyan"), flush=True)
        failed = await _tour(tour, settings, console) if tour else False
        if tour and not sys.stdin.isatty():
            return int(failed)
        _say_what_next(settings, runtime)
        await stop.wait()
        return int(failed)


def _settings(options: argparse.Namespace) -> LocalSettings:
    if not options.directory.is_dir():
        raise SettingsError(f"{options.directory}: not a folder; give the one that holds your YAML files")
    return LocalSettings(
        directory=options.directory, port=options.port, address=options.address, concurrency=options.concurrency
    )


async def _until(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Wait for `work`, or for the wish to stop. Raises what `work` raises."""
    working = asyncio.create_task(work, name="until ready")
    stopping = asyncio.create_task(stop.wait(), name="until stopped")
    await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if working.done():
        working.result()
    else:
        working.cancel()


async def _tour(tour: Tour, settings: LocalSettings, console: Console) -> bool:
    console.shows_requests = False
    visits = await take(tour, (settings.address, settings.port), console.logged)
    console.shows_requests = True
    print(f"\n{shown(visits)}\n", flush=True)
    wrong = sum(bool(visit.wrong) for visit in visits)
    verdict = f"{wrong} of {len(visits)} requests went wrong" if wrong else f"all {len(visits)} requests as expected"
    print(coloured(verdict, "red" if wrong else "green"), flush=True)
    return wrong > 0


def _say_what_is_awaited(settings: LocalSettings, console: Console) -> None:
    console.started()
    print(f"what is Ready is served on {_edge_url(settings)}; the rest has {READY_WITHIN_S:g} s in all", flush=True)


def _say_what_next(settings: LocalSettings, runtime: LocalRuntime) -> None:
    host = _some_host(runtime)
    header = f" -H 'Host: {host}'" if host else ""
    print(
        f"""
Now try: edit a file below {settings.directory}, and ask again
         curl -i {_edge_url(settings)}/{header}
         {_own_name()} status {settings.directory}
         {_own_name()} render {settings.directory}
Ctrl-C stops everything.""",
        flush=True,
    )


def _own_name() -> str:
    """How this command was called, unless plain `edgerun` would do."""
    return "edgerun" if shutil.which("edgerun") else sys.argv[0]


def _edge_url(settings: LocalSettings) -> str:
    anywhere = settings.address in ("127.0.0.1", "::1", "0.0.0.0", "::")  # noqa: S104 - nothing is bound here
    return f"http://{'localhost' if anywhere else settings.address}:{settings.port}"


def _some_host(runtime: LocalRuntime) -> str:
    """A hostname that some route answers for, "" when there is none."""
    routes = runtime.controller.store.snapshot().routes
    hosts = (host for route in routes for host in route.spec.hostnames)
    return min((host for host in hosts if "*" not in host), default="")
