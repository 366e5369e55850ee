"""Reads what another version of Edgerun may have written: a field of another type, or a value that is not known here,
costs itself and whatever cannot be without it, and all else is read.

Trap: what is lost is not what was never there. Whoever goes by the value alone takes a default for somebody's word.
"""

import copy
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from .problems import Path

T = TypeVar("T")

_WHERE = re.compile(r"`\$([^`]*)`$")
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")


class Lost(NamedTuple):
    """What cannot be read, as a path in what was written, and why."""

    path: Path
    why: str


class Partly(NamedTuple, Generic[T]):
    """What could be read. `lost` are in the order in which they were met."""

    value: T
    lost: tuple[Lost, ...] = ()


def partly(raw: Any, shape: type[T], may_lose: Callable[[Path], bool] = lambda path: True) -> Partly[T]:
    """`raw` in that shape. Raises msgspec.ValidationError for what it may not be without: everything may lose all that
    stands within a shape without required fields."""
    try:
        return Partly(msgspec.convert(raw, shape))
    except msgspec.ValidationError:
        return _partly(copy.deepcopy(raw), shape, may_lose)


def strings(raw: Any) -> Iterator[str]:
    """All that stand in it, whatever it is, and however deep."""
    if isinstance(raw, str):
        yield raw
    elif isinstance(raw, Mapping):
        for name, value in raw.items():
            yield from (*strings(name), *strings(value))
    elif isinstance(raw, list | tuple):
        for one in raw:
            yield from strings(one)


def _partly(left: Any, shape: type[T], may_lose: Callable[[Path], bool]) -> Partly[T]:
    lost: list[Lost] = []
    gone: Counter[Path] = Counter()  # of each list, by its path: how many of its first ones
    while True:
        try:
            return Partly(msgspec.convert(left, shape), tuple(lost))
        except msgspec.ValidationError as error:
            why, path = _told(str(error))
            meant = _meant(path, gone)
            if not may_lose(meant) or left == {}:
                raise
            left = _without(left, path)
            within = [one for one in lost if one.path[: len(meant)] == meant]
            lost = [one for one in lost if one not in within]
            lost.append(Lost(meant, within[0].why if within else why))
            if meant and isinstance(meant[-1], int):
                gone[meant[:-1]] += 1


def _told(message: str) -> tuple[str, Path]:
    """Why, and where: what is "..." is any part of what is around it, which is told in its place."""
    found = _WHERE.search(message)
    steps = [name or index for name, index in _STEP.findall(found[1])] if found else []
    steps = steps[: steps.index("...")] if "..." in steps else steps
    why = message.partition(" - at ")[0]
    return why, tuple(int(step) if step.isdecimal() else step for step in steps)


def _meant(path: Path, gone: Counter[Path]) -> Path:
    """In what was written, of a path in what is left. A list is read from its first to its last."""
    found: Path = ()
    for step in path:
        found = (*found, step + gone[found] if isinstance(step, int) else step)
    return found


def _without(raw: Any, path: Path) -> Any:
    if not path:
        return {}
    *around, last = path
    within = raw
    for step in around:
        within = within[step]
    del within[last]
    return raw
