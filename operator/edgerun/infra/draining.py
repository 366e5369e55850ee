"""Has the Envoy of a pod that is to end finish what it has begun: what `edgerun drain` does before the kubelet ends it.

Whoever balances connections over pods, a kube-proxy or a load balancer of a cloud, hears of the end a while after it
has begun. So for that while new connections are taken like before, and only what ends anyway is told to go elsewhere.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

from . import admin

POLL_S = 0.25
_CONNECTIONS = r"^http\.(edge|guard)\.downstream_cx_active$"


async def drain(socket: Path, *, least_s: float, timeout_s: float, say: Callable[[str], None]) -> None:
    """Return when no client is connected any more, after `least_s`, or the time is over. Raises OSError when Envoy does
    not answer."""
    clock = asyncio.get_running_loop().time
    began = clock()
    await admin.ask(socket, "healthcheck/fail", method="POST")
    await admin.ask(socket, "drain_listeners?graceful&skip_exit", method="POST")
    while (spent := clock() - began) < timeout_s:
        connections = await _connections(socket)
        if not connections and spent >= least_s:
            say(f"no client is connected any more, after {spent:.1f} s")
            return
        await asyncio.sleep(POLL_S)
    say(f"{await _connections(socket)} clients are still connected after {timeout_s:g} s")


async def _connections(socket: Path) -> int:
    return sum((await admin.numbers(socket, _CONNECTIONS)).values())
