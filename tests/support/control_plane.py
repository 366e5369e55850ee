"""The control plane alone, as a process that a test can kill: `python control_plane.py DIR XDS_SOCKET`.

It serves the EdgeRoutes below DIR to whichever Envoys connect; origins are elsewhere, by url.
"""

import asyncio
import sys
from pathlib import Path

from edgerun.runtime.controller import Controller
from edgerun.sources.files import Folder
from edgerun.translate.world import Edge, World
from support.handouts import secrets


async def _nobody_to_ask(world: World, edge: str) -> str | None:
    return None


async def main(directory: Path, xds_socket: Path) -> None:
    controller = Controller(Edge(port=1), lambda plan: None, lambda keys: None, _nobody_to_ask, secrets=secrets)
    folder = Folder(directory, controller.store.apply)
    await controller.server.start(f"unix:{xds_socket}")
    folder.scan()
    controller.rebuild()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(controller.run())
        tasks.create_task(folder.watch(lambda: None))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
