"""How a control plane logs: one record, one line, on standard error; as text for people, as JSON for programs.

Libraries speak only when something is wrong, whatever the level: Kopf tells of every event, and what others say when
they debug may hold headers. What looks like a token is blotted out all the same.

Trap: words of others (a proxy's, an API server's) are in messages. Control characters are escaped in either format, so
nobody can write a line of their own.
"""

import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

import msgspec

Format = Literal["text", "json"]
FORMATS: tuple[Format, ...] = ("text", "json")
LEVELS = ("debug", "info", "warning", "error")
OURS = "edgerun"
_LIBRARIES = ("aiohttp", "asyncio", "grpc", "kopf", "kubernetes", "urllib3", "watchfiles")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_TOKEN = re.compile(r"eyJ[\w-]{8,}\.[\w-]+\.[\w-]*|(?i:\bbearer\s+)[\w.~+/=-]{8,}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_BLOT = "[redacted]"


def set_up(format: Format, level: str, stream: TextIO | None = None) -> None:
    """Everything that is logged from now on; what was set up before is forgotten."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(Json() if format == "json" else Text())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.captureWarnings(True)
    logging.getLogger(OURS).setLevel(level.upper())
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("aiohttp.access").setLevel(logging.CRITICAL)


class Text(logging.Formatter):
    """`2026-01-02T03:04:05.678Z INFO edgerun.xds: what happened key=value`; a traceback follows in lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        extra = "".join(f" {name}={value}" for name, value in _extra(record).items())
        message = _escaped(record.getMessage() + extra)
        line = f"{_time(record)} {record.levelname} {record.name}: {message}"
        traceback = _traceback(self, record)
        return _blotted("\n".join((line, *(f"  {_escaped(one)}" for one in traceback.splitlines()))))


class Json(logging.Formatter):
    """time, level, logger, message, then what `extra` holds, and `exception` with the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        said = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        traceback = _traceback(self, record)
        if traceback:
            said["exception"] = traceback
        return _blotted(msgspec.json.encode({**said, **_extra(record), **said}, enc_hook=str).decode())


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    return formatter.formatException(record.exc_info) if record.exc_info and record.exc_info[0] else ""


def _escaped(text: str) -> str:
    return _CONTROL.sub(lambda found: found.group().encode("unicode_escape").decode(), text)


def _blotted(text: str) -> str:
    return _TOKEN.sub(_BLOT, text)
