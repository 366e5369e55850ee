"""How to tell that a process is not used any more: nobody is connected to its port."""

import asyncio

from . import procfs
from .process import Process

POLL_S, LONGEST_POLL_S = 0.05, 0.5  # a look is at all sockets of the machine, and many may be leaving


async def unused(process: Process, port: int, *, within_s: float, blind_s: float) -> None:
    """Returns when nobody is connected to `port`, when `process` is gone, or when its time is up: `within_s`, or
    `blind_s` where nobody tells how many connections there are."""
    if not procfs.AVAILABLE:
        await asyncio.wait({process.exited}, timeout=min(blind_s, within_s))
        return
    clock = asyncio.get_running_loop().time
    began = clock()
    while process.running and (waited_s := clock() - began) < within_s:
        if not await asyncio.to_thread(procfs.connections, port):
            return
        await asyncio.wait({process.exited}, timeout=min(max(waited_s / 10, POLL_S), LONGEST_POLL_S))
