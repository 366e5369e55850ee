"""A folder of YAML as a source: what is in it now, and every change of it.

One object belongs to one place: the first by path and line. While a file cannot be read as YAML, the objects of its
last good version stay, for a half-saved file must not disturb what serves.

Trap: editors replace a file by removing it or emptying it first. What vanishes is believed only after a second look.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic, time_ns

from watchfiles import Change, awatch

from ..api.admission import admit, foreign
from ..api.meta import ObjectKey
from .documents import Document, Documents, FileProblem, documents
from .entries import key_of
from .store import Feed, Gone, Seen

SUFFIXES = (".yaml", ".yml")
STEP_MS = 10  # the quiet after the last change of a burst; a save is two or three events
DEBOUNCE_MS = 100  # the longest burst
SECOND_LOOK_S = 0.1  # editors are done replacing a file long before
TICK_S = 0.1  # how soon a folder that is made anew is noticed
LOOK_AGAIN_S = 2.0  # for what no event tells: the target of a link, a network file system
UNSETTLED_NS = 20_000_000  # the clock of a file system may tick every 10 ms: a younger stamp may hide a later write

Identity = tuple[int, int]
Stamp = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class _File:
    """What a file held when it was read, and its stamp if a later change must differ from it.

    What was `found` may be of an older version than the `problems`.
    """

    stamp: Stamp | None
    content: Documents

    @property
    def empty(self) -> bool:
        return not self.content.found and not self.content.problems


class Folder:
    """The YAML files below `root`, or the one file that `root` is."""

    def __init__(self, root: Path, feed: Feed) -> None:
        self._root = root
        self._feed = feed
        self._files: Mapping[Path, _File] = {}
        self._fed: Mapping[ObjectKey, Document] = {}
        self._problems: tuple[FileProblem, ...] = ()

    @property
    def problems(self) -> tuple[FileProblem, ...]:
        """What is wrong with files as such, as of the last scan; what is wrong with an object is not here."""
        return self._problems

    def scan(self) -> None:
        """Read what has changed, and feed it."""
        self._take(_look(self._root, self._files))

    async def watch(self, scanned: Callable[[], None] = lambda: None) -> None:
        """Scan at every change below the root, for ever; `scanned` is called after each time."""
        while True:
            await self._scan(scanned)
            identity = _identity(self._root)
            try:
                if identity is not None:
                    await self._watch_while(identity, scanned)
            except OSError:
                # Gone between two looks, or the system has no more watches to give: then every look is its own.
                await asyncio.sleep(LOOK_AGAIN_S if _identity(self._root) else 0)
            await asyncio.sleep(TICK_S)

    async def _watch_while(self, identity: Identity, scanned: Callable[[], None]) -> None:
        """Scan at every change until the root is another folder than `identity`, or none."""
        due = 0.0  # the first look is at once: a change may have come before there was anything to see it
        async for changes in self._changes():
            if _identity(self._root) != identity:
                return
            if changes or monotonic() >= due:
                await self._scan(scanned)
                due = monotonic() + LOOK_AGAIN_S

    def _changes(self) -> AsyncIterator[set[tuple[Change, str]]]:
        """What changes, and nothing at every tick."""
        folder = self._root.is_dir()
        return awatch(
            self._root if folder else self._root.parent,
            watch_filter=lambda _, path: _concerns(Path(path).name) if folder else Path(path).name == self._root.name,
            debounce=DEBOUNCE_MS,
            step=STEP_MS,
            rust_timeout=int(TICK_S * 1000),
            yield_on_timeout=True,
            recursive=folder,
            ignore_permission_denied=True,
        )

    async def _scan(self, scanned: Callable[[], None]) -> None:
        """A scan that does not hold up the loop. What has vanished is looked at twice."""
        files = await asyncio.to_thread(_look, self._root, self._files)
        if _vanished(self._files, files):
            await asyncio.sleep(SECOND_LOOK_S)
            files = await asyncio.to_thread(_look, self._root, self._files)
        self._take(files)
        scanned()

    def _take(self, files: Mapping[Path, _File]) -> None:
        self._files = files
        owners, problems = _owners(files)
        self._problems = tuple(
            sorted({*problems, *(found for file in files.values() for found in file.content.problems)})
        )
        before, self._fed = self._fed, owners
        for key, document in owners.items():
            known = before.get(key)
            if known is None or known.where != document.where or known.raw != document.raw:
                self._feed(Seen(document.raw, document.where, document.lines))
        for key in before.keys() - owners.keys():
            self._feed(Gone(key))


def yaml_files(root: Path) -> Iterator[Path]:
    """The YAML files below `root`, in order, hidden folders left out; `root` itself when it is a file."""
    if not root.is_dir():
        if os.path.lexists(root):
            yield root
        return
    yield from _below(root, frozenset())


def _below(folder: Path, above: frozenset[str]) -> Iterator[Path]:
    real = os.path.realpath(folder)
    if real in above:
        return  # a link leads back up
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return  # gone meanwhile, or not ours to read
    for entry in entries:
        path = folder / entry.name
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _below(path, above | {real})
        elif entry.name.endswith(SUFFIXES):
            yield path


def _look(root: Path, before: Mapping[Path, _File]) -> Mapping[Path, _File]:
    """What the files hold now; those that have not changed are not read again."""
    return {path: _file(path, before.get(path)) for path in yaml_files(root)}


def _file(path: Path, before: _File | None) -> _File:
    stamp = _stamp(path)
    if before and before.stamp is not None and before.stamp == stamp:
        return before
    content = documents(path)
    if before and content.problems:
        there = {key_of(document.raw) for document in content.found}
        kept = tuple(document for document in before.content.found if key_of(document.raw) not in there)
        content = replace(content, found=content.found + kept)
    return _File(stamp, content)


def _stamp(path: Path) -> Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None
    if time_ns() - max(found.st_mtime_ns, found.st_ctime_ns) < UNSETTLED_NS:
        return None
    return (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)


def _vanished(before: Mapping[Path, _File], after: Mapping[Path, _File]) -> bool:
    return any(path not in after or (after[path].empty and not file.empty) for path, file in before.items())


def _owners(files: Mapping[Path, _File]) -> tuple[dict[ObjectKey, Document], list[FileProblem]]:
    """Each object's document, and what is wrong with documents that are no object or not the first."""
    owners: dict[ObjectKey, Document] = {}
    problems: list[FileProblem] = []
    for file in files.values():
        for document in sorted(file.content.found, key=lambda document: document.line):
            key = key_of(document.raw)
            if key is None:
                problems += () if foreign(document.raw) else nameless(document)
            elif owners.setdefault(key, document) is not document:
                problems.append(duplicate(key, document, owners[key]))
    return owners, problems


def nameless(document: Document) -> list[FileProblem]:
    """Why a document is no object that anything could be said of."""
    return [
        FileProblem(document.path, document.lines.line(problem.field), str(problem))
        for problem in admit(document.raw).problems
    ]


def duplicate(key: ObjectKey, document: Document, first: Document) -> FileProblem:
    message = f"{key} is already defined at {first.where}, and that one counts; remove one of the two"
    return FileProblem(document.path, document.line, message)


def _concerns(name: str) -> bool:
    """Whether a change of that name may be one of a YAML file, or of a folder of them."""
    return name.endswith(SUFFIXES) or "." not in name


def _identity(root: Path) -> Identity | None:
    try:
        found = root.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino)
