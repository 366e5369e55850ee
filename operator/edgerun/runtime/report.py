"""What a running instance says of itself when asked: every object with its status, as documents."""

from collections.abc import Sequence
from typing import Any

import msgspec

from ..api import API_VERSION, GROUP
from ..api.meta import Condition, ObjectKey
from ..sources.documents import FileProblem
from ..sources.entries import Entry
from .board import Status
from .controller import Controller

WHERE = f"{GROUP}/where"  # the annotation that tells the file and line


class Report(msgspec.Struct, frozen=True):
    """`objects` are as `kubectl get -o yaml` shows them; `problems` are of files that hold no readable object."""

    directory: str
    url: str
    objects: tuple[dict[str, Any], ...]
    problems: tuple[str, ...]


def report(controller: Controller, directory: str, problems: Sequence[FileProblem]) -> Report:
    edge, lines = controller.edge, controller.board.lines
    entries = sorted(controller.store.entries.items())
    return Report(
        directory=directory,
        url=f"http://localhost:{edge.port}",
        objects=tuple(_document(key, entry, lines[key].status) for key, entry in entries if key in lines),
        problems=tuple(f"{problem.where}: {problem.message}" for problem in problems),
    )


def _document(key: ObjectKey, entry: Entry, status: Status) -> dict[str, Any]:
    metadata = {
        "name": key.name,
        "namespace": key.namespace,
        "generation": entry.generation,
        "creationTimestamp": entry.created,
        "annotations": {WHERE: entry.where},
    }
    return {
        "apiVersion": API_VERSION,
        "kind": key.kind,
        "metadata": metadata,
        "spec": entry.raw.get("spec", {}),
        "status": msgspec.to_builtins(status),
    }


def ready(document: dict[str, Any]) -> Condition | None:
    """The Ready condition of a document."""
    parts = document["status"].get("conditions", ())
    return next((msgspec.convert(part, Condition) for part in parts if part["type"] == "Ready"), None)
