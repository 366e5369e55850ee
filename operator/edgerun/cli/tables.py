"""Tables as kubectl prints them, and the little colour that a terminal gets."""

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
