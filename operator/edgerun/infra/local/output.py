"""What a process prints, as lines of text: bounded, and never a reason to stop.

Owns the cutting into lines and the memory of the last of them. Where the lines go is the caller's.
"""

from collections import deque
from collections.abc import Callable

MAX_LINE = 8192
TAIL_LINES = 5
TAIL_CHARS = 2000


class Lines:
    """Cuts a stream of bytes into lines. A line longer than `limit` comes in pieces; bad UTF-8 is replaced."""

    def __init__(self, say: Callable[[str], None], limit: int = MAX_LINE) -> None:
        self._say = say
        self._limit = limit
        self._rest = b""

    def feed(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._pieces(line)
        whole = len(self._rest) - len(self._rest) % self._limit
        if whole:
            self._pieces(self._rest[:whole])
            self._rest = self._rest[whole:]

    def close(self) -> None:
        if self._rest:
            self._pieces(self._rest)
            self._rest = b""

    def _pieces(self, line: bytes) -> None:
        for start in range(0, len(line) or 1, self._limit):
            self._say(line[start : start + self._limit].removesuffix(b"\r").decode(errors="replace"))


class Tail:
    """The last few lines of a stream."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=TAIL_LINES)

    def before(self, say: Callable[[str], None]) -> Callable[[str], None]:
        """`say`, with every line remembered first."""

        def remember(line: str) -> None:
            if line.strip():
                self._lines.append(line.rstrip())
            say(line)

        return remember

    def __str__(self) -> str:
        return "\n".join(self._lines)[-TAIL_CHARS:]
