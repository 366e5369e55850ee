"""How Envoy is started as a process of this machine, and what it prints: the edge and every guard alike.

Trap: an access log line that is cut into pieces is no JSON any more, so lines of Envoy may be longer than others.
"""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from .. import envoy
from .launch import Launch, inherited

FLUSH_MS = 50  # of the access log: Envoy's 10 s are for disks, and somebody is looking
_HELD = "initial fetch timed out for type.googleapis.com/envoy.config.cluster.v3.Cluster"
MAX_ACCESS_LINE = 1 << 18  # Envoy accepts 60 KiB of request headers, and JSON may escape each byte of them

Access = Callable[[Mapping[str, Any]], None]


def envoy_launch(config: Path, bootstrap: Mapping[str, Any], *, concurrency: int, drain_s: float = 1.0) -> Launch:
    """Envoy with `bootstrap`, which is written to `config`, for this user alone to read."""
    with open(config, "wb", opener=_private) as file:
        file.write(msgspec.json.encode(bootstrap))
    argv = (
        *(str(envoy.binary()), "--config-path", str(config), "--disable-hot-restart"),
        *("--concurrency", str(concurrency), "--log-level", "warn"),
        *("--file-flush-interval-msec", str(FLUSH_MS)),
        *("--drain-strategy", "immediate", "--drain-time-s", str(max(1, round(drain_s)))),
    )
    return Launch(argv, inherited(os.environ), config.parent)


def of_course(line: str) -> bool:
    """Whether Envoy complains of what each request does that waits for an origin that sleeps: its name is not answered
    within the time after which Envoy asks for further ones (`translate/holding.py`). No other source has such a time
    for clusters."""
    return line.endswith(_HELD)


def sorted_out(access: Access, say: Callable[[str], None]) -> Callable[[str], None]:
    """For what Envoy prints on its standard output: each JSON object is for `access`, every other line for `say`."""

    def printed(line: str) -> None:
        entry = _entry(line)
        if entry is None:
            say(line)
        else:
            access(entry)

    return printed


def _entry(line: str) -> Mapping[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
