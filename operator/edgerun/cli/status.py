"""`edgerun status`: how every object of the running instances fares."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import yaml

from ..infra.local import instance
from ..runtime.report import WHERE, Report, ready
from .local_instances import answer, nothing_runs
from .tables import age, coloured, fitting, terminal_width

HEADER = ("KIND", "NAMESPACE", "NAME", "READY", "REASON", "REPLICAS", "URL", "AGE")
SPARE = ("URL", "AGE", "REPLICAS")  # columns that a narrow terminal does without


async def run(options: argparse.Namespace) -> int:
    """Ask every instance that serves the folder, and show what it says."""
    reports = [await _report(one) for one in _instances(options.directory)]
    print(_SHOWN[options.output](reports))
    return 0


def _instances(directory: Path | None) -> tuple[instance.Instance, ...]:
    found = instance.instances(directory.resolve() if directory else None)
    if not found:
        raise nothing_runs(directory)
    return found


async def _report(running: instance.Instance) -> Report:
    return msgspec.json.decode(await answer(running), type=Report)


def overview(found: Report, *, alone: bool) -> str:
    """The objects as a table; below it the revisions of origins that have several which serve, and, in full, why some
    objects are not ready and what is wrong with files."""
    title = [] if alone else [coloured(f"{found.directory} on {found.url}", "cyan")]
    now = datetime.now(UTC)
    rows = [_row(document, now) for document in found.objects]
    shown = (
        [fitting(HEADER, rows, SPARE, terminal_width())]
        if rows
        else [f"no EdgeRoute and no OriginService in {found.directory}"]
    )
    return "\n".join([*title, *shown, *_splits(found), *_complaints(found)])


def _row(document: dict[str, Any], now: datetime) -> tuple[str, ...]:
    metadata, condition = document["metadata"], ready(document)
    status, reason = (condition.status, condition.reason) if condition else ("Unknown", "")
    url = _url(document)
    since = age(metadata["creationTimestamp"], now)
    name = (document["kind"], metadata["namespace"], metadata["name"])
    return *name, status, reason, _replicas(document), url or "-", since


def _replicas(document: dict[str, Any]) -> str:
    """How many take requests of how many there should be; an EdgeRoute has none."""
    found = document["status"].get("replicas")
    return f"{found['ready']}/{found['desired']}" if isinstance(found, dict) else "-"


def _url(document: dict[str, Any]) -> str:
    return str(document["status"].get("url", ""))


def _splits(found: Report) -> list[str]:
    lines = []
    for document in found.objects:
        shares = [one for one in document["status"].get("traffic", ()) if one.get("percent")]
        if len({one["revisionName"] for one in shares}) > 1:
            metadata = document["metadata"]
            name = f"{document['kind']} {metadata['namespace']}/{metadata['name']}"
            lines.append(f"{name}: " + ", ".join(f"{one['revisionName']} {one['percent']} %" for one in shares))
    return ["", *lines] if lines else []


def _complaints(found: Report) -> list[str]:
    lines = []
    for document in found.objects:
        condition = ready(document)
        if condition and condition.status != "True" and condition.message:
            metadata = document["metadata"]
            name = f"{document['kind']} {metadata['namespace']}/{metadata['name']}"
            lines.append(f"{name} ({metadata['annotations'][WHERE]}): {condition.message}")
    complaints = [*lines, *found.problems]
    return ["", *(coloured(f"! {line}", "red") for line in complaints)] if complaints else []


def _tables(reports: Sequence[Report]) -> str:
    return "\n".join(overview(found, alone=len(reports) == 1) for found in reports)


def _yaml(reports: Sequence[Report]) -> str:
    dumped = (
        yaml.safe_dump_all(found.objects, sort_keys=False, width=sys.maxsize, allow_unicode=True) for found in reports
    )
    return "\n".join(text.rstrip() for text in dumped)


def _json(reports: Sequence[Report]) -> str:
    """One List, as kubectl prints it."""
    items = [document for found in reports for document in found.objects]
    return msgspec.json.format(msgspec.json.encode({"apiVersion": "v1", "kind": "List", "items": items})).decode()


_SHOWN: Mapping[str, Callable[[Sequence[Report]], str]] = {"table": _tables, "yaml": _yaml, "json": _json}
