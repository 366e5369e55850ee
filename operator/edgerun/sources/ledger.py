"""What a cluster holds as far as was told: one uid for each name, and the uids that are gone for good.

A watch and a LIST tell the same story, out of step: events of two uids of one name overtake each other, a LIST in
flight shows what a DELETED event has removed meanwhile. A uid never comes back, and what the watch said after a LIST
had begun counts for more than the LIST. An object that is being deleted is gone.

Trap: versions are compared for equality only; which of two uids is newer is told by their birth.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..api.meta import ObjectKey, object_key
from .store import Feed, Gone, Seen

_BY_SERVER = ("managedFields", "resourceVersion")  # they change when nothing does that matters

Object = Mapping[str, Any]


class _Known(NamedTuple):
    uid: str
    version: str
    born: tuple[str, int]
    told_at: float


@dataclass(frozen=True, slots=True)
class Corrections:
    """What only a LIST told."""

    ghosts: int = 0
    missed: int = 0

    def __bool__(self) -> bool:
        return bool(self.ghosts or self.missed)

    def __add__(self, other: "Corrections") -> "Corrections":
        return Corrections(self.ghosts + other.ghosts, self.missed + other.missed)


class Ledger:
    """Feeds what changes, and nothing else."""

    def __init__(self, feed: Feed, clock: Callable[[], float]) -> None:
        self._feed, self._clock = feed, clock
        self._known: dict[ObjectKey, _Known] = {}
        self._buried: dict[str, float] = {}

    def knows(self, raw: Object) -> bool:
        """Whether this very object, in any version, is known."""
        known = self._known.get(object_key(raw))
        return known is not None and known.uid == raw["metadata"]["uid"]

    def see(self, raw: Object) -> bool:
        """The object is there. Returns whether that was fed."""
        metadata = raw["metadata"]
        key, uid = object_key(raw), metadata["uid"]
        if uid in self._buried:
            return False
        if metadata.get("deletionTimestamp"):
            return self.bury(raw)
        known, born = self._known.get(key), _born(metadata)
        if known and known.uid != uid and born < known.born:
            return False  # late news of one that bore the name before
        self._known[key] = _Known(uid, metadata["resourceVersion"], born, self._clock())
        self._feed(Seen(_clean(raw)))
        return True

    def bury(self, raw: Object) -> bool:
        """The object is gone. Returns whether that was fed."""
        return self._bury(object_key(raw), raw["metadata"]["uid"])

    def compare(self, kind: str, listed: Iterable[Object], began: float) -> Corrections:
        """Make up for what was not told, by the LIST of all objects of a kind that began at `began`."""
        objects = [raw for raw in listed if not self._told_since(object_key(raw), began)]
        missed = sum(self.see(raw) for raw in objects if not self._current(raw))
        there = {(object_key(raw), raw["metadata"]["uid"]) for raw in objects}
        ghosts = [
            (key, known.uid)
            for key, known in self._known.items()
            if key.kind == kind and known.told_at < began and (key, known.uid) not in there
        ]
        return Corrections(sum(self._bury(*ghost) for ghost in ghosts), missed)

    def forget(self, before: float) -> None:
        """Drop what is remembered of the dead since before then."""
        self._buried = {uid: at for uid, at in self._buried.items() if at >= before}

    def _bury(self, key: ObjectKey, uid: str) -> bool:
        self._buried[uid] = self._clock()
        known = self._known.get(key)
        if known is None or known.uid != uid:
            return False
        del self._known[key]
        self._feed(Gone(key))
        return True

    def _told_since(self, key: ObjectKey, began: float) -> bool:
        known = self._known.get(key)
        return known is not None and known.told_at >= began

    def _current(self, raw: Object) -> bool:
        known, metadata = self._known.get(object_key(raw)), raw["metadata"]
        return known is not None and known[:2] == (metadata["uid"], metadata["resourceVersion"])


def _born(metadata: Object) -> tuple[str, int]:
    """Orders objects of one name; the version decides within a second."""
    version = metadata["resourceVersion"]
    return metadata["creationTimestamp"], int(version) if version.isdecimal() else 0


def _clean(raw: Object) -> Object:
    metadata = {name: value for name, value in raw["metadata"].items() if name not in _BY_SERVER}
    return {**raw, "metadata": metadata}
