"""The fenced blocks of a Markdown file, and what the tests of the documentation read out of them.

Conventions of ours: a ```console block holds commands behind `$ ` and, below each, what it prints; a line `...` in it
stands for any lines, ` ...` at the end of a line for any rest. A ```yaml block whose first line is `# some/file.yaml`
is that file.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_CHAPTER = "## "
_FENCE = re.compile(r"^```(\w*)\s*$")
_FILE = re.compile(r"# ([\w./-]+\.ya?ml)$")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block; `line` is that of its first line of text, `chapter` the heading of second order above it."""

    path: Path
    line: int
    language: str
    text: str
    chapter: str = ""

    @property
    def where(self) -> str:
        return f"{self.path.name}:{self.line}"

    @property
    def file(self) -> str | None:
        """Which file the block is."""
        found = _FILE.match(self.text.partition("\n")[0])
        return found[1] if found else None


@dataclass(frozen=True, slots=True)
class Step:
    """One command and the lines that it is said to print."""

    where: str
    command: str
    prints: tuple[str, ...]


def blocks(path: Path) -> Iterator[Block]:
    language, start, lines, chapter = None, 0, list[str](), ""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        fence = _FENCE.match(line)
        if fence and language is None:
            language, start, lines = fence[1], number + 1, []
        elif fence:
            yield Block(path, start, language or "", "\n".join(lines), chapter)
            language = None
        elif language is None and line.startswith(_CHAPTER):
            chapter = line.removeprefix(_CHAPTER)
        else:
            lines.append(line)
    assert language is None, f"{path.name}:{start}: the block is not closed"


def steps(block: Block) -> Iterator[Step]:
    """The commands of a console block."""
    command, where, prints = "", block.where, list[str]()
    for offset, line in enumerate(block.text.splitlines()):
        if line.startswith("$ "):
            if command:
                yield Step(where, command, tuple(prints))
            command, where, prints = line[2:], f"{block.path.name}:{block.line + offset}", []
        else:
            assert command, f"{where}: output without a command"
            prints.append(line)
    if command:
        yield Step(where, command, tuple(prints))


def prose(path: Path) -> str:
    """The text outside of fenced blocks."""
    kept, inside = list[str](), False
    for line in path.read_text().splitlines():
        if _FENCE.match(line):
            inside = not inside
        elif not inside:
            kept.append(line)
    return "\n".join(kept)
