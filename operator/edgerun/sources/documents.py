"""The documents of a YAML file, each with the line of every field in it; what is wrong with the file as a file.

Owns what a file is: its size, its encoding, its documents, Kubernetes' `kind: List`. What a document means is for the
admission to say. A problem of the text costs that document, a syntax error the whole file: nobody can tell where a
half-saved file would have gone on.
"""

import codecs
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .building import Mistake, Spot, YamlError
from .reader import Text, texts

MAX_FILE_BYTES = 16 * 2**20  # an API server takes objects of 1.5 MiB; ten of them still fit
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True, slots=True)
class Lines:
    """Where the fields of a document stand."""

    spot: Spot

    def line(self, field: str) -> int:
        """The line of a field path such as `spec.rules[0].name`, or of the deepest part of it that is there."""
        spot, rest = self.spot, f".{field}" if field else ""
        while rest:
            step = max((key for key in spot.children if _leads(rest, key)), key=lambda key: len(str(key)), default=None)
            if step is None:
                break
            rest = rest[len(str(step)) + (1 if rest[0] == "." else 2) :]
            spot = spot.children[step]
        return spot.line


def _leads(rest: str, key: str | int) -> bool:
    """Whether the path `rest` begins with the step `key`, which may be written `.key` or `[key]`."""
    if rest.startswith(f"[{key}]"):
        return True
    return rest.startswith(f".{key}") and rest[len(str(key)) + 1 :][:1] in ("", ".", "[")


@dataclass(frozen=True, slots=True)
class Document:
    """One object as its author wrote it."""

    raw: dict[str, Any]
    path: Path
    line: int
    lines: Lines

    @property
    def where(self) -> str:
        return f"{self.path}:{self.line}"


@dataclass(frozen=True, slots=True, order=True)
class FileProblem:
    """What is wrong with a file as such. `line` is 0 when it is about all of it."""

    path: Path
    line: int
    message: str

    @property
    def where(self) -> str:
        return f"{self.path}:{self.line}" if self.line else str(self.path)

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


@dataclass(frozen=True, slots=True)
class Documents:
    """What was found in a file. With `problems`, there may be more in it than was `found`."""

    found: tuple[Document, ...] = ()
    problems: tuple[FileProblem, ...] = ()


def documents(path: Path) -> Documents:
    """The documents of the file `path`; whatever is wrong with it is a value, too."""
    try:
        source = _source(path)
        read = list(texts(source))
    except _UnreadableError as error:
        return Documents(problems=(FileProblem(path, 0, str(error)),))
    except YamlError as error:
        return Documents(problems=(_located(path, error.mistake),))
    found: list[Document] = []
    problems: list[FileProblem] = []
    for text in read:
        mistakes = text.mistakes or tuple(_misshapen(text))
        problems += [_located(path, mistake) for mistake in mistakes]
        if not mistakes:
            found += _objects(path, text)
    return Documents(tuple(found), tuple(problems))


class _UnreadableError(Exception):
    """There is no text in the file."""


def _source(path: Path) -> str:
    content = _content(path)
    if content.startswith(_UTF16):
        raise _UnreadableError("the file is UTF-16; save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _UnreadableError(
            f"the file is not UTF-8: byte 0x{content[error.start]:02x} on line {line}; save it as UTF-8"
        ) from None


def _content(path: Path) -> bytes:
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise _UnreadableError("not a regular file")
        if found.st_size > MAX_FILE_BYTES:
            raise _UnreadableError(f"the file has {found.st_size:,} bytes, more than {MAX_FILE_BYTES:,}; split it")
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise _UnreadableError(f"cannot be read: {error.strerror or error}") from None


def _misshapen(text: Text) -> Iterator[Mistake]:
    items = _items(text)
    if items is None and not isinstance(text.value, dict):
        kind = "list" if isinstance(text.value, list) else "single value"
        yield Mistake(
            text.spot.line, f"the document is a {kind}; an object is a mapping with apiVersion, kind and so on"
        )
    for value, spot in items or ():
        if not isinstance(value, dict):
            yield Mistake(spot.line, "an item of this List is no mapping; an object has apiVersion, kind and so on")


def _objects(path: Path, text: Text) -> Iterator[Document]:
    items = _items(text)
    for value, spot in [(text.value, text.spot)] if items is None else items:
        yield Document(value, path, spot.line, Lines(spot))


def _items(text: Text) -> list[tuple[Any, Spot]] | None:
    """What is in a `kind: List`, as kubectl prints them; None for any other document."""
    if not isinstance(text.value, dict) or text.value.get("kind") != "List" or text.value.get("apiVersion") != "v1":
        return None
    items = text.value.get("items") or []
    spots = text.spot.children.get("items", text.spot).children
    return [(item, spots[index]) for index, item in enumerate(items)] if isinstance(items, list) else []


def _located(path: Path, mistake: Mistake) -> FileProblem:
    return FileProblem(path, mistake.line, mistake.message)
