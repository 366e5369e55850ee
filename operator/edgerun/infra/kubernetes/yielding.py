"""Deployments that somebody else has scaled: their number of replicas is not fought before it was thought about.

Whoever decides of it is asked once for each number. What they say is wanted after that holds, also when it is the same
as before: a number that is out of bounds is put right then.

Trap: an object that was applied by somebody who led meanwhile differs, too. So whoever begins to lead forgets what was
its own.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from ...api.meta import ObjectKey
from .applying import Object


def _fights(raw: Object, before: int) -> bool:
    return False


@dataclass(slots=True)
class Yielding:
    """`accepts` is asked whether a Deployment may stay as it is for the moment, and told what its number was."""

    accepts: Callable[[Object, int], bool] = _fights
    _ours: dict[ObjectKey, int | None] = field(default_factory=dict)
    _noticed: dict[ObjectKey, int] = field(default_factory=dict)
    _yielded: set[ObjectKey] = field(default_factory=set)

    def __contains__(self, key: ObjectKey) -> bool:
        """Whether it stays as it is."""
        return key in self._yielded

    def look(self, key: ObjectKey, there: Object | None) -> None:
        """It is so now. No write of it may be under way."""
        ours = self._ours.get(key)
        if there is None or ours is None:
            return
        found = there["spec"]["replicas"]
        if found in (ours, self._noticed.get(key)):
            return
        self._noticed[key] = found
        if self.accepts(there, ours):
            self._yielded.add(key)

    def applied(self, key: ObjectKey, raw: Object) -> None:
        """The number is ours."""
        self._noticed.pop(key, None)
        if key.kind == "Deployment":
            self._ours[key] = raw["spec"].get("replicas")

    def forget(self, key: ObjectKey | None = None) -> None:
        """It is not wanted any more; or nothing is known of any, for somebody else has led."""
        for memory in (self._ours, self._noticed):
            memory.clear() if key is None else memory.pop(key, None)

    def decided(self) -> tuple[ObjectKey, ...]:
        """What is wanted is known anew: these are to be compared with it."""
        found, self._yielded = tuple(self._yielded), set()
        return found
