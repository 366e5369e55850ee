"""Where signing keys are kept, as `edgerun keys` asks and changes them: in a cluster or in an `edgerun local`."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from ..credentials.listing import Listing


@dataclass(frozen=True, slots=True)
class Operator:
    """`interval` is how long it has a key sign. `public` is whether verifiers outside may read its keys."""

    interval: timedelta
    runs: bool
    public: bool = True


class Keychain(Protocol):
    """All of it raises EdgerunError with the way out. What is returned is as of after the change."""

    async def listing(self) -> Listing: ...

    async def rotate(self) -> Listing: ...

    async def revoke(self, kid: str) -> Listing: ...

    async def operator(self) -> Operator | None:
        """None when it cannot be seen."""
