"""How to tell that a process is not used any more: nobody is connected to its port."""

import asyncio

from . import procfs
from .process import Process

POLL_S = 0.05


async def unused(process: Process, port: int, *, within_s: float, blind_s: float) -> None:
    """Returns when nobody is connected to `port`, when `process` is gone, or when its time is up: `within_s`, or
    `blind_s` where nobody tells how many connections there are."""
    if not procfs.AVAILABLE:
        await asyncio.wait({process.exited}, timeout=min(blind_s, within_s))
        return
    clock = asyncio.get_running_loop().time
    deadline = clock() + within_s
    while process.running and clock() < deadline:
        if not await asyncio.to_thread(procfs.connections, port):
            return
        await asyncio.wait({process.exited}, timeout=POLL_S)
