"""Several real Envoys on one control plane, each listening on a port of its own.

In a cluster every edge pod has its own network, so one Listener fits all. On one machine the port of that Listener
would be shared, so each Envoy here has a static copy of it on its own port; the routes come over ADS as always.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgerun.infra import admin
from edgerun.translate.bootstrap import GIB, bootstrap
from edgerun.translate.plan import LISTENER
from edgerun.translate.rendering import rendered
from edgerun.translate.translator import translate
from edgerun.translate.world import Edge, World
from support.poll import eventually
from support.ports import free_port

ENVOY = Path(sys.executable).with_name("envoy")


@dataclass
class Proxy:
    """One Envoy. `port` is where it listens, `socket` its admin interface."""

    name: str
    port: int
    socket: Path
    config: Path
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            *(ENVOY, "-c", self.config, "--disable-hot-restart", "--concurrency", "1", "--log-level", "error"),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )

    def signal(self, number: signal.Signals) -> None:
        assert self.process
        self.process.send_signal(number)

    async def kill(self) -> None:
        if self.process and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGCONT)
                self.process.kill()
            await self.process.wait()

    async def listening(self) -> None:
        def connects() -> bool:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True

        await eventually(connects, what=f"{self.name} listens")

    async def counter(self, name: str) -> int:
        """A counter or gauge by its whole name; 0 while it does not exist."""
        return (await admin.numbers(self.socket, name)).get(name, 0)

    def resident_bytes(self) -> int:
        """What the process has of the machine's memory."""
        assert self.process
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@contextlib.asynccontextmanager
async def fleet(
    directory: Path,
    xds_socket: Path,
    names: tuple[str, ...],
    *,
    load_reports: bool = False,
    max_heap_bytes: int = 2 * GIB,
) -> AsyncIterator[tuple[Proxy, ...]]:
    """Envoys that connect to `xds_socket`, killed when the block is left."""
    proxies = tuple(_proxy(directory, xds_socket, name, load_reports, max_heap_bytes) for name in names)
    try:
        for proxy in proxies:
            await proxy.start()
        yield proxies
    finally:
        for proxy in proxies:
            await proxy.kill()


def _proxy(directory: Path, xds_socket: Path, name: str, load_reports: bool, max_heap_bytes: int) -> Proxy:
    port, admin_socket, config = free_port(), directory / f"{name}.sock", directory / f"{name}.json"
    settings = bootstrap(
        node_id=name,
        cluster="default",
        xds_socket=xds_socket,
        admin_socket=admin_socket,
        load_reports=load_reports,
        max_heap_bytes=max_heap_bytes,
    )
    settings["static_resources"]["listeners"] = [_static_listener(port)]
    config.write_text(json.dumps(settings))
    return Proxy(name, port, admin_socket, config)


def _static_listener(port: int) -> Mapping[str, Any]:
    plan = translate(World(edge=Edge(port=port)))
    (listener,) = rendered(plan)["listeners"]
    assert plan.fleets["default"][LISTENER]
    static: Mapping[str, Any] = listener | {"name": "own"}
    return static


def pid_exists(pid: int) -> bool:
    """Whether the process is there and not a zombie."""
    try:
        os.kill(pid, 0)
        return b") Z " not in Path(f"/proc/{pid}/stat").read_bytes()
    except (ProcessLookupError, FileNotFoundError):
        return False
