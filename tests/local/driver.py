"""An instance in a process of its own, to be killed: origins that are hard to end, and Envoy.

Prints one line when all of them run.
"""

import asyncio
import json
import sys
from pathlib import Path

from edgerun.infra.local import control
from edgerun.infra.local.edge import LocalEdge
from edgerun.infra.local.guards import Guards
from edgerun.infra.local.instance import create
from edgerun.infra.local.leash import Leash
from edgerun.infra.local.processes import LocalOrigins
from edgerun.translate.bootstrap import bootstrap
from local.harness import SERVER, origin, revision

ASLEEP = "import time\nwhile True: time.sleep(60)"
STUBBORN = "import signal\nfor n in (1, 2, 15): signal.signal(n, signal.SIG_IGN)\n" + SERVER
WITH_RUNAWAY = (
    "import subprocess, sys\n"
    f"subprocess.Popen([sys.executable, '-I', '-S', '-c', {ASLEEP!r}], start_new_session=True)\n" + SERVER
)
WITH_DISOWNED = (  # its parent is gone, and it has a session of its own
    "import os, time\n"
    "if os.fork() == 0:\n"
    "    os.setsid()\n"
    "    if os.fork() == 0:\n"
    "        time.sleep(600)\n"
    "    os._exit(0)\n" + SERVER
)


async def here(question: str) -> bytes:
    return b"here I am"


async def main(root: Path) -> None:
    instance = create(root)
    leash = Leash(instance.id, instance.directory)
    await leash.start()
    ready: set[str] = set()
    guards = Guards(instance, leash, "edgerun.test", print, print)
    origins = LocalOrigins(
        lambda key, seen: ready.add(key.name) if seen and seen.endpoints else None,
        asyncio.Event().wait,  # type: ignore[arg-type]
        lambda name, line: print(name, line, file=sys.stderr),
        leash=leash,
        guards=guards,
        root=root,
    )
    config = bootstrap(
        node_id="driver", cluster="edge", xds_socket=instance.xds_socket, admin_socket=instance.admin_socket
    )
    edge = LocalEdge(instance, config, leash=leash, say=lambda _name, _line: None, access=print, concurrency=1)
    scripts = {"plain": SERVER, "stubborn": STUBBORN, "runaway": WITH_RUNAWAY, "disowned": WITH_DISOWNED}
    origins.apply(tuple(revision(origin(script, name=name)) for name, script in scripts.items()))
    async with asyncio.TaskGroup() as group:
        group.create_task(leash.run(), name="leash")
        group.create_task(origins.run(), name="origins")
        group.create_task(edge.run(), name="edge")
        group.create_task(control.serve(instance.control_socket, here), name="control")
        while len(ready) < len(scripts) or edge.pid is None or leash.keeper_pid is None:
            await asyncio.sleep(0.01)
        told = {"id": instance.id, "directory": str(instance.directory), "keeper": leash.keeper_pid}
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
