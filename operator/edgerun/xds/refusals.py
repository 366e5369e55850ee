"""What one client refused of one type: what is not sent again, for how long it is waited for, who is under suspicion.

A refused version is never sent again while it is wanted. Where a response of many is refused and nobody is named, its
resources are suspects: they are sent again by halves, until the guilty one is alone.
Trap: a refusal outlives its correction. Until the client takes another version, the old one is what it runs.
"""

from collections.abc import Iterable, Mapping

from .snapshot import FramedSet


class Refusals:
    def __init__(self) -> None:
        self._versions: dict[str, str] = {}
        self._lapses_at: float | None = None
        self._outdated: set[str] = set()
        self._suspects: dict[str, str] = {}  # name -> the half it goes with

    def blame(self, versions: Mapping[str, str], wanted: FramedSet, lapses_at: float) -> None:
        """These were refused. What is not `wanted` any more, since the answer came late, is nothing to wait for."""
        self._outdated.update(versions)
        refused = {name: version for name, version in versions.items() if _is(wanted, name, version)}
        if refused:
            self._versions |= refused
            self._lapses_at = lapses_at

    def suspect(self, names: tuple[str, ...], nonce: str) -> None:
        """One of these is guilty."""
        self._suspects.update({name: f"{nonce}/{at * 2 // len(names)}" for at, name in enumerate(names)})

    def taken(self, names: Iterable[str]) -> None:
        """The client took these."""
        for name in names:
            self._suspects.pop(name, None)
            self._outdated.discard(name)

    def forget(self, name: str) -> None:
        self._versions.pop(name, None)
        self._suspects.pop(name, None)
        self._outdated.discard(name)

    def keep(self, wanted: FramedSet) -> None:
        """Forget the versions that are not wanted any more."""
        self._versions = {name: version for name, version in self._versions.items() if _is(wanted, name, version)}

    def lapse(self, now: float) -> None:
        if self._lapses_at is not None and now >= self._lapses_at:
            self._lapses_at = None

    def deadline(self) -> float | None:
        return self._lapses_at

    def bar(self, name: str, version: str) -> bool:
        """Whether this must not be sent."""
        return self._versions.get(name) == version

    def half(self, name: str) -> str | None:
        """What is sent together has the same."""
        return self._suspects.get(name)

    def outdated(self, wanted: FramedSet) -> bool:
        """Whether the client runs an older version of something than the one it refused."""
        return any(name in wanted for name in self._outdated)

    @property
    def fresh(self) -> bool:
        """A correction may be under way."""
        return bool(self._versions) and self._lapses_at is not None

    def __bool__(self) -> bool:
        return bool(self._versions)


def _is(resources: FramedSet, name: str, version: str) -> bool:
    return name in resources and resources[name].version == version
