"""Tables as kubectl prints them, and the little colour that a terminal gets."""

import shutil
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

GAP = "   "
_COLOURS = {"red": 31, "green": 32, "yellow": 33, "cyan": 36, "grey": 90}


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; the last one is not padded."""
    lines = [tuple(header), *(tuple(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        GAP.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def fitting(header: Sequence[str], rows: Sequence[Sequence[str]], spare: Sequence[str], width: int | None) -> str:
    """A table without as many of the `spare` columns, the first one first, as it takes to be no wider than `width`."""
    text = table(header, rows)
    if width is None or not spare or max(map(len, text.splitlines())) <= width:
        return text
    dropped = header.index(spare[0])
    kept = [tuple(cell for column, cell in enumerate(line) if column != dropped) for line in (header, *rows)]
    return fitting(kept[0], kept[1:], spare[1:], width)


def terminal_width() -> int | None:
    """How many characters a line may have; None where nobody breaks it."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def age(since: str, now: datetime) -> str:
    """How long ago an RFC 3339 time was, as kubectl says it: `45s`, `12m`, `3h`, `8d`."""
    try:
        moment = datetime.fromisoformat(since)
    except ValueError:
        return "<unknown>"
    seconds = max(0, int((now - moment.astimezone(UTC)).total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def coloured(text: str, colour: str) -> str:
    """`text` in `colour` on a terminal, as it is elsewhere."""
    return f"\033[{_COLOURS[colour]}m{text}\033[0m" if sys.stdout.isatty() else text
