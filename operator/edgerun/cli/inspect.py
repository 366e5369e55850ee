"""`edgerun validate` and `edgerun render`: what is wrong with files, and what Envoy would be told."""

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import yaml

from ..settings import system_ca_file
from ..sources.files import Folder
from ..sources.store import Store
from ..sources.validate import LocatedProblem, Severity, report
from ..translate.rendering import rendered
from ..translate.translator import translate
from ..translate.world import Edge, World
from .tables import coloured

_EPOCH = datetime.fromtimestamp(0, UTC)  # what is rendered must not depend on when


def validate(options: argparse.Namespace) -> int:
    """Exit code 1 when there is an error; a warning alone is none."""
    problems = report(options.files)
    for problem in problems:
        print(coloured(str(problem), "red" if problem.severity is Severity.ERROR else "yellow"))
    errors = _errors(problems)
    warnings = len(problems) - errors
    print(f"{_counted(errors, 'error')}, {_counted(warnings, 'warning')}" if problems else "no problems found")
    return int(errors > 0)


def render(options: argparse.Namespace) -> int:
    """Exit code 1, and nothing rendered, when a file is wrong."""
    problems = report(options.files)
    for problem in problems:
        print(problem, file=sys.stderr)
    if _errors(problems):
        return 1
    plan = rendered(translate(_world(options.files)))
    print(yaml.safe_dump(plan, sort_keys=False, width=120, allow_unicode=True), end="")
    return 0


def _errors(problems: Sequence[LocatedProblem]) -> int:
    return sum(problem.severity is Severity.ERROR for problem in problems)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _world(files: Sequence[Path]) -> World:
    store = Store(Edge(ca_file=system_ca_file()), lambda: _EPOCH, lambda *, urgent: None)
    for path in files:
        Folder(path, store.apply).scan()
    return store.snapshot()
