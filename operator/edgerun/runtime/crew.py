"""Who serves an edge, and what each of them has acknowledged.

Where pods are observed, those that are ready count, whether or not they are connected: a promise holds for whoever
takes requests. Elsewhere those count that are connected.

Trap: a proxy that changes its control plane, or whose connection has grown old, is away for a moment and serves on. For
that moment its last word counts, or every such change would be one of every route's status.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ..xds.server import Proxy

PATIENCE_S = 10.0  # in which Envoy has tried to connect several times


@dataclass(slots=True)
class Crew:
    """`pods` tells the ready pods of a fleet, None where there are none to observe. `clock` is in seconds."""

    connected: Callable[[], Sequence[Proxy]]
    pods: Callable[[str], Sequence[str] | None]
    clock: Callable[[], float]
    _parted: dict[tuple[str, str], tuple[float, int]] = field(default_factory=dict)

    def __call__(self, edge: str) -> tuple[int, ...]:
        """Of each proxy that takes requests of `edge`, the serial that it has acknowledged; 0 of one not heard of."""
        here = [proxy for proxy in self.connected() if proxy.fleet == edge]
        pods = self.pods(edge)
        if pods is None:
            return tuple(proxy.acked_serial for proxy in here)
        serials = self._remembered(edge)
        for proxy in here:
            serials[proxy.id] = max(proxy.acked_serial, serials.get(proxy.id, 0))
        return tuple(serials.get(pod, 0) for pod in pods)

    def complete(self, edge: str) -> bool:
        """Whether each proxy that takes requests of `edge` is connected and has acknowledged something.

        Last words do not count: whoever has begun to lead again would take them for a return, until they are forgotten.
        """
        serials = {proxy.id: proxy.acked_serial for proxy in self.connected() if proxy.fleet == edge}
        pods = self.pods(edge)
        return all(serials.get(pod, 0) for pod in (serials if pods is None else pods))

    def parted(self, proxy: Proxy) -> None:
        """`proxy` is not connected any more."""
        self._parted[proxy.fleet, proxy.id] = (self.clock() + PATIENCE_S, proxy.acked_serial)

    def _remembered(self, edge: str) -> dict[str, int]:
        now = self.clock()
        self._parted = {who: one for who, one in self._parted.items() if one[0] > now}
        return {pod: serial for (fleet, pod), (_, serial) in self._parted.items() if fleet == edge}
