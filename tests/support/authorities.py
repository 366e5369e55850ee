"""Authorities for tests: real ones of today, and all that their rotation needs in a time that a test makes.

The Secret is kept as an API server keeps it: every version is named, and only the newest can be replaced.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key

from edgerun.credentials.authority import POLICY, Authority, Leaf, Policy, issue
from edgerun.credentials.certificates import ENTROPY, Entropy, new_authority, new_server
from edgerun.credentials.serving import Serving
from edgerun.errors import ConflictError, NotFoundError

START = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = ("edgerun-xds.edgerun.svc", "edgerun-xds.edgerun.svc.cluster.local")


def authority() -> Authority:
    """One that is good for today."""
    now = datetime.now(UTC)
    pair = new_authority(NAMES, now - timedelta(hours=1), now + timedelta(days=1), ENTROPY)
    return Authority(pair.certificate, pair.key, signs=True)


def certificate(by: Authority) -> Leaf:
    """A server's, as of now."""
    return issue(by, partial(new_server, NAMES), datetime.now(UTC), POLICY, ENTROPY)


def entropy() -> Entropy:
    """The same keys in the same order each time."""
    keys, serials = count(1), count(1)
    return Entropy(lambda: derive_private_key(next(keys), SECP256R1()), lambda: next(serials))


@dataclass
class Clocks:
    """`elapsed_s` never jumps; `offset` is how wrong the time of day is."""

    elapsed_s: float = 0.0
    offset: timedelta = timedelta()

    def now(self) -> datetime:
        return START + timedelta(seconds=self.elapsed_s) + self.offset

    def elapsed(self) -> float:
        return self.elapsed_s

    def go(self, by: timedelta) -> None:
        self.elapsed_s += by.total_seconds()


@dataclass
class Safe:
    """`before_write` can do anything to disturb one; `after_write` can have the answer lost."""

    data: Mapping[str, bytes] | None = None
    version: int = 0
    writes: int = 0
    fails: Callable[[], None] = lambda: None
    before_write: Callable[[], None] = lambda: None
    after_write: Callable[[], None] = lambda: None

    async def read(self) -> tuple[Mapping[str, bytes], str] | None:
        self.fails()
        return None if self.data is None else (self.data, str(self.version))

    async def write(self, data: Mapping[str, bytes], version: str) -> None:
        self.fails()
        self.before_write()
        if version and self.data is None:
            raise NotFoundError("it is gone")
        if self.data is not None and version != str(self.version):
            raise ConflictError("it is another one")
        self.put(data)
        self.writes += 1
        self.after_write()

    def put(self, data: Mapping[str, bytes]) -> None:
        self.data, self.version = data, self.version + 1


@dataclass
class Keeper:
    """The xDS server's rotation, and what it told."""

    safe: Safe
    clocks: Clocks
    leads: bool = True
    policy: Policy = POLICY
    entropy: Entropy = field(default_factory=entropy)
    names: tuple[str, ...] = NAMES
    told: list[str] = field(default_factory=list)
    renewals: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rotation = Serving(
            self.safe,
            names=self.names,
            may_write=lambda: self.leads,
            changed=self.told.append,
            rotated=self._rotated,
            policy=self.policy,
            clock=self.clocks.now,
            elapsed=self.clocks.elapsed,
            entropy=self.entropy,
        )

    def _rotated(self, *, succeeded: bool) -> None:
        self.renewals.append(succeeded)

    async def tend(self, after: timedelta = timedelta()) -> None:
        self.clocks.go(after)
        await self.rotation.tend()
