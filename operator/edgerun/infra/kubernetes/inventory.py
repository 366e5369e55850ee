"""What is there of the kinds that we make: each object as it was told last, by a watch, by a list or as an answer.

Trap: these overtake one another. News may be older than the answer to our own write, and a list older than both.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from ...api.meta import ObjectKey
from .applying import Object


@dataclass(slots=True, eq=False)
class Inventory(Mapping[ObjectKey, Object]):
    """Times are those of the event loop."""

    _there: dict[ObjectKey, Object] = field(default_factory=dict)
    _answered: dict[ObjectKey, float] = field(default_factory=dict)  # when the server last told us itself

    def __getitem__(self, key: ObjectKey) -> Object:
        return self._there[key]

    def __iter__(self) -> Iterator[ObjectKey]:
        return iter(self._there)

    def __len__(self) -> int:
        return len(self._there)

    def told(self, key: ObjectKey, raw: Object) -> bool:
        """It is there, somebody says; whether that is news."""
        if _older(raw, self._there.get(key)):
            return False
        self._there[key] = raw
        return True

    def answered(self, key: ObjectKey, raw: Object, now: float) -> None:
        """The server itself says that it is there. Somebody may have written after us, and that was told before."""
        self.told(key, raw)
        self._answered[key] = now

    def gone(self, key: ObjectKey) -> bool:
        """It is not there any more, somebody says; whether that is news."""
        return self._there.pop(key, None) is not None

    def deleted(self, key: ObjectKey) -> None:
        """It is not there any more, by our own doing."""
        self._there.pop(key, None)
        self._answered.pop(key, None)

    def unlisted(self, kind: str, listed: Collection[ObjectKey], began: float) -> tuple[ObjectKey, ...]:
        """Who is gone if all of a kind were listed at some moment after `began`."""
        ours = (key for key in self._there if key.kind == kind and key not in listed)
        return tuple(key for key in ours if self._answered.get(key, began) <= began)

    def forget(self, kinds: Collection[str]) -> None:
        """Of these nothing is known any more."""
        self._there = {key: raw for key, raw in self._there.items() if key.kind not in kinds}


def _older(raw: Object, known: Object | None) -> bool:
    """Whether this is late news of an object that has answered to our own apply meanwhile."""
    if known is None or known["metadata"].get("uid") != raw["metadata"].get("uid"):
        return False
    return any(_before(raw, known, name) for name in ("generation", "resourceVersion"))


def _before(raw: Object, known: Object, name: str) -> bool:
    """Versions are numbers wherever we look; where they are none, or a watch left them out, they say nothing."""
    ours, theirs = (str(one["metadata"].get(name, "")) for one in (raw, known))
    return ours.isdecimal() and theirs.isdecimal() and int(ours) < int(theirs)
