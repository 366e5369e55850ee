"""What the xDS server tells the rest of the house: who is connected, what it took, what it refused."""

from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Proxy:
    """One connected proxy as it is now. Where nobody had to prove who they are, `id` and `fleet` are what its node says
    of itself, and ids need not be unique.

    `acked_serial` is the newest published serial that it serves whole, 0 while it boots or comes back.
    """

    id: str
    fleet: str
    connected_at: datetime
    acked_serial: int = 0


@dataclass(frozen=True, slots=True)
class Refused:
    """`proxy` keeps what it had in place of `names`, which it was sent on its way to `serial`; `message` says why."""

    proxy: Proxy
    type_url: str
    names: tuple[str, ...]
    message: str
    serial: int


class Observer(Protocol):
    """Called within the server's event loop: what takes time must be put off."""

    def connected(self, proxy: Proxy) -> None: ...

    def disconnected(self, proxy: Proxy) -> None: ...

    def acknowledged(self, proxy: Proxy, serial: int) -> None: ...

    def refused(self, refused: Refused) -> None: ...


class Demand(Protocol):
    """Hears which cold clusters the proxy with this id asks for. It must not publish before it has returned."""

    def demanded(self, proxy: str, names: Set[str]) -> None:
        """It holds requests for these."""

    def undemanded(self, proxy: str, names: Set[str]) -> None:
        """It is gone, or these are not cold any more."""


class Traffic(Protocol):
    """Counts what goes over all streams."""

    def pushed(self, type_url: str) -> None:
        """A proxy has been sent a response."""

    def nacked(self, type_url: str) -> None:
        """A proxy refused one. `type_url` is what that proxy says."""
